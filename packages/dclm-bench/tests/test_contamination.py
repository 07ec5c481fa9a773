"""Questions in training text: exact shares, boundaries, a naive oracle, pages dropped, and the command."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dclm_bench.contamination import STEPS
from dclm_bench.contamination.overlap import (
    QuestionGrams,
    content_tokens,
    covered_words,
    judge,
    question_text,
)
from dclm_bench.contamination.removal import contamination_filter, last_sentence
from dclm_bench.contamination.searching import read_task_files, search
from dclm_bench.data.page import Page
from dclm_bench.evaluation.contamination_gain import contamination_gain
from dclm_bench.evaluation.tasks import tasks
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit_shared.cli import Command, run
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.task_files import Question

COMMANDS = {"contamination": Command("", "dclm_bench.commands.contamination:contamination")}
WORDS = [f"word{chr(97 + index)}" for index in range(26)]


def text(first: int, last: int) -> str:
    """The words of the alphabet from number `first` to before `last`."""
    return " ".join(WORDS[first:last])


def shares(
    questions: Sequence[str], pages: Sequence[str], ngram: int = 13, min_tokens: int = 5
) -> list[float]:
    grams = QuestionGrams.of(questions, ngram=ngram, min_tokens=min_tokens)
    found = grams.nothing_found()
    for page in pages:
        grams.find(page, found)
    return grams.shares(found).tolist()


def write(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_words_are_compared_without_case_blanks_and_signs() -> None:
    assert (content_tokens("The cat, (sat)!\n") == content_tokens("the CAT sat")).all()
    assert len(content_tokens("... -- !")) == 0
    assert len(content_tokens("")) == 0


def test_a_question_that_stands_on_a_page_is_found_whole() -> None:
    assert shares([text(0, 20)], [f"Before it. {text(0, 20).upper()}! After it."]) == [1.0]


def test_the_share_is_of_the_words_within_ngrams_that_were_found() -> None:
    # 16 of 20 words in a row hold four 13-grams, which cover these 16
    assert shares([text(0, 20)], [text(0, 16)]) == [0.8]
    # 12 in a row hold none
    assert shares([text(0, 20)], [text(0, 12)]) == [0.0]


def test_a_question_is_contaminated_strictly_above_the_threshold() -> None:
    found = judge("t", np.array([0.8, 17 / 20, np.nan, 0.0]))
    assert (found.num_questions, found.num_judged, found.num_contaminated) == (4, 3, 1)
    assert found.contaminated_share == pytest.approx(1 / 3)
    assert found.mean_share == pytest.approx((0.8 + 0.85) / 3)


def test_pieces_on_several_pages_count_together() -> None:
    assert shares([text(0, 26)], [text(0, 13), text(13, 26)]) == [1.0]
    # 13 words that straddle both pages stand on none
    assert shares([text(6, 20)], [text(0, 13), text(13, 26)]) == [0.0]


def test_a_short_question_counts_as_one_ngram_of_its_own_length() -> None:
    assert shares([text(0, 7)], [text(0, 10)]) == [1.0]
    assert shares([text(0, 7)], [text(0, 6)]) == [0.0]


def test_a_question_with_too_few_words_is_not_judged() -> None:
    assert np.isnan(shares([text(0, 4)], [text(0, 10)])).all()
    assert judge("t", np.array([np.nan])).contaminated_share is None
    assert list(QuestionGrams.of([text(0, 4), text(0, 6), text(0, 20)]).grams) == [6, 13]


def test_the_order_of_words_matters() -> None:
    assert shares([text(0, 5)], [" ".join(reversed(WORDS[:5]))]) == [0.0]


def test_covered_words_by_hand() -> None:
    assert covered_words(np.array([True, False, False, True, False]), 3) == 6
    assert covered_words(np.array([True, True, False]), 2) == 3
    assert covered_words(np.array([False]), 4) == 0


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=12), min_size=1, max_size=4),
    st.lists(st.lists(st.sampled_from("ab"), max_size=12), max_size=3),
    st.integers(1, 5),
)
def test_shares_are_those_of_a_naive_search(
    questions: list[list[str]], pages: list[list[str]], ngram: int
) -> None:
    def naive(question: list[str]) -> float:
        n = min(ngram, len(question))
        there = {tuple(page[i : i + n]) for page in pages for i in range(len(page) - n + 1)}
        covered = {
            place
            for i in range(len(question) - n + 1)
            if tuple(question[i : i + n]) in there
            for place in range(i, i + n)
        }
        return len(covered) / len(question)

    found = shares([" ".join(q) for q in questions], [" ".join(p) for p in pages], ngram, 1)
    assert found == pytest.approx([naive(question) for question in questions])


def test_the_text_of_a_question_is_the_right_context_and_answer() -> None:
    assert question_text(Question(("Why?",), ("no", "yes"), 1)) == "Why? yes"
    assert question_text(Question(("Ann ran since Ann", "Ann ran since Bo"), ("was late.",), 1)) == (
        "Ann ran since Bo was late."
    )


def test_two_task_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "copa.jsonl", [{"context": "c", "continuation": "d"}])
    with pytest.raises(InputError, match="two files are named 'copa'; rename one"):
        read_task_files([tmp_path])


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of two tasks, and one of pages that hold all of `copa` and the half of `boolq`."""
    questions, pages = tmp_path / "questions", tmp_path / "pages"
    questions.mkdir()
    pages.mkdir()
    write(questions / "copa.jsonl", [{"query": text(0, 14), "choices": ["no", "last word"], "gold": 1}])
    write(
        questions / "boolq.jsonl",
        [
            {"query": text(5, 25), "choices": ["no", "yes"], "gold": 1},
            {"query": text(3, 6), "choices": ["no", "yes"], "gold": 0},
        ],
    )
    write(pages / "1.jsonl", [{"text": f"{text(0, 14)} Last word."}, {"text": "nothing"}])
    write(pages / "2.jsonl", [{"text": text(5, 20)}, {"no text": 1}])
    return questions, pages


