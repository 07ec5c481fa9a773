"""Choices about one long text: reading, cutting the text, scoring the options."""

import numpy as np
import pytest
from seqdecomp.evaluation.closed_ended import (
    WHOLE_SETS,
    ChoiceProtocol,
    ChoiceSet,
    cut_context,
    evaluate_choice_set,
    parse_question,
    read_choice_set,
)
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Scorer

# The two forms in which the sets write their options.
LECTURE = {
    "input": "ok so today we talk about rivers and their names " * 3,
    "instructions": [
        "what is the lecture about\nA. rivers\nB. mountains\nC. the sea",
        "who speaks\nA. a boy\nB. a man",
    ],
    "outputs": ["A", "B"],
    "source": "toefl_tpo",
    "evaluation": "exam",
}
STORY = {
    "input": "It was late.",
    "instructions": ["Why did she go?\n\n (A) She was tired. \n (B) It rained (a lot). \n (C) No reason. "],
    "outputs": ["(B) It rained (a lot)."],
    "source": "quality_raw",
}


def test_options_are_read_in_both_forms():
    lecture = parse_question(LECTURE["instructions"][0], "A")
    assert (lecture.question, lecture.letters, lecture.options, lecture.gold) == (
        "what is the lecture about",
        ("A", "B", "C"),
        ("rivers", "mountains", "the sea"),
        0,
    )
    story = parse_question(STORY["instructions"][0], STORY["outputs"][0])
    assert story.question == "Why did she go?"
    assert story.options == ("She was tired.", "It rained (a lot).", "No reason.")
    assert story.gold == 1


def test_the_set_is_named_by_its_source_and_its_counts_are_checked(write_records):
    choices = read_choice_set(write_records("tpo.jsonl", [LECTURE]))
    assert (choices.name, len(choices.texts), len(choices.questions)) == ("toefl", 1, 2)
    assert choices.is_whole is False
    assert WHOLE_SETS == {"toefl": (15, 269), "quality": (15, 202)}  # L-Eval's closed-ended sets
    whole = ChoiceSet("toefl", choices.texts * 15, choices.questions[:1] * 269)
    assert whole.is_whole is True
    own = read_choice_set(write_records("mine.jsonl", [{k: v for k, v in LECTURE.items() if k != "source"}]))
    assert (own.name, own.is_whole) == ("mine", None)


@pytest.mark.parametrize("choice_scoring", ["mean", "sum", "letter"])
def test_the_option_with_the_lowest_loss_is_chosen(
    write_records, bigram_scorer, tokenizer, expected_loss, choice_scoring
):
    choices = read_choice_set(write_records("tpo.jsonl", [LECTURE]))
    result = evaluate_choice_set(
        bigram_scorer, tokenizer, choices, protocol=ChoiceProtocol(choice_scoring=choice_scoring)
    )
    for losses, question, chosen in zip(result.option_losses, choices.questions, result.chosen, strict=True):
        answers = question.letters if choice_scoring == "letter" else question.options
        token_losses = [expected_loss("Answer:", f" {answer}") for answer in answers]
        expected = [t.mean() if choice_scoring == "mean" else t.sum() for t in token_losses]
        assert losses == pytest.approx(expected, rel=1e-5)
        assert chosen == int(np.argmin(expected))
    assert result.accuracy.total == 2
    assert result.gold == (0, 1)


def test_a_model_that_knows_the_answers_gets_them_all(write_records, reciting, tokenizer):
    choices = read_choice_set(write_records("quality.jsonl", [STORY]))
    known = "It was late.\n\nQuestion: Why did she go?\nAnswer: It rained (a lot)."
    result = evaluate_choice_set(reciting(known), tokenizer, choices)
    assert result.accuracy.value == 1.0
    assert result.answer_loss < 1e-6
    assert result.document()["chosen"] == [1]


@pytest.mark.parametrize(
    ("rule", "kept"), [("end", [0, 1, 2, 3]), ("start", [6, 7, 8, 9]), ("middle", [0, 1, 8, 9])]
)
def test_a_text_is_cut_by_the_named_rule(rule, kept):
    assert cut_context(np.arange(10), 4, rule).tolist() == kept
    assert cut_context(np.arange(4), 4, rule).tolist() == [0, 1, 2, 3]
    assert cut_context(np.arange(4), 0, rule).tolist() == []


def test_question_and_options_always_fit_and_cut_texts_are_counted(write_records, bigram_scorer, tokenizer):
    choices = read_choice_set(write_records("tpo.jsonl", [LECTURE, STORY]))
    short = Scorer(model=bigram_scorer.model, max_length=70)
    result = evaluate_choice_set(short, tokenizer, choices)
    whole = evaluate_choice_set(bigram_scorer, tokenizer, choices)
    assert (result.cut_questions, whole.cut_questions) == (2, 0)
    # a bigram model sees only the token before, which the cut leaves as it is
    for cut_losses, losses in zip(result.option_losses, whole.option_losses, strict=True):
        assert cut_losses == pytest.approx(losses)
    with pytest.raises(InputError, match=r"^toefl: question 'what is .*' and its options have 55 tokens"):
        evaluate_choice_set(Scorer(model=bigram_scorer.model, max_length=40), tokenizer, choices)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": ["A"]}, "line 1: 2 instructions but 1 outputs; mend the record"),
        ({"input": None}, "line 1: field 'input' is missing or no str; mend the record"),
        (
            {"outputs": ["E", "B"]},
            "line 1: instruction 1: no two options such as '(A) ...' or 'A. ...' found, or output 'E' "
            "names none of them; mend the record",
        ),
    ],
)
def test_a_wrong_record_is_refused_with_its_place(write_records, change, message):
    path = write_records("tpo.jsonl", [{**LECTURE, **change}])
    with pytest.raises(InputError) as error:
        read_choice_set(path)
    assert str(error.value) == f"{path}: {message}"
