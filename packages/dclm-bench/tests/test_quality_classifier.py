"""The classifier of DCLM-Baseline: its score, its training from files, and scoring with a cut."""

import json
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.data.reading import read_pages
from dclm_bench.fasttext import load_fasttext, train_supervised
from dclm_bench.fasttext.settings import FastTextSettings
from dclm_bench.quality.classifier import example_marks, read_examples, train_classifier
from dclm_bench.quality.fasttext_hq import classify_fasttext_hq_prob_enricher, high_quality_probability
from dclm_bench.quality.leakage import text_mark, text_marks
from dclm_bench.quality.scoring import score_pages
from dclm_bench.steps.registry import make_step, step_table
from toolkit_shared.cli import Command, run
from toolkit_shared.errors import InputError

GOOD = "why how explain because answer question theorem example therefore number".split()
PLAIN = "buy now cart click price login share offer cookie subscribe menu".split()
SMALL: list[str] = "--bucket 500 --dim 8 --epoch 20 --lr 0.5".split()
TINY = FastTextSettings(bucket=100, dim=4)
COMMANDS = {
    "quality train": Command("Train.", "dclm_bench.commands.quality_train:quality_train"),
    "quality score": Command("Score.", "dclm_bench.commands.quality_score:quality_score"),
}
Call = Callable[..., tuple[int, str, str]]