def test_a_search_tells_what_was_found_and_what_was_read(corpus: tuple[Path, Path]) -> None:
    questions, pages = corpus
    found = search(read_task_files([questions]), [pages])
    boolq, copa = found.tasks
    assert (boolq.task, boolq.num_questions, boolq.num_judged, boolq.num_contaminated) == ("boolq", 2, 1, 0)
    assert (copa.task, copa.num_questions, copa.num_judged, copa.num_contaminated) == ("copa", 1, 1, 1)
    assert boolq.mean_share == pytest.approx(15 / 21)
    assert (found.num_pages, found.num_bad_records, found.num_files) == (3, 1, 2)


@pytest.mark.slow
def test_a_search_does_not_depend_on_the_number_of_workers(corpus: tuple[Path, Path]) -> None:
    questions, pages = corpus
    files = read_task_files([questions])
    one, two = (search(files, [pages], workers=workers) for workers in (1, 2))
    assert one.tasks == two.tasks
    for first, second in zip(one.shares, two.shares, strict=True):
        np.testing.assert_array_equal(first, second)


def test_gains_stand_beside_the_share_of_the_file_that_tasks_have_in_common() -> None:
    control = dict.fromkeys(tasks(), 0.5)
    scores = {**control, "hellaswag": 0.8, "hellaswag_zeroshot": 0.65}
    found = contamination_gain({"hellaswag": 0.4, "copa": 0.0, "piqa": 0.0}, scores, control, "v2")
    assert [(row.task.name, share) for share, row in found.rows] == [
        ("hellaswag_zeroshot", 0.4),
        ("copa", 0.0),
        ("piqa", 0.0),
        ("hellaswag", 0.4),
    ]
    assert [row.difference for _, row in found.rows] == pytest.approx([0.2, 0, 0, 0.4])
    assert found.pearson == pytest.approx(np.corrcoef([0.4, 0, 0, 0.4], [0.2, 0, 0, 0.4])[0, 1])
    assert contamination_gain({"copa": 0.1}, scores, control, "v2").pearson is None


