"""Mixtures of tokenised datasets."""

import json
from collections import Counter

import numpy as np
import pytest
from dclm_bench.mixing.mixture import mix_datasets
from dclm_bench.mixing.shares import contexts_to_draw, draw_contexts, mixture_shares
from dclm_bench.tokenization.dataset import tokenize_dataset
from dclm_bench.tokenization.shards import read_manifest, read_shard
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError

LENGTH = 9


def dataset(folder, name, letter, pages, **changes):
    """A dataset whose contexts hold one letter only."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": letter * (5 + page % 7)}) + "\n" for page in range(pages)))
    settings = {"tokenizer": "bytes", "context_length": LENGTH, "shard_contexts": 13, "num_cells": 4}
    tokenize_dataset([path], folder / name, **{**settings, **changes})
    return folder / name


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return {"web": dataset(folder, "web", "w", 120), "code": dataset(folder, "code", "c", 60)}


def contexts_of(folder):
    rows = [read_shard(shard, context_length=LENGTH) for shard in read_manifest(folder)]
    return [tuple(row) for row in np.concatenate(rows).tolist()]


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "dataset.json"}


def test_shares_are_weights_of_tokens_or_of_documents_times_their_length():
    weights = {"a": 3, "b": 1}
    assert mixture_shares(weights) == {"a": 0.75, "b": 0.25}
    # b's documents are three times as long: 3 * 10 against 1 * 30
    shares = mixture_shares(
        weights, by="documents", tokens={"a": 100, "b": 300}, documents={"a": 10, "b": 10}
    )
    assert shares == {"a": 0.5, "b": 0.5}
    with pytest.raises(InputError, match=r"--weight\.a: 0 is not above 0"):
        mixture_shares({"a": 0})


def test_the_redpajama_recipe_sums_to_one():
    from importlib.resources import files

    import yaml

    recipe = yaml.safe_load((files("dclm_bench") / "recipes" / "mix-redpajama.yaml").read_text())
    assert sum(recipe["weight"].values()) == pytest.approx(1.0)
    assert (recipe["weight"]["common-crawl"], recipe["weight"]["c4"], recipe["by"]) == (0.67, 0.15, "tokens")


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 100), min_size=1), st.integers(0, 1000))
def test_what_is_drawn_sums_up_and_is_within_one_of_its_share(weights, size):
    shares = mixture_shares(weights)
    drawn = contexts_to_draw(shares, dict.fromkeys(shares, 10), num_contexts=size)
    assert sum(drawn.values()) == size
    assert all(abs(drawn[name] - share * size) < 1 + 1e-9 for name, share in shares.items())


def test_without_a_size_nothing_is_repeated_and_one_source_is_used_up():
    drawn = contexts_to_draw({"a": 0.8, "b": 0.2}, {"a": 80, "b": 50})
    assert drawn == {"a": 80, "b": 20}


def test_drawing_takes_whole_passes_and_a_part_without_replacement():
    counts = Counter(draw_contexts(10, 27, seed=1, source="a").tolist())
    assert sorted(counts.values()) == [2, 2, 2, 3, 3, 3, 3, 3, 3, 3]
    assert (
        draw_contexts(10, 7, seed=1, source="a").tolist() != draw_contexts(10, 7, seed=1, source="b").tolist()
    )


def test_a_mixture_holds_each_source_by_its_weight(sets, tmp_path):
    report = mix_datasets(sets, {"web": 1, "code": 1}, tmp_path / "mix", shard_contexts=20, seed=4)

    mixed, code, web = (contexts_of(folder) for folder in (tmp_path / "mix", sets["code"], sets["web"]))
    assert report.contexts == len(mixed) == 2 * len(code)
    assert report.sources["code"]["epochs"] == 1.0
    assert report.sources["web"]["epochs"] == pytest.approx(len(code) / len(web))
    assert Counter(mixed) - Counter(web) == Counter(code)  # every context of the source that is used up
    kinds = ["c" if ord("c") + 1 in row else "w" for row in mixed]
    assert "c" * 10 not in "".join(kinds)  # in a random order
    manifest = json.loads((tmp_path / "mix" / "manifest.json").read_text())
    assert manifest["config"]["context_length"] == LENGTH
    reference = json.loads((tmp_path / "mix" / "dataset.json").read_text())
    assert [source["name"] for source in reference["sources"]] == ["web", "code"]


def test_replacing_a_part_changes_that_part_only(sets, tmp_path):
    other = dataset(tmp_path, "other", "o", 130)
    mix_datasets(sets, {"web": 3, "code": 1}, tmp_path / "a", tokens=40 * LENGTH)
    mix_datasets({**sets, "web": other}, {"web": 3, "code": 1}, tmp_path / "b", tokens=40 * LENGTH)

    kept = [[row for row in contexts_of(tmp_path / name) if ord("c") + 1 in row] for name in "ab"]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 10


def test_neither_workers_nor_a_second_run_change_a_byte(sets, tmp_path):
    mix_datasets(sets, {"web": 1, "code": 2}, tmp_path / "one", shard_contexts=10)
    mix_datasets(sets, {"web": 1, "code": 2}, tmp_path / "two", shard_contexts=10, workers=2)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert mix_datasets(sets, {"web": 1, "code": 2}, tmp_path / "one", shard_contexts=10).status == "complete"


def test_a_mixture_can_be_mixed_again(sets, tmp_path):
    mix_datasets(sets, {"web": 1, "code": 1}, tmp_path / "mix")
    again = mix_datasets({"mix": tmp_path / "mix"}, {"mix": 1}, tmp_path / "again")
    assert sorted(contexts_of(tmp_path / "again")) == sorted(contexts_of(tmp_path / "mix"))
    assert again.sources["mix"]["epochs"] == 1.0


def test_a_source_that_is_too_small_needs_leave_to_be_repeated(sets, tmp_path):
    size = 400 * LENGTH
    with pytest.raises(InputError, match=r"--source web: has 120 .* the mixture needs 200 .* pass --repeat"):
        mix_datasets(sets, {"web": 1, "code": 1}, tmp_path / "mix", tokens=size)
    report = mix_datasets(sets, {"web": 1, "code": 1}, tmp_path / "mix", tokens=size, repeat=True)
    assert report.contexts == 400
    assert report.sources["code"]["epochs"] > 2


def test_sources_that_do_not_fit_are_refused_in_one_line(sets, tmp_path):
    longer = dataset(tmp_path, "longer", "l", 10, context_length=LENGTH + 1)
    with pytest.raises(InputError, match=r"context_length is 10, and 9 in .*; tokenise both alike"):
        mix_datasets({**sets, "longer": longer}, {"web": 1, "code": 1, "longer": 1}, tmp_path / "mix")
    with pytest.raises(InputError, match="--source: 'c4' has a weight and no folder"):
        mix_datasets(sets, {"web": 1, "code": 1, "c4": 1}, tmp_path / "mix")
    with pytest.raises(InputError, match=r"--weight\.code: is missing"):
        mix_datasets(sets, {"web": 1}, tmp_path / "mix")
    with pytest.raises(InputError, match="--tokens: less than one context"):
        mix_datasets(sets, {"web": 1, "code": 1}, tmp_path / "mix", tokens=3)
