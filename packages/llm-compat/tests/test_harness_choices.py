"""Choices rebuilt from logged log-probabilities, against hand-worked records, and the check of each line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.answers import choice_code
from llm_compat.data.formats.harness_choices import Choices, choice_codes
from llm_compat.data.outcomes import Outcomes
from llm_compat.data.runs import read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError

Record = dict[str, Any]


def record(
    number: int,
    pairs: list[tuple[float, bool]],
    texts: list[str],
    target: object,
    scores: dict[str, float],
    *,
    delimiter: str = " ",
) -> Record:
    """A record as the harness logs it: numbers in responses are text."""
    document = {"n": number}
    digest = hashlib.sha256(json.dumps(document, indent=2).encode()).hexdigest()
    logged = [[str(value), str(greedy)] for value, greedy in pairs]
    return {
        "doc_id": number,
        "doc": document,
        "target": str(target),
        "arguments": {
            f"gen_args_{place}": {"arg_0": "Q", "arg_1": delimiter + text} for place, text in enumerate(texts)
        },
        "resps": [[pair] for pair in logged],
        "filtered_resps": logged,
        "filter": "none",
        "metrics": list(scores),
        "doc_hash": digest,
        "prompt_hash": hashlib.sha256(b"Q").hexdigest(),
        "target_hash": hashlib.sha256(str(target).encode()).hexdigest(),
        **scores,
    }


def log_of(folder: Path, *records: Record, results: dict[str, Any] | None = None) -> Path:
    log = folder / "samples_task_2026-01-01T00-00-00.jsonl"
    log.write_text("".join(json.dumps(one) + "\n" for one in records))
    if results is not None:
        (folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps(results))
    return log


def configured(**values: Any) -> dict[str, Any]:
    return {"configs": {"task": {"output_type": "multiple_choice", **values}}}


def read(path: Path, **settings: Any) -> Outcomes:
    (one,) = read_run(path, ReadSettings(**settings))
    return one


def taken(one: Outcomes, metric: str) -> list[int]:
    """The index of the choice behind each answer."""
    known = {choice_code(index): index for index in range(50)}
    return [known[int(code)] for code in one.answers[metric]]


# Which choice wins


def test_log_probabilities_are_numbers_though_they_are_logged_as_text(tmp_path: Path) -> None:
    # trap 3: as text "-9.5" is above "-10.5", and "-4" above "-10"; as truth values all texts are true
    pairs = [(-10.5, False), (-9.5, True), (-100.0, False)]
    log = log_of(tmp_path, record(0, pairs, ["a", "b", "c"], 1, {"acc": 1.0}))

    assert taken(read(log), "acc") == [1]


def test_acc_norm_divides_by_the_characters_of_the_choice_without_its_delimiter(tmp_path: Path) -> None:
    # trap 4: -4 / 2 = -2 loses to -7.8 / 4 = -1.95; with the delimiter -4 / 3 = -1.33 would win over -1.56
    pairs = [(-4.0, False), (-7.8, False)]
    scores = {"acc": 1.0, "acc_norm": 0.0}
    log = log_of(tmp_path, record(0, pairs, ["ab", "abcd"], 0, scores))
    one = read(log)

    assert (taken(one, "acc"), taken(one, "acc_norm")) == ([0], [1])


def test_acc_bytes_divides_by_utf8_bytes(tmp_path: Path) -> None:
    # two characters of three bytes: -6 / 6 = -1 against -4 / 3 = -1.33; by characters -3 against -1.33
    pairs = [(-6.0, False), (-4.0, False)]
    scores = {"acc": 0.0, "acc_norm": 0.0, "acc_bytes": 1.0}
    log = log_of(tmp_path, record(0, pairs, ["日本", "abc"], 0, scores))
    one = read(log)

    assert [taken(one, name) for name in scores] == [[1], [1], [0]]


def test_equal_log_probabilities_go_to_the_first_choice(tmp_path: Path) -> None:
    pairs = [(-2.0, False), (-1.0, False), (-1.0, True)]
    log = log_of(tmp_path, record(0, pairs, ["a", "b", "c"], 1, {"acc": 1.0}))

    assert taken(read(log), "acc") == [1]


def test_mutual_information_takes_the_unconditional_half_off(tmp_path: Path) -> None:
    # given the prompt -3, -4, -9; without it -1, -6, -9: differences -2, 2, 0
    pairs = [(-3.0, False), (-4.0, False), (-9.0, False), (-1.0, False), (-6.0, False), (-9.0, False)]
    scores = {"acc": 1.0, "acc_norm": 1.0, "acc_mutual_info": 0.0}
    log = log_of(tmp_path, record(0, pairs, ["a", "b", "c"] * 2, 0, scores))
    one = read(log)

    assert [taken(one, name) for name in scores] == [[0], [0], [1]]


def test_documents_may_have_different_numbers_of_choices(tmp_path: Path) -> None:
    log = log_of(
        tmp_path,
        record(0, [(-2.0, False), (-1.0, False)], ["a", "b"], 1, {"acc": 1.0, "acc_norm": 1.0}),
        record(1, [(-5.0, False)] * 4 + [(-4.0, False)], list("abcde"), 4, {"acc": 1.0, "acc_norm": 1.0}),
        record(
            2, [(-5.0, False), (-6.0, False), (-7.0, False)], list("abc"), 2, {"acc": 0.0, "acc_norm": 0.0}
        ),
    )

    assert taken(read(log), "acc_norm") == [1, 4, 0]


def test_requests_are_ordered_by_number_and_not_by_name(tmp_path: Path) -> None:
    texts = [f"{'x' * (place + 1)}" for place in range(12)]
    pairs = [(-1.0 - place, False) for place in range(12)]
    one = record(0, pairs, texts, 11, {"acc": 0.0, "acc_norm": 0.0})
    one["arguments"] = dict(sorted(one["arguments"].items()))  # gen_args_1, gen_args_10, gen_args_11, ...
    # all means are -1, so the first wins; ordered by name the third has -3 / 12, which is more
    log = log_of(tmp_path, one)

    assert taken(read(log), "acc_norm") == [0]


@given(data=st.data(), rows=st.integers(1, 8))
def test_choices_are_those_of_a_naive_version(data: st.DataObject, rows: int) -> None:
    texts = [
        data.draw(st.lists(st.text("abcé ", min_size=1, max_size=6), min_size=2, max_size=5))
        for _ in range(rows)
    ]
    values = [
        data.draw(st.lists(st.integers(-40, -1), min_size=len(one), max_size=len(one))) for one in texts
    ]
    width = max(map(len, texts))
    padded = np.full((rows, width), -np.inf)
    for row, one in enumerate(values):
        padded[row, : len(one)] = one
    choices = Choices(
        log_probabilities=padded,
        counts=np.array(list(map(len, texts))),
        continuations=[" " + text for one in texts for text in one],
        targets=["0"] * rows,
        same_continuations=False,
    )

    for metric, size in (("acc_norm", len), ("acc_bytes", lambda text: len(text.encode()))):
        expected = []
        for one, these in zip(values, texts, strict=True):
            means = [value / size(text) for value, text in zip(one, these, strict=True)]
            expected.append(means.index(max(means)))
        predictions = choices.predictions(metric, " ")
        assert predictions is not None
        assert predictions.tolist() == expected
    assert len(choice_codes(np.array([3, 0, 3]))) == 3


# Which choice is right


def test_a_target_is_an_index_a_list_of_indices_or_the_text_of_a_choice(tmp_path: Path) -> None:
    pairs = [(-2.0, False), (-1.0, False), (-3.0, False)]
    texts = ["no", "yes", "maybe"]
    log = log_of(
        tmp_path,
        record(0, pairs, texts, 1, {"acc": 1.0}),
        record(1, pairs, texts, [0, 1], {"acc": 1.0}),
        record(2, pairs, texts, [0, 2], {"acc": 0.0}),
        record(3, pairs, texts, "yes", {"acc": 1.0}),
        record(4, pairs, texts, "no", {"acc": 0.0}),
        record(5, pairs, texts, 7, {"acc": 0.0}),
    )
    assert read(log).notes[1:] == ()

    # each of them can contradict the log
    for place in range(6):
        records = [json.loads(line) for line in log.read_text().splitlines()]
        records[place]["acc"] = 1.0 - records[place]["acc"]
        other = tmp_path / "other"
        other.mkdir(exist_ok=True)
        with pytest.raises(InputError, match=rf"line {place + 1}: document {place}: acc is logged"):
            read(log_of(other, *records))


def test_a_number_is_the_text_of_a_choice_where_the_scores_say_so(tmp_path: Path) -> None:
    pairs = [(-1.0, False), (-2.0, False), (-3.0, False)]
    texts = ["2", "1", "0"]
    # read as an index, 2 would be the last choice, and both lines would be contradicted
    log = log_of(
        tmp_path,
        record(0, pairs, texts, "2", {"acc": 1.0}),
        record(1, pairs, texts, "0", {"acc": 0.0}),
    )

    assert taken(read(log), "acc") == [0, 0]


def test_choices_in_the_prompts_have_answers_and_go_unchecked(tmp_path: Path) -> None:
    # winogrande: the continuation is one text, the choices stand in two prompts
    pairs = [(-2.0, False), (-1.0, False)]
    log = log_of(
        tmp_path,
        record(0, pairs, ["2."] * 2, "2.", {"acc": 1.0}),
        record(1, pairs, ["1"] * 2, "1", {"acc": 0.0}),
    )
    one = read(log)

    assert taken(one, "acc") == [1, 1]
    assert one.scores["acc"].tolist() == [1.0, 0.0]
    assert one.notes[-1] == (
        "the choices are in the prompts, so which is right is not logged and goes unchecked"
    )


def test_targets_that_name_no_choice_go_unchecked_with_a_note(tmp_path: Path) -> None:
    pairs = [(-2.0, False), (-1.0, False)]
    log = log_of(tmp_path, record(0, pairs, ["a", "b"], "the second", {"acc": 1.0}))

    assert read(log).notes[-1] == (
        "the targets of 1 of 1 records name no choice, so their accuracy goes unchecked"
    )


# Delimiters


def test_the_delimiter_is_that_of_the_configuration(tmp_path: Path) -> None:
    pairs = [(-4.0, False), (-7.8, False)]
    one = record(0, pairs, ["ab", "abcd"], 0, {"acc_norm": 0.0}, delimiter="\n->")
    log = log_of(tmp_path, one, results=configured(target_delimiter="\n->"))

    assert taken(read(log), "acc_norm") == [1]


@pytest.mark.parametrize("delimiter", ["", " "])
def test_under_a_chat_template_the_delimiter_may_be_there_or_not(tmp_path: Path, delimiter: str) -> None:
    pairs = [(-4.0, False), (-7.8, False)]
    one = record(0, pairs, ["ab", "abcd"], 0, {"acc_norm": 0.0}, delimiter=delimiter)
    log = log_of(tmp_path, one, results={**configured(), "chat_template": "{{ messages }}"})

    assert taken(read(log), "acc_norm") == [1]


def test_a_delimiter_that_not_every_choice_has_is_part_of_the_choices(tmp_path: Path) -> None:
    pairs = [(-4.0, False), (-5.9, False)]
    one = record(0, pairs, [" ab", "abcd"], 0, {"acc_norm": 1.0}, delimiter="")
    # -4 / 3 = -1.33 beats -5.9 / 4 = -1.475; without the space -2 would lose
    assert taken(read(log_of(tmp_path, one)), "acc_norm") == [0]


# The check


FORGED = (
    "line 2: document 1: acc is logged as 1, but the log-probabilities give 0 (1 of 3 lines differ); "
    "run the evaluation again, or pass --read.trust-logged"
)


def forged(folder: Path) -> Path:
    pairs = [(-2.0, False), (-1.0, False)]
    records = [record(number, pairs, ["a", "b"], 1, {"acc": 1.0, "acc_norm": 1.0}) for number in range(3)]
    records[1] |= {"target": "0", "acc": 1.0, "acc_norm": 0.0}
    return log_of(folder, *records)


def test_a_forged_accuracy_is_refused_with_its_line(tmp_path: Path) -> None:
    log = forged(tmp_path)
    with pytest.raises(InputError) as caught:
        read_run(log)
    assert str(caught.value) == f"{log}, {FORGED}"


def test_with_trust_the_logged_scores_stay_and_the_answers_go(tmp_path: Path) -> None:
    one = read(forged(tmp_path), trust_logged=True)

    assert one.scores["acc"].tolist() == [1, 1, 1]
    assert list(one.answers) == ["acc_norm"]
    assert one.notes[-1] == (
        "acc is taken as logged though the log-probabilities give others in 1 records, so it has no answers"
    )


def test_rescoring_replaces_a_score_that_is_not_trusted(tmp_path: Path) -> None:
    one = read(forged(tmp_path), trust_logged=True, rescore=("acc",))

    assert one.scores["acc"].tolist() == [1, 0, 1]
    assert taken(one, "acc") == [1, 1, 1]
    assert one.notes[-1] == "acc is computed anew, though the log has others in 1 records"


def test_an_accuracy_that_is_a_share_is_no_accuracy_of_one_choice(tmp_path: Path) -> None:
    pairs = [(-2.0, False), (-1.0, False)]
    log = log_of(
        tmp_path,
        record(0, pairs, ["a", "b"], 0, {"acc": 0.25}),
        record(1, pairs, ["a", "b"], 0, {"acc": 1.0}),
    )
    one = read(log)

    assert one.scores["acc"].tolist() == [0.25, 1.0]
    assert one.answers == {}
    assert one.notes[-1] == (
        "acc has values besides 0 and 1, so it is no accuracy of one choice and has no answers"
    )


def test_a_task_that_scores_by_its_own_code_is_taken_as_logged(tmp_path: Path) -> None:
    pairs = [(-2.0, False), (-1.0, False)]
    log = log_of(
        tmp_path,
        record(0, pairs, ["a", "b"], 0, {"acc": 1.0}),
        results=configured(process_results="def process_results(doc, results): ..."),
    )
    one = read(log)

    assert (one.scores["acc"].tolist(), one.answers) == ([1.0], {})


def test_a_single_continuation_is_no_choice(tmp_path: Path) -> None:
    log = log_of(tmp_path, record(0, [(-2.0, True)], ["word"], "word", {"acc": 1, "perplexity": -2.0}))
    one = read(log)

    assert one.answers == {}
    assert one.higher_is_better["perplexity"] is True


def test_a_real_perplexity_keeps_its_direction(tmp_path: Path) -> None:
    one = record(0, [(-2.0, True)], ["word"], "word", {"acc": 1, "perplexity": 7.4})
    log = log_of(tmp_path, one, results={"higher_is_better": {"task": {"acc": True, "perplexity": False}}})

    assert read(log).higher_is_better["perplexity"] is False