def texts_of(words: Sequence[str], count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["\n".join(" ".join(draw.choices(words, k=12)) for _ in range(2)) for _ in range(count)]


def write_jsonl(path: Path, texts: Sequence[str], **record: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text, **record}) + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def no_handler_is_left() -> Iterator[None]:
    """Commands log to the stderr of their test, which is closed when the next begins."""
    yield
    for name in ("dclm_bench", "toolkit_shared"):
        logging.getLogger(name).handlers.clear()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*argv: object) -> tuple[int, str, str]:
        code = run("dclm-bench", "About.", COMMANDS, [str(item) for item in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def trained(tmp_path: Path, call: Call) -> Path:
    good = write_jsonl(tmp_path / "good.jsonl", texts_of(GOOD, 60, 1))
    plain = write_jsonl(tmp_path / "plain.jsonl", texts_of(PLAIN, 60, 2))
    out = tmp_path / "quality.bin"
    assert call("quality", "train", "--positives", good, "--negatives", plain, "--out", out, *SMALL)[0] == 0
    return out


# --- the score ---


def test_the_score_is_the_probability_of_the_top_label_or_what_cc_leaves() -> None:
    model = train_supervised(["a a", "b b"], ["hq", "cc"], bucket=10, dim=2, epoch=50, lr=0.5)

    for text in ("a a", "b b", "a b"):
        (label, probability), *_ = model.predict(text)
        wanted = 1 - probability if label == "cc" else probability
        assert high_quality_probability(model, f" {text[0]}\n{text[2]}  \n") == wanted
    assert model.predict("a a")[0][0] == "hq"
    assert model.predict("b b")[0][0] == "cc"


def test_any_label_but_cc_counts_as_good() -> None:
    model = train_supervised(["a a", "b b"], ["wikipedia", "cc"], bucket=10, dim=2, epoch=50, lr=0.5)

    assert high_quality_probability(model, "a a") == model.predict("a a")[0][1] > 0.5


def test_a_text_of_which_nothing_is_known_has_no_score(tmp_path: Path) -> None:
    # without n-grams and without an end of line among the words nothing is left
    options: dict[str, Any] = {"word_ngrams": 1, "dim": 2, "min_count": 3}
    train_supervised(["a a a", "a a b"], ["hq", "cc"], **options).save(tmp_path / "model.bin")
    step = classify_fasttext_hq_prob_enricher(str(tmp_path / "model.bin"))
    page = Page("unknown")
    step.apply(page)

    assert page.record == {"fasttext_hq_prob": None}


def test_the_step_keeps_a_score_unless_it_may_overwrite(trained: Path) -> None:
    page = Page("why explain", {"fasttext_hq_prob": 0.5})
    with pytest.raises(InputError, match="'fasttext_hq_prob' is there already"):
        classify_fasttext_hq_prob_enricher(str(trained)).apply(page)

    classify_fasttext_hq_prob_enricher(str(trained), overwrite=True).apply(page)
    assert page.record["fasttext_hq_prob"] > 0.9
    classify_fasttext_hq_prob_enricher(str(trained), key="other").apply(page)
    assert page.record["other"] == page.record["fasttext_hq_prob"]


def test_a_missing_model_is_named() -> None:
    with pytest.raises(InputError, match=r"model_filename: none\.bin: no such file"):
        make_step("classify_fasttext_hq_prob_enricher", {"model_filename": "none.bin"})


def test_every_step_of_the_room_can_be_found() -> None:
    names = [name for name, target in step_table().items() if target.startswith("dclm_bench.quality.")]

    assert {"quality_filter", "quality_fraction_filter", "semantic_dedup", "pagerank_filter"} <= set(names)
    for name in names:
        with pytest.raises(InputError, match="unknown parameter 'no_such'"):
            make_step(name, {"no_such": 1})


# --- training from files ---


def test_training_reports_sizes_accuracy_and_the_length_beside_the_area(trained: Path, call: Call) -> None:
    report = json.loads(trained.with_name("quality.bin.json").read_text())["report"]

    assert sum(report["examples"].values()) + sum(report["held_out"].values()) == 120
    assert sum(report["held_out"].values()) > 0
    assert report["accuracy"] == 1.0
    assert report["auc"]["score"]["area"] == 1.0
    assert {"score", "length", "gain", "within_length"} <= set(report["auc"])
    assert load_fasttext(trained).labels in (["hq", "cc"], ["cc", "hq"])


def test_a_finished_model_is_kept_and_one_of_other_settings_is_not_replaced(
    trained: Path, call: Call
) -> None:
    before = trained.read_bytes()
    given = ["--positives", trained.with_name("good.jsonl"), "--negatives", trained.with_name("plain.jsonl")]

    code, out, err = call("quality", "train", *given, "--out", trained, *SMALL, "--json")
    assert (code, json.loads(out)["accuracy"], "is finished" in err) == (0, 1.0, True)
    code, _, err = call("quality", "train", *given, "--out", trained, *SMALL, "--seed", 4)
    assert (code, "pass --overwrite" in err, trained.read_bytes() == before) == (2, True, True)
    assert call("quality", "train", *given, "--out", trained, *SMALL, "--seed", 4, "--overwrite")[0] == 0
    assert trained.read_bytes() != before


def test_the_model_does_not_depend_on_how_examples_are_spread_over_files(tmp_path: Path) -> None:
    good, plain = texts_of(GOOD, 40, 1), texts_of(PLAIN, 40, 2)
    write_jsonl(tmp_path / "one" / "a.jsonl", good)
    write_jsonl(tmp_path / "two" / "a.jsonl", good[:15])
    write_jsonl(tmp_path / "two" / "b.jsonl", good[15:])
    write_jsonl(tmp_path / "plain.jsonl", plain)
    for name in ("one", "two"):
        train_classifier(
            [tmp_path / name], [tmp_path / "plain.jsonl"], tmp_path / f"{name}.bin", settings=TINY
        )

    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "two.bin").read_bytes()


def test_repeated_and_contradictory_examples_are_left_out_and_counted(tmp_path: Path) -> None:
    good, plain = texts_of(GOOD, 20, 1), texts_of(PLAIN, 20, 2)
    first = write_jsonl(tmp_path / "good.jsonl", [*good, good[0].upper(), "  "])
    second = write_jsonl(tmp_path / "plain.jsonl", [*plain, good[3].replace("\n", "  ")])

    report = train_classifier([first], [second], tmp_path / "m.bin", held_out=0.0, settings=TINY)

    assert (report.duplicates, report.in_both, report.unused) == (1, 1, 1)
    assert dict(report.examples) == {"hq": 20, "cc": 20}
    assert (report.accuracy, report.auc) == (None, None)


def test_text_files_hold_an_example_a_line_and_corrupt_records_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first line\n\nsecond line\n")
    (tmp_path / "b.jsonl").write_text('{"text": "third"}\nnot json\n')

    examples = read_examples([tmp_path])

    assert list(examples.texts) == ["first line", "second line", "third"]
    assert examples.unused == 2


def test_a_bound_takes_the_same_examples_in_any_order(tmp_path: Path) -> None:
    good, plain = texts_of(GOOD, 40, 1), texts_of(PLAIN, 40, 2)
    marks = []
    for name, order in (("a", good), ("b", good[::-1])):
        first = write_jsonl(tmp_path / f"{name}.jsonl", order)
        second = write_jsonl(tmp_path / "plain.jsonl", plain)
        out = tmp_path / f"{name}.bin"
        train_classifier([first], [second], out, max_examples=10, held_out=0.2, settings=TINY)
        marks.append(example_marks(tmp_path / f"{name}.bin"))

    first_marks, second_marks = marks
    assert first_marks is not None
    assert second_marks is not None
    assert len(first_marks) <= 20
    assert np.array_equal(first_marks, second_marks)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"held_out": 1.0}, "--held-out: 1.0"),
        ({"max_examples": 0}, "--max-examples: 0"),
        ({"text_field": ""}, "--text-field: is empty"),
    ],
)
def test_options_of_training_that_cannot_be_are_named(
    options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", ["a"])
    with pytest.raises(InputError, match=reason):
        train_classifier([path], [path], tmp_path / "m.bin", **options)


def test_marks_ignore_case_and_blanks() -> None:
    assert text_mark("A  b\n") == text_mark("a b")
    assert text_mark("ab") != text_mark("a b")
    assert text_marks(["b", "a", "B "]).tolist() == sorted([text_mark("a"), text_mark("b")])


# --- scoring ---


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    good, plain = texts_of(GOOD, 30, 5), texts_of(PLAIN, 30, 6)
    write_jsonl(tmp_path / "pool" / "a.jsonl", good[:20], human=1)
    write_jsonl(tmp_path / "pool" / "b.jsonl", [*plain, *texts_of(GOOD, 60, 1)[:4]], human=0)
    write_jsonl(tmp_path / "pool" / "c.jsonl", good[20:], human=None)
    return tmp_path / "pool"


def test_scoring_keeps_the_share_and_says_threshold_leakage_and_area(
    trained: Path, pool: Path, call: Call, tmp_path: Path
) -> None:
    argv = [pool, "--model", trained, "--out", tmp_path / "out", "--keep-fraction", 0.25, "--labels", "human"]

    code, out, _ = call("quality", "score", *argv, "--json")

    report = json.loads(out)
    kept = [page for path in sorted((tmp_path / "out" / "pages").iterdir()) for page in read_pages(path)]
    assert code == 0
    assert len(kept) == 16  # of 64
    assert report["threshold"] == min(page.record["fasttext_hq_prob"] for page in kept) > 0.5
    assert report["leakage"]["known"] is True
    assert 1 <= report["leakage"]["pages"] <= 4  # the four that were put in, less those held out
    assert report["auc"]["unlabelled"] == 10
    assert (report["auc"]["num_good"], report["auc"]["num_bad"]) == (20, 34)
    assert 0.8 < report["auc"]["score"]["area"] < 1  # four good pages are labelled bad
    assert "length alone" in call("quality", "score", *argv)[1]


def test_a_threshold_keeps_what_reaches_it(trained: Path, pool: Path, tmp_path: Path) -> None:
    report = score_pages([pool], trained, tmp_path / "out", threshold=0.5)

    assert report.run.funnel.pages_out == 34
    assert report.auc is None
    assert report.threshold is None


@pytest.mark.slow
def test_two_workers_score_as_one(trained: Path, pool: Path, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        score_pages([pool], trained, tmp_path / name, keep_fraction=0.5, workers=workers, labels="human")

    for path in sorted((tmp_path / "one" / "pages").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / "pages" / path.name).read_bytes()


def test_a_model_without_known_examples_says_so(trained: Path, pool: Path, tmp_path: Path) -> None:
    trained.with_name("quality.bin.examples.npy").unlink()

    report = score_pages([pool], trained, tmp_path / "out")

    assert not report.leakage.known
    assert "are not known" in report.to_text()


def test_pickled_examples_are_not_loaded(trained: Path) -> None:
    np.save(trained.with_name("quality.bin.examples.npy"), np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"examples\.npy: cannot be read"):
        example_marks(trained)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--keep-fraction", "0.1", "--threshold", "0.5"], "give one of them"),
        (["--labels", "nothing"], "field 'nothing' has to hold 0 and 1"),
        (["--keep-fraction", "2"], "keep_fraction is 2"),
    ],
)
def test_options_of_scoring_that_cannot_be_give_one_line(
    options: list[str], reason: str, trained: Path, pool: Path, call: Call, tmp_path: Path
) -> None:
    code, out, err = call("quality", "score", pool, "--model", trained, "--out", tmp_path / "out", *options)

    assert (code, out) == (2, "")
    assert reason in err
