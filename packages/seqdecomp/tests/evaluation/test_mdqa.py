"""Questions over many documents: prompts, distractors and the metric."""

import pytest
from seqdecomp.evaluation.answers import (
    best_subspan_em,
    exact_match,
    first_answer_line,
    has_answer_line,
    normalize_answer,
)
from seqdecomp.evaluation.multi_document import (
    GOLD_POSITIONS,
    MultiDocumentPrompt,
    evaluate_questions,
    evaluate_random_distractors,
    is_right,
    read_questions,
    with_random_distractors,
)
from toolkit_shared.errors import InputError

CITIES = ["Paris", "Rome", "Oslo", "Bern", "Riga", "Kyiv", "Lima", "Cairo", "Quito", "Accra", "Hanoi", "Doha"]


def oracle_records():
    return [
        {
            "question": f"which city has landmark {number}",
            "answers": [city],
            "ctxs": [{"title": f"T{number}", "text": f"Landmark {number} is in {city}.", "isgold": True}],
        }
        for number, city in enumerate(CITIES)
    ]


@pytest.mark.parametrize(
    ("output", "right"),
    [
        ("\n\nParis\nfoo", True),  # the answer is the first line that is not empty
        ("Paris", True),
        ("   \n\t\n It is the Paris, of course.\n", True),
        ("foo\nParis", False),
        ("\n\n", False),
        ("", False),
    ],
)
def test_the_answer_is_the_first_line_that_is_not_empty(output, right):
    assert is_right(output, ["paris"]) is right


def test_an_answer_is_complete_once_its_line_has_ended():
    assert [has_answer_line(text) for text in ("", "\n", "\n\nPar", "\n\nParis\n", "Paris\nx")] == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert first_answer_line("\r\n Paris \r\nx") == "Paris"


def test_normalisation_drops_case_punctuation_articles_and_extra_blanks():
    assert normalize_answer(" The  Eiffel-Tower, an ICON! ") == "eiffeltower icon"
    assert best_subspan_em("It was Wilhelm Conrad Röntgen (1901).", ["wilhelm conrad röntgen"])
    assert not best_subspan_em("It was Röntgen.", ["Wilhelm Conrad Röntgen"])
    assert best_subspan_em("1969", ["in July", "1969"])
    assert exact_match("The Beatles.", ["beatles"])
    assert not exact_match("The Beatles sang", ["beatles"])


def test_gold_positions_are_the_published_ones():
    assert GOLD_POSITIONS == {10: (0, 4, 9), 20: (0, 4, 9, 14, 19), 30: (0, 4, 9, 14, 19, 24, 29)}


def test_a_gold_document_stands_among_other_questions_gold_documents(write_records):
    questions = read_questions(write_records("oracle.jsonl.gz", oracle_records()))
    made = with_random_distractors(questions, num_documents=10, gold_position=4, asked=12)
    for original, question in zip(questions, made, strict=True):
        texts = [passage.text for passage in question.passages]
        assert len(set(texts)) == 10
        assert question.gold_position == 4
        assert question.passages[4] == original.passages[0]
        assert sum(passage.is_gold for passage in question.passages) == 1
        assert not any(question.answers[0] in text for place, text in enumerate(texts) if place != 4)


def test_only_the_gold_document_moves_between_positions(write_records):
    questions = read_questions(write_records("oracle.jsonl", oracle_records()))
    first, last = (
        with_random_distractors(questions, num_documents=6, gold_position=place, asked=1)[0]
        for place in (0, 5)
    )
    assert first.passages[1:] == last.passages[:5]
    assert first.passages[0] == last.passages[5]


def test_a_document_that_holds_the_answer_is_no_distractor(write_records):
    records = oracle_records()
    records[3]["ctxs"][0]["text"] = "Bern is not the Paris of the Alps."
    questions = read_questions(write_records("oracle.jsonl", records))
    (made,) = with_random_distractors(questions, num_documents=11, gold_position=0, asked=1)
    assert all("Paris" not in passage.text for passage in made.passages[1:])
    with pytest.raises(InputError, match="only 10 distractors for question 1 where 11 are needed"):
        with_random_distractors(questions, num_documents=12, gold_position=0, asked=1)


def test_documents_are_numbered_from_one_and_braces_in_them_stay(write_records):
    records = oracle_records()[:1]
    records[0]["ctxs"][0]["text"] = "a {question} in {braces}"
    (question,) = read_questions(write_records("oracle.jsonl", records))
    prompt = MultiDocumentPrompt(template="{search_results}|{question}", document_template="{number}:{text}")
    assert prompt.render(question) == "1:a {question} in {braces}|which city has landmark 0"


def test_each_position_is_scored_and_the_score_is_their_mean(write_records, reciting, tokenizer):
    questions = read_questions(write_records("oracle.jsonl", oracle_records()[:4]))
    prompt = MultiDocumentPrompt(template="{documents}?{question}:", document_template="{text}")
    texts = []
    for place, known in ((0, 2), (1, 1), (2, 0)):  # so many questions are answered at each position
        made = with_random_distractors(questions, num_documents=3, gold_position=place, asked=2)
        texts += [
            prompt.render(question) + "\n\n" + question.answers[0] + "\nfoo" for question in made[:known]
        ]
    result = evaluate_random_distractors(
        reciting(*texts), tokenizer, questions, num_documents=3, limit=2, prompt=prompt, max_new_tokens=16
    )
    assert {place: accuracy.correct for place, accuracy in result.by_position.items()} == {0: 2, 1: 1, 2: 0}
    assert result.score == pytest.approx(0.5)
    assert result.variant == "random-distractor"


def test_a_prompt_too_long_loses_its_start_and_is_counted(write_records, reciting, tokenizer):
    questions = read_questions(write_records("oracle.jsonl", oracle_records()[:2]))
    scorer = reciting("nothing", max_length=40)
    accuracy, cut = evaluate_questions(scorer, tokenizer, questions, max_new_tokens=4)
    assert (accuracy.correct, accuracy.total, cut) == (0, 2, 2)
    with pytest.raises(InputError, match="max_new_tokens: 50 do not fit the model's context 40; lower it"):
        evaluate_questions(scorer, tokenizer, questions, max_new_tokens=50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": []}, "line 1: field 'answers' is missing, empty or no list; mend it"),
        ({"ctxs": [{"text": "x"}]}, "line 1: an entry of 'ctxs' lacks title or text; mend the record"),
        (
            {"ctxs": [{"title": "t", "text": "x", "isgold": False}] * 2},
            "line 1: no entry of 'ctxs' has isgold true; mark the document with the answer",
        ),
    ],
)
def test_a_wrong_record_is_refused_with_its_place(write_records, change, message):
    path = write_records("oracle.jsonl", [{**oracle_records()[0], **change}])
    with pytest.raises(InputError) as error:
        read_questions(path)
    assert str(error.value) == f"{path}: {message}"


def test_a_prompt_file_without_its_fields_is_refused():
    with pytest.raises(ValueError, match=r"template: lacks \{question\} or \{documents\}"):
        MultiDocumentPrompt(template="{documents}")
