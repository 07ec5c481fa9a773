"""fastText's own files and predictions, which the reader must give back number by number."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dclm_bench.fasttext import FastTextModel, load_fasttext, score_texts
from toolkit_shared.errors import InputError

GOLDENS = Path(__file__).parent / "goldens"
GOLDEN: dict[str, Any] = json.loads((GOLDENS / "fasttext_0.9.2_predictions.json").read_text(encoding="utf-8"))
MODELS = list(GOLDEN["models"])
DENSE = [name for name in MODELS if GOLDEN["models"][name]["file"].endswith(".bin")]
# float32 sums in another order than the library's vector instructions
TOLERANCE = 1e-6


def golden_model(name: str) -> FastTextModel:
    return load_fasttext(GOLDENS / GOLDEN["models"][name]["file"])


def broken(tmp_path: Path, change: Any) -> Path:
    data = bytearray((GOLDENS / GOLDEN["models"]["subwords"]["file"]).read_bytes())
    path = tmp_path / "broken.bin"
    path.write_bytes(bytes(change(data) or data))
    return path


# --- predictions of the library ---


@pytest.mark.parametrize("name", MODELS)
def test_every_label_has_the_librarys_probability(name: str) -> None:
    model = golden_model(name)

    assert [f"__label__{label}" for label in model.labels] == GOLDEN["models"][name]["labels"]
    for text, wanted in zip(GOLDEN["texts"], GOLDEN["models"][name]["predictions"], strict=True):
        found = {f"__label__{label}": p for label, p in model.predict(text, k=-1)}
        assert found == pytest.approx(dict(wanted), abs=TOLERANCE), text


@pytest.mark.parametrize("name", MODELS)
def test_labels_come_in_the_librarys_order(name: str) -> None:
    model = golden_model(name)

    for text, wanted in zip(GOLDEN["texts"], GOLDEN["models"][name]["predictions"], strict=True):
        found = [p for _, p in model.predict(text, k=-1)]
        assert found == pytest.approx([p for _, p in wanted], abs=TOLERANCE), text
        distinct = len({round(p, 5) for _, p in wanted}) == len(wanted)
        if distinct:
            assert [f"__label__{label}" for label, _ in model.predict(text)] == [wanted[0][0]]


def test_a_probability_is_a_hundred_thousandth_too_high_as_the_librarys_is() -> None:
    total = sum(p for _, p in golden_model("softmax").predict("the of market", k=-1))

    assert total == pytest.approx(1 + 4e-5, abs=2e-6)


def test_a_threshold_leaves_out_what_is_below_it() -> None:
    model = golden_model("softmax")
    best, second, *_ = model.predict("the of market вода", k=-1)

    assert model.predict("the of market вода", k=-1, threshold=(best[1] + second[1]) / 2) == [best]
    assert model.predict("the of market вода", k=-1, threshold=1.1) == []


def test_a_line_feed_is_refused_as_by_the_library() -> None:
    with pytest.raises(ValueError, match="line feed"):
        golden_model("softmax").predict("a\nb")


def test_bulk_scores_join_lines_and_are_those_of_predict() -> None:
    model = golden_model("softmax")

    scores = score_texts(model, [" the\nof \n market ", "вода школа"], "en")

    assert scores.dtype == np.float64
    assert scores[0] == dict(model.predict("the of   market", k=-1))["en"]
    assert scores[1] == dict(model.predict("вода школа", k=-1))["en"]


def test_a_label_that_the_model_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match="no label 'hq'; its labels are en, de, ru, zh"):
        score_texts(golden_model("softmax"), ["a"], "hq")


def test_half_a_surrogate_pair_does_not_stop_the_classifier() -> None:
    assert len(golden_model("subwords").predict("the \ud800 of", k=-1)) == 4


# --- files ---


@pytest.mark.parametrize("name", DENSE)
def test_a_saved_model_has_the_bytes_that_were_read(name: str, tmp_path: Path) -> None:
    golden_model(name).save(tmp_path / "again.bin")

    assert (tmp_path / "again.bin").read_bytes() == (GOLDENS / GOLDEN["models"][name]["file"]).read_bytes()


def test_a_quantized_model_is_saved_dense_and_predicts_the_same(tmp_path: Path) -> None:
    model = golden_model("quantized")
    model.save(tmp_path / "dense.bin")

    for text in GOLDEN["texts"]:
        found = load_fasttext(tmp_path / "dense.bin").predict(text, k=-1)
        assert dict(found) == pytest.approx(dict(model.predict(text, k=-1)), abs=TOLERANCE)


def test_a_pruned_model_is_not_saved_as_what_the_library_could_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pruned"):
        golden_model("pruned").save(tmp_path / "dense.bin")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.bin: no such file"):
        load_fasttext(tmp_path / "none.bin")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.bin").touch()
    with pytest.raises(InputError, match=r"empty\.bin: cannot be read"):
        load_fasttext(tmp_path / "empty.bin")


@pytest.mark.parametrize("length", [3, 8, 40, 64, 90, 150, 500, 2000, 2684])
def test_a_file_that_is_cut_off_is_refused_wherever_that_is(length: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"broken\.bin: no usable fastText model"):
        load_fasttext(broken(tmp_path, lambda data: data[:length]))


def test_no_changed_byte_gives_more_than_a_refusal_or_a_model(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name in ("quantized", "pruned", "tree"):
        whole = (GOLDENS / GOLDEN["models"][name]["file"]).read_bytes()
        head = [int(place) for place in draw.integers(0, 110, 60)]
        for place in [*head, *(int(place) for place in draw.integers(0, len(whole), 60))]:
            data = bytearray(whole)
            data[place] = int(draw.integers(0, 256))
            (tmp_path / "changed.ftz").write_bytes(data)
            try:
                model = load_fasttext(tmp_path / "changed.ftz")
            except InputError:
                continue
            with np.errstate(all="ignore"):
                model.predict("the of market вода ünknown", k=-1)


def _int(place: int, value: int) -> Any:
    return lambda data: struct.pack_into("<i", data, place, value)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, 1, "mark"),
        (4, 13, "version 13"),
        (8 + 4 * 7, 1, "no classifier"),
        (8 + 4 * 8, 1 << 20, "rows"),  # more buckets than rows: a hash would leave the matrix
        (8 + 4 * 8, 0, "no buckets"),
        (8, 5, "input matrix"),  # dim
        (8 + 4 * 9, 5, "5, its longest 4"),  # minn, beyond maxn
        (64, 10**6, "numbers of words"),
        (68, -1, "numbers of words"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(
    place: int, value: int, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        load_fasttext(broken(tmp_path, _int(place, value)))
