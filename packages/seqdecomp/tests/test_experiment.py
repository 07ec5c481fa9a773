"""The experiment at toy size: fair arms, exact documents, paired weights, resumption."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from seqdecomp.data.corpus import Document
from seqdecomp.experiment.batches import StepBatches
from seqdecomp.experiment.claims import run_claims
from seqdecomp.experiment.configuration import ARMS, ExperimentSettings, find_arms
from seqdecomp.experiment.documents import (
    TokenizedCorpus,
    load_corpus,
    save_corpus,
    tokenize_corpus,
    training_store,
    validation_documents,
)
from seqdecomp.experiment.runs import count_spikes, make_model, run_arm
from toolkit_shared.claims import run_name, run_path
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

TOY = ExperimentSettings(
    steps=8,
    batch_tokens=128,
    min_length=8,
    max_length=64,
    vocab_size=300,
    width=16,
    num_layers=1,
    num_heads=2,
    warmup_steps=2,
    validation_tokens=600,
    curve_tokens=200,
)


def toy_documents() -> list[Document]:
    random = stream(0, "toy-documents")
    words = ["alpha", "beta", "gamma", "delta", "return", "self", "(x)", "\n    "]
    return [
        Document(" ".join(random.choice(words, size=int(random.integers(2, 60)))), f"file{i % 40}.py")
        for i in range(400)
    ]


@pytest.fixture(scope="module")
def corpus() -> TokenizedCorpus:
    return tokenize_corpus(toy_documents(), TOY.vocab_size)


def test_training_documents_fill_whole_batches_of_every_bucket_without_loss(corpus: TokenizedCorpus) -> None:
    store = training_store(corpus, TOY, seed=3)

    kept = {length: len(store.bucket(length).starts) * length for length in store.lengths}
    assert store.lengths == (8, 16, 32, 64)
    assert store.tokens_total == sum(kept.values()) == TOY.steps * TOY.batch_tokens
    assert all(tokens % TOY.batch_tokens == 0 for tokens in kept.values())
    assert sum(tokens > 0 for tokens in kept.values()) >= 3


def test_every_training_document_ends_with_its_end_of_text_token_only(corpus: TokenizedCorpus) -> None:
    store = training_store(corpus, TOY, seed=3)

    tokens = store.gather(np.zeros(1, np.int64), store.tokens_total)[0]
    ends = store.document_starts + store.document_lengths - 1
    assert np.array_equal(np.flatnonzero(tokens == corpus.eos_id), ends)


def test_training_documents_are_beginnings_of_training_texts_each_used_once(corpus: TokenizedCorpus) -> None:
    store = training_store(corpus, TOY, seed=3)
    tokens = store.gather(np.zeros(1, np.int64), store.tokens_total)[0]
    texts = [tuple(ids.tolist()) for ids in corpus.train.documents()]

    for start, length in zip(store.document_starts.tolist(), store.document_lengths.tolist(), strict=True):
        beginning = tuple(tokens[start : start + length - 1].tolist())
        found = next((i for i, text in enumerate(texts) if text[: length - 1] == beginning), None)
        assert found is not None
        texts.pop(found)


def test_seeds_choose_other_documents_and_a_seed_always_the_same(corpus: TokenizedCorpus) -> None:
    first, again, other = (training_store(corpus, TOY, seed).document_lengths for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_documents_are_refused_with_what_to_change(corpus: TokenizedCorpus) -> None:
    many = ExperimentSettings(**{**TOY.as_dict(), "steps": 10_000})

    with pytest.raises(InputError, match=r"too few documents for 10000 steps .* give fewer --steps"):
        training_store(corpus, many, seed=0)


@pytest.mark.parametrize("name", [name for name in ARMS if name != "semantic"])
def test_every_arm_trains_on_every_token_exactly_once(corpus: TokenizedCorpus, name: str) -> None:
    # A baseline with other tokens or steps would be no baseline.
    batches = StepBatches(training_store(corpus, TOY, seed=5), ARMS[name], TOY, seed=5)

    coverage = batches.coverage()

    placed = coverage["once"] + coverage["padding"]
    assert placed == batches.tokens == TOY.steps * TOY.batch_tokens
    assert coverage["repeated"] == 0
    assert coverage["never"] == coverage["padding"]
    if not name.startswith("best-fit"):
        assert coverage["padding"] == 0


def test_attended_length_is_the_rows_or_the_documents(corpus: TokenizedCorpus) -> None:
    store = training_store(corpus, TOY, seed=5)

    lengths = {
        name: StepBatches(store, ARMS[name], TOY, seed=5).attended_length
        for name in ("concat", "concat+mask", "concat+varlen", "dd-uniform")
    }

    sizes = {length: len(store.bucket(length).starts) for length in store.lengths}
    by_hand = sum(n * length**2 for length, n in sizes.items()) / sum(
        n * length for length, n in sizes.items()
    )
    assert lengths["concat"] == lengths["concat+mask"] == 64.0
    assert lengths["dd-uniform"] == pytest.approx(by_hand)
    assert by_hand < 64.0
    assert lengths["concat+varlen"] < 64.0


def test_all_arms_of_a_seed_start_from_the_same_weights_and_seeds_from_others() -> None:
    first = make_model(ARMS["concat"], 300, TOY, seed=1)
    same = make_model(ARMS["dd-grow-p2-8"], 300, TOY, seed=1)
    other = make_model(ARMS["concat"], 300, TOY, seed=2)

    for name, weight in first.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name])
    assert not torch.equal(first.output.weight, other.output.weight)


def test_making_a_model_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    make_model(ARMS["concat"], 300, TOY, seed=1)

    assert torch.equal(torch.rand(3), expected)


def test_masked_and_per_document_attention_learn_the_same(corpus: TokenizedCorpus) -> None:
    masked, per_document = (run_arm(ARMS[name], 2, corpus, TOY) for name in ("concat+mask", "concat+varlen"))

    assert masked["losses"] == pytest.approx(per_document["losses"], abs=1e-4)
    assert masked["validation"]["loss"] == pytest.approx(per_document["validation"]["loss"], abs=1e-4)


def test_a_run_learns_and_tells_its_seconds_curve_and_bands(corpus: TokenizedCorpus) -> None:
    long = ExperimentSettings(**{**TOY.as_dict(), "steps": 16, "lr": 1e-2})
    steps: list[int] = []

    result = run_arm(ARMS["dd-grow-p2-8"], 0, corpus, long, progress=steps.append)

    assert sum(steps) == len(result["losses"]) == 16
    assert result["losses"][-1] < result["losses"][0] - 0.3
    assert [point[0] for point in result["curve"]] == [4, 8, 10, 12, 13, 14, 15, 16]
    seconds = [point[1] for point in result["curve"]]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(result["seconds"])
    assert [band["start"] for band in result["validation"]["bands"]] == [0]
    assert result["validation"]["tokens"] == sum(len(d) - 1 for d in validation_documents(corpus, 64, 600))
    json.dumps(result, allow_nan=False)


def test_a_run_repeats_to_the_last_bit_but_for_its_seconds(corpus: TokenizedCorpus) -> None:
    first, again = (run_arm(ARMS["dd-uniform"], 4, corpus, TOY) for _ in range(2))

    assert first["losses"] == again["losses"]
    assert first["validation"] == again["validation"]


def test_spikes_are_steps_half_a_nat_above_the_lowest_of_their_length_before() -> None:
    assert count_spikes([5.0, 4.0, 4.4, 4.6, 3.0, 3.6, 3.4], [8] * 7) == 2
    assert count_spikes([5.0, 4.0, 3.0], [8] * 3) == 0
    # the same losses, where the short steps are merely harder than the long ones
    assert count_spikes([3.0, 4.0, 2.9, 3.9, 2.8, 4.5], [64, 8, 64, 8, 64, 8]) == 1


def test_a_corpus_survives_its_file(corpus: TokenizedCorpus, tmp_path: Path) -> None:
    save_corpus(corpus, tmp_path / "corpus.npz")

    loaded = load_corpus(tmp_path / "corpus.npz")

    assert np.array_equal(loaded.train.tokens, corpus.train.tokens)
    assert np.array_equal(loaded.validation.lengths, corpus.validation.lengths)
    assert (loaded.eos_id, loaded.vocab_size) == (corpus.eos_id, corpus.vocab_size)


def test_interrupted_claims_go_on_without_repeating_a_finished_run(tmp_path: Path) -> None:
    arms = find_arms(("concat", "dd-grow-p2-8"))
    documents = toy_documents()
    run_claims(tmp_path / "a", arms=arms, seeds=(0, 1), settings=TOY, documents=documents)
    for name in ("manifest.json",):
        (tmp_path / "a" / name).rename(tmp_path / name)
    job = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "a" / "job.json").write_text(json.dumps({"kind": job["kind"], "config": job["config"]}))
    run_path(tmp_path / "a", run_name("concat", 1)).unlink()
    kept = run_path(tmp_path / "a", run_name("dd-grow-p2-8", 0))
    kept.write_text(kept.read_text().replace('"seed": 0', '"seed": 0, "kept": true'))
    done: list[int] = []

    runs = run_claims(
        tmp_path / "a", arms=arms, seeds=(0, 1), settings=TOY, documents=documents, progress=done.append
    )

    assert sum(done) == 1
    assert runs["dd-grow-p2-8", 0]["kept"] is True
    assert sorted(runs) == [("concat", 0), ("concat", 1), ("dd-grow-p2-8", 0), ("dd-grow-p2-8", 1)]
    assert (tmp_path / "a" / "manifest.json").exists()


def test_claims_of_other_settings_are_refused_by_name_of_the_field(tmp_path: Path) -> None:
    arms = find_arms(("concat",))
    one = ExperimentSettings(**{**TOY.as_dict(), "steps": 4})
    run_claims(tmp_path / "a", arms=arms, seeds=(0,), settings=one, documents=toy_documents())

    with pytest.raises(InputError, match=r"settings\.lr 0\.003 there, 0\.01 here"):
        run_claims(
            tmp_path / "a",
            arms=arms,
            seeds=(0,),
            settings=ExperimentSettings(**{**one.as_dict(), "lr": 0.01}),
            documents=toy_documents(),
        )
