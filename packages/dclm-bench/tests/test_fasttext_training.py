"""Training: one step by hand, the library's accuracy, determinism, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dclm_bench.fasttext import load_fasttext, train_supervised
from dclm_bench.fasttext.matrices import DenseMatrix
from toolkit_shared.errors import InputError

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "goldens" / "fasttext_0.9.2_predictions.json").read_text(encoding="utf-8")
)
TEXTS, LABELS = (list(column) for column in zip(*GOLDEN["training"], strict=True))
SMALL: dict[str, Any] = {"dim": 4, "bucket": 50, "epoch": 10, "lr": 0.5}


def dense(matrix: Any) -> Any:
    assert isinstance(matrix, DenseMatrix)
    return matrix.values


def test_one_step_moves_the_outputs_by_the_gradient_of_the_softmax() -> None:
    # outputs begin at 0, so each of two labels has probability 1/2 and the inputs do not move
    options: dict[str, Any] = {"word_ngrams": 1, "dim": 3, "lr": 0.4, "seed": 5}
    first = train_supervised(["a b", "c"], ["x", "y"], epoch=1, **options | {"lr": 1e-30})
    model = train_supervised(["a b", "c"], ["x", "y"], epoch=1, **options)

    words = model.file.vocabulary.words
    inputs = dense(first.file.input)
    means = {
        "x": inputs[[words.index(word) for word in ("a", "b", "</s>")]].mean(axis=0),
        "y": inputs[[words.index(word) for word in ("c", "</s>")]].mean(axis=0),
    }
    moved = dense(model.file.output)
    # whichever came first moved by lr * (1 - 1/2) * its mean; the second step changes it a little
    candidates = [
        np.array([0.2 * means["x"], -0.2 * means["x"]]),
        np.array([-0.2 * means["y"], 0.2 * means["y"]]),
    ]
    shares = {"x": 3 / 5, "y": 2 / 5}
    second = [
        candidates[0] + (1 - shares["x"]) * candidates[1],
        candidates[1] + (1 - shares["y"]) * candidates[0],
    ]
    errors = [np.abs(moved - wanted).max() for wanted in second]
    assert min(errors) < 2e-3 < max(errors)


@pytest.mark.parametrize(
    ("golden", "options"),
    [
        ("unigrams", {"word_ngrams": 1}),
        ("softmax", {"word_ngrams": 2}),
        ("trigrams", {"word_ngrams": 3}),
        ("subwords", {"word_ngrams": 2, "minn": 2, "maxn": 4}),
    ],
)
def test_training_is_as_accurate_as_the_librarys(golden: str, options: dict[str, Any]) -> None:
    model = train_supervised(TEXTS, LABELS, **SMALL, **options)

    correct = [model.predict(text)[0][0] == label for text, label in zip(TEXTS, LABELS, strict=True)]
    assert np.mean(correct) >= GOLDEN["models"][golden]["accuracy"] - 0.01


def test_the_vocabulary_is_the_librarys_but_for_ties() -> None:
    ours = train_supervised(TEXTS, LABELS, **SMALL).file
    theirs = load_fasttext(Path(__file__).parent / "goldens" / "fasttext_0.9.2_softmax.bin").file

    assert dict(zip(ours.vocabulary.words, ours.vocabulary.counts, strict=False)) == dict(
        zip(theirs.vocabulary.words, theirs.vocabulary.counts, strict=False)
    )
    assert ours.vocabulary.labels == theirs.vocabulary.labels
    # the library counts the label of a line as a token
    assert ours.vocabulary.num_tokens == theirs.vocabulary.num_tokens - len(TEXTS)
    assert ours.arguments == theirs.arguments


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_supervised(TEXTS, LABELS, **SMALL, seed=seed).save(tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_saved_model_predicts_the_same_after_loading(tmp_path: Path) -> None:
    model = train_supervised(TEXTS, LABELS, **SMALL, minn=2, maxn=3)
    model.save(tmp_path / "model.bin")

    loaded = load_fasttext(tmp_path / "model.bin")

    assert [loaded.predict(text, k=-1) for text in TEXTS] == [model.predict(text, k=-1) for text in TEXTS]


def test_sorted_examples_do_no_harm() -> None:
    order = sorted(range(len(LABELS)), key=lambda index: LABELS[index])
    model = train_supervised([TEXTS[i] for i in order], [LABELS[i] for i in order], **SMALL)

    assert np.mean([model.predict(t)[0][0] == w for t, w in zip(TEXTS, LABELS, strict=True)]) > 0.9


def test_lines_of_a_text_are_joined_and_labels_inside_it_are_no_labels() -> None:
    options: dict[str, Any] = {**SMALL, "seed": 3}
    one = train_supervised(["a b c", "d e"], ["x", "y"], **options)
    other = train_supervised([" a\nb\r\nc ", "d __label__x e"], ["x", "y"], **options)

    assert one.file.vocabulary.words == other.file.vocabulary.words
    assert one.predict("a b", k=-1) == other.predict("a b", k=-1)


def test_progress_counts_every_example_of_every_epoch() -> None:
    seen: list[int] = []
    train_supervised(TEXTS, LABELS, **SMALL, progress=seen.append)

    assert sum(seen) == 10 * len(TEXTS)


def test_a_loss_that_is_not_finite_stops_training() -> None:
    with pytest.raises(InputError, match="loss is not finite in epoch"):
        train_supervised(TEXTS, LABELS, **SMALL | {"lr": 1e30, "epoch": 50})


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        (["x", "x"], {}, "labels: 1 label"),
        (["x", "y z"], {}, "labels: 'y z'"),
        (["x", ""], {}, "labels: ''"),
        (["x", "y"], {"lr": 0.0}, "lr: 0.0"),
        (["x", "y"], {"dim": 0}, "dim: 0"),
        (["x", "y"], {"minn": 3, "maxn": 2}, "minn: 3"),
        (["x", "y"], {"bucket": 0}, "bucket: 0"),
        (["x", "y"], {"word_ngrams": 1, "min_count": 9}, "min_count: no word"),
    ],
)
def test_options_that_cannot_be_are_named(labels: list[str], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        train_supervised(["a", "b"], labels, **{"bucket": 10, "dim": 2, **options})