def test_the_command_prints_the_table_and_writes_every_question(
    corpus: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions, pages = corpus
    for name, value in (("model", 0.8), ("control", 0.7)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"icl": {"copa": value, "boolq": 0.7}}))
    given = ["contamination", str(questions), "--training", str(pages), "--out", str(tmp_path / "found.json")]
    given += ["--scores", str(tmp_path / "model.json"), "--control", str(tmp_path / "control.json")]
    assert run("dclm-bench", "", COMMANDS, given) == 0
    out = capsys.readouterr().out
    assert re.search(r"^copa +1 +0 +1 +100\.00% +100\.00%$", out, re.MULTILINE)
    assert re.search(r"^copa +100\.00% +\+20\.00 +12\.17$", out, re.MULTILINE)
    assert "in 3 pages of 2 files; 1 records could not be used" in out
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["questions"] == {"boolq": [round(15 / 21, 6), None], "copa": [1.0]}
    assert written["ngram"] == 13


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--threshold", "80"], "--threshold: 80 is not from 0 to 1; give a share such as 0.8"),
        (["--ngram", "0"], "--ngram: 0 is not positive"),
        (["--scores", "x.json"], "--scores and --control: one is missing"),
    ],
)
def test_the_command_refuses_settings_out_of_range(
    extra: list[str], message: str, corpus: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["contamination", str(corpus[0]), "--training", str(corpus[1]), *extra]
    assert run("dclm-bench", "", COMMANDS, given) == 2
    assert message in capsys.readouterr().err


QUESTION = {
    "query": "Water is heated in a pot. What happens to the water when it boils?",
    "choices": ["It turns into steam.", "It turns to ice."],
    "gold": 0,
}


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ("Quiz! What happens to the WATER, when it boils? A: it turns into steam", 1),
        ("It turns to ice. -- What happens to the water when it boils?", 1),
        ("What happens to the water when it boils? Nobody knows.", 0),
        ("Water is heated in a pot. It turns into steam.", 0),
        ("What happens to the water when it boils? It turns into steamships.", 0),
        ("What happens to the water when it boils? Bit turns into steam.", 0),
        ("What happens to the waters when it boils? It turns into steam.", 0),
        ("", 0),
    ],
)
def test_a_page_with_the_last_sentence_and_an_option_is_dropped(
    page: str, count: int, tmp_path: Path
) -> None:
    step = contamination_filter(str(write(tmp_path / "mmlu.jsonl", [QUESTION])))
    (value,) = step.apply(Page(page))
    assert value == count
    assert step.rules[0].keeps(value) == (count == 0)
    assert not step.edits


def test_a_schema_is_dropped_for_its_shared_end_with_one_of_its_beginnings(tmp_path: Path) -> None:
    record = {
        "context_options": ["Sarah was better than Maria so Sarah", "Sarah was better than Maria so Maria"],
        "continuation": "always got the easier cases.",
        "gold": 1,
    }
    step = contamination_filter([str(write(tmp_path / "winogrande.jsonl", [record]))])
    assert step.apply(Page("Sarah was better than Maria, so Sarah always got the easier cases.")) == [1.0]
    assert step.apply(Page("He always got the easier cases.")) == [0.0]


def test_a_short_last_sentence_is_taken_with_the_one_before() -> None:
    assert last_sentence("A man sits down at a table. He", 5) == "A man sits down at a table. He"
    assert last_sentence("One. Two words here now, five", 5) == "Two words here now, five"
    assert last_sentence("Too short.", 5) is None


def test_the_filter_is_a_step_with_a_name() -> None:
    assert STEPS["contamination_filter"] == "dclm_bench.contamination.removal:contamination_filter"
    with pytest.raises(InputError, match="min_sentence_tokens is 0; give 1 or more"):
        contamination_filter("x.jsonl", min_sentence_tokens=0)
