"""The traps of BFF, and its step."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bff_verdicts import by_filter
from dclm_bench.data.page import Page
from dclm_bench.dedup import STEPS
from dclm_bench.dedup.bff import BffOptions, cut
from dclm_bench.dedup.bff_step import bff_dedup
from dclm_bench.dedup.bff_substring import removed_intervals
from dclm_bench.dedup.bloom_filter import BloomFilter
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import CorpusStep, keeps_all
from toolkit_shared.errors import InputError

A_TO_M = "a b c d e f g h i j k l m"


def near_exact(num_ngrams: int = 20_000) -> BloomFilter:
    """A filter that practically never errs."""
    return BloomFilter.for_ngrams(num_ngrams, 1e-9)


def run(step: CorpusStep, shards: list[list[Page]]) -> tuple[list[list[Page]], list[list[Any]]]:
    """Pages that a step keeps and all values, shard by shard."""
    arrays = [step.collect(pages) for pages in shards]
    decided = list(step.decide(lambda: iter(arrays)))
    values = [step.apply(pages, found) for pages, found in zip(shards, decided, strict=True)]
    kept = [
        [page for page, row in zip(pages, rows, strict=True) if keeps_all(step.rules, row)]
        for pages, rows in zip(shards, values, strict=True)
    ]
    return kept, values


def test_the_first_occurrence_stays_and_the_next_goes_even_inside_one_page() -> None:
    # given a page that has a paragraph of 13 words twice
    page = f"{A_TO_M}\n{A_TO_M}\nshort one"
    # when
    ((spans, contained, total),) = by_filter([page], BffOptions(), near_exact())
    # then the second goes with the line feed before it, and the page does not remove itself
    assert (contained, total) == (1, 2)
    assert cut(page, np.array(spans), BffOptions()) == f"{A_TO_M}\nshort one"


def test_a_paragraph_below_the_ngram_size_is_always_kept_and_never_enters_the_filter() -> None:
    # given twelve words, again and again
    twelve = A_TO_M[:-2]
    bloom = near_exact()
    # when
    found = by_filter([twelve] * 5, BffOptions(), bloom)
    # then 0 of 0 is no duplicate
    assert found == [([], 0, 0)] * 5
    assert bloom.num_inserted == 0
    assert not bloom.bits.any()


def test_the_threshold_is_strict_except_in_mode_both() -> None:
    # given ten 1-grams of which eight were seen
    texts = ["a b c d e f g h", "a b c d e f g h y z"]
    for mode, gone in [("paragraph", False), ("document", False), ("old-both", False), ("both", True)]:
        # when
        found = by_filter(texts, BffOptions(mode, 1, 1, 0.8), near_exact())[1]  # type: ignore[arg-type]
        # then
        assert found[1:] == (8, 10)
        assert bool(found[0]) == gone


def test_old_both_leaves_the_new_paragraphs_of_an_emptied_page_in_the_filter() -> None:
    # given a page nearly all of which is known, with one paragraph that is new, which then comes again
    known = "\n".join(" ".join(f"w{i}x{j}" for j in range(20)) for i in range(12))
    new = " ".join(f"n{j}" for j in range(13))
    other = " ".join(f"o{j}" for j in range(20))
    step = bff_dedup(fp_rate=1e-9)
    # when
    kept, values = run(step, [[Page(known), Page(f"{known}\n{new}"), Page(f"{new}\n{other}")]])
    # then the second page is dropped as a whole, and its new paragraph counts as seen in the third
    assert [page.text for page in kept[0]] == [known, f"\n{other}"]
    assert values[0][1] == (96 / 97, len(new))
    assert values[0][2] == (1 / 9, len(other))


def test_naive_both_finds_what_it_has_just_inserted_itself() -> None:
    # given one page of which nothing was seen before
    page = f"{A_TO_M} n\nkept since short"
    # when
    naive = by_filter([page], BffOptions("naive-both"), near_exact())
    both = by_filter([page], BffOptions("old-both"), near_exact())
    # then all but the short paragraph is gone, the known bug of the official program
    assert naive[0][0] == [(0, len(A_TO_M) + 2)]
    assert both[0][0] == []


def test_the_order_of_pages_decides_which_one_stays() -> None:
    long = f"{A_TO_M}\n" + " ".join(f"x{i}" for i in range(60))
    for pages in ([A_TO_M, long], [long, A_TO_M]):
        found = by_filter(pages, BffOptions(), near_exact())
        assert found[0][0] == []
        assert found[1][0] == [(0, len(A_TO_M))]


def test_the_step_gives_the_same_pages_for_any_cut_into_shards_and_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given pages of which parts come again
    rng = np.random.default_rng(0)
    pool = [" ".join(rng.choice(list("abcdefghij"), 15)) for _ in range(12)]
    texts = ["\n".join(rng.choice(pool, 3)) for _ in range(40)]

    def outcome(sizes: list[int]) -> list[tuple[str, Any]]:
        shards, start = [], 0
        for size in sizes:
            shards.append([Page(text) for text in texts[start : start + size]])
            start += size
        _, values = run(bff_dedup(fp_rate=1e-6, expected_ngram_count=1000), shards)
        flat = [page for shard in shards for page in shard]
        rows = [row for shard in values for row in shard]
        return [(page.text, tuple(row)) for page, row in zip(flat, rows, strict=True)]

    # when
    whole = outcome([40])
    monkeypatch.setattr("dclm_bench.dedup.batches.text_batches.__defaults__", (50,))
    # then
    assert outcome([13, 0, 27]) == whole
    assert any(text.strip() == "" for text, _ in whole)


def test_a_run_that_goes_on_from_a_saved_filter_ends_as_one_run_over_everything(tmp_path: Path) -> None:
    # given
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdef"), 30)) + f"\n{A_TO_M}" for _ in range(30)]
    options = {"expected_ngram_count": 4000, "fp_rate": 1e-4}
    first, second = str(tmp_path / "first.bloom"), str(tmp_path / "second.bloom")
    whole = str(tmp_path / "whole.bloom")
    # when
    _, all_values = run(bff_dedup(**options, save_bloom_filter=whole), [[Page(text) for text in texts]])
    _, head = run(bff_dedup(**options, save_bloom_filter=first), [[Page(text) for text in texts[:11]]])
    _, tail = run(
        bff_dedup(fp_rate=1e-4, bloom_filter_file=first, save_bloom_filter=second),
        [[Page(text) for text in texts[11:]]],
    )
    # then
    assert repr(head[0] + tail[0]) == repr(all_values[0])
    assert Path(second).read_bytes() == Path(whole).read_bytes()


def test_a_filter_for_documents_instead_of_ngrams_is_refused_with_the_size_it_needs() -> None:
    # given 200 different pages, and a filter made for as many n-grams
    texts = [" ".join(f"p{page}w{i}" for i in range(113)) for page in range(200)]
    step = bff_dedup(expected_ngram_count=200)
    # when, then: 101 n-grams a page
    with pytest.raises(InputError, match=re.escape("set expected_ngram_count to 20200 ")):
        run(step, [[Page(text) for text in texts]])
    run(bff_dedup(expected_ngram_count=200, on_overfull="warn"), [[Page(text) for text in texts]])
    kept, _ = run(bff_dedup(), [[Page(text) for text in texts]])
    assert len(kept[0]) == 200


def test_annotation_leaves_the_text_and_notes_spans_in_bytes() -> None:
    # given a page with letters of two bytes before what was seen
    pages = [Page(A_TO_M), Page(f"é é é\n{A_TO_M}", {"source": "x"})]
    # when
    kept, values = run(bff_dedup(annotate=True), [pages])
    # then
    assert values == [[(), ()]]
    assert kept[0][1].to_json() == {
        "text": f"é é é\n{A_TO_M}",
        "source": "x",
        "bff_duplicate_spans": [[8, 8 + 1 + len(A_TO_M)]],
        "bff_contained_ngram_count": 1,
    }


def test_an_exact_copy_is_dropped_by_mode_exact_and_a_near_one_is_not() -> None:
    pages = [Page("one text"), Page("one text "), Page("one text")]
    kept, _ = run(bff_dedup("exact", fp_rate=1e-6), [pages[:1], pages[1:]])
    assert [[page.text for page in shard] for shard in kept] == [["one text"], ["one text "]]


def test_a_filter_that_is_only_asked_does_not_learn() -> None:
    pages = [Page(A_TO_M), Page(A_TO_M)]
    kept, _ = run(bff_dedup(no_update_bloom_filter=True), [pages])
    assert len(kept[0]) == 2


def test_substring_mode_bridges_backwards_what_the_official_merge_loses() -> None:
    # given token intervals of which (0, 20) joins the next ones only from the right, and one more after them
    found = np.zeros(600, np.bool_)
    for start, end in [(0, 20), (40, 60), (62, 200), (500, 560)]:
        found[start : end - 12] = True
    # when
    official = removed_intervals(found, 13, 50, 0.8, False)
    fixed = removed_intervals(found, 13, 50, 0.8, True)
    # then 40 of 60 tokens are too few from the left; 178 of 200 are enough from the right
    assert official.tolist() == [[40, 200], [500, 560]]
    assert fixed.tolist() == [[0, 200], [500, 560]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"remove_type": "all"}, "bff_dedup: remove_type 'all' is none of paragraph, document, both"),
        ({"min_ngram_size": 14}, "bff_dedup: min_ngram_size 14 and max_ngram_size 13 are no range"),
        ({"filtering_threshold": 1.5}, "bff_dedup: filtering_threshold 1.5 is not between 0 and 1"),
        ({"fp_rate": 0.0}, "fp_rate: 0.0 is no rate"),
        ({"expected_ngram_count": 0}, "bff_dedup: expected_ngram_count 0 is below 1"),
        (
            {"bloom_filter_file": "f.bloom", "save_bloom_filter": "./f.bloom"},
            "bff_dedup: save_bloom_filter is the file that is read",
        ),
    ],
)
def test_a_parameter_out_of_range_gives_one_line(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        bff_dedup(**parameters)


@pytest.mark.parametrize("func", STEPS)
def test_every_step_of_the_room_is_made_by_its_name_and_survives_the_way_to_a_worker(func: str) -> None:
    # given
    pages = [Page(f"{A_TO_M} n o p", {"url": "u"}), Page(f"{A_TO_M} n o p", {"url": "u"})]
    step = pickle.loads(pickle.dumps(make_step(func, {})))
    # when
    kept, values = run(step, [pages, []])
    # then each value has its rule, and only the short text that no window fits stays twice
    assert step.func == func
    assert all(len(row) == len(step.rules) for row in values[0])
    assert len(kept[0]) == (2 if func == "suffix_dedup" else 1)
