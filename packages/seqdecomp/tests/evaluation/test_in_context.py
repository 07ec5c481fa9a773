"""In-context tasks in the four shapes of their files, scored by models whose answers are known."""

import numpy as np
import pytest
from seqdecomp.evaluation.continuations import ContinuationScore, score_continuations
from seqdecomp.evaluation.in_context import best_option, evaluate_in_context, few_shot_prefixes
from seqdecomp.evaluation.tasks import PAPER_TASKS, Task, task_of_file
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Scorer
from toolkit_shared.evaluation.task_files import Question, read_task_file

CHOICES = [
    {"query": "Question: what is red?\n", "choices": ["a rose", "snow", "the deep sea"], "gold": 0},
    {"query": "Question: what is cold?\n", "choices": ["fire", "ice", "a noon in May"], "gold": 1},
]
SCHEMA = [
    {
        "context_options": ["Ann called Bea so Ann", "Ann called Bea so Bea"],
        "continuation": "rang.",
        "gold": 1,
    }
]
LANGUAGE = [
    {"context": "CITIES: The capital of France\n", "continuation": "Paris", "category": "cities"},
    {"context": "CITIES: The capital of Spain\n", "continuation": "Madrid", "category": "cities"},
    {"context": "RIVERS: It flows through Paris\n", "continuation": "Seine", "category": "rivers"},
]
GENERATION = [{"context": "Who wrote Emma?", "answer": "Jane Austen", "aliases": ["Austen", "J. Austen"]}]


def read(path):
    file = read_task_file(path)
    return file.kind, file.questions


def test_the_choice_with_the_lowest_mean_loss_is_taken(
    write_records, bigram_scorer, tokenizer, expected_loss
):
    kind, examples = read(write_records("t.jsonl", CHOICES))
    task = Task(name="t", continuation_delimiter="\nAnswer: ")
    result = evaluate_in_context(bigram_scorer, tokenizer, task, kind, examples)
    losses = [
        [expected_loss(f"{e.context}\nAnswer:", f" {choice}").mean() for choice in e.answers]
        for e in examples
    ]
    chosen = [int(np.argmin(values)) for values in losses]
    assert list(result.is_correct) == [c == e.gold for c, e in zip(chosen, examples, strict=True)]
    assert result.answer_losses == pytest.approx(
        [values[e.gold] for values, e in zip(losses, examples, strict=True)], rel=1e-5
    )


def test_mean_and_sum_choose_differently_between_long_and_short():
    # by hand: means 2 and 1.5, sums 2 and 6
    short, long = ContinuationScore(2.0, 1, False, False), ContinuationScore(6.0, 4, False, False)
    assert best_option([short, long]) == 1
    assert best_option([short, long], by_sum=True) == 0
    assert best_option([short, short]) == 0


def test_a_schema_takes_the_context_after_which_the_ending_is_likeliest(
    write_records, bigram_scorer, tokenizer, expected_loss
):
    kind, examples = read(write_records("winograd_wsc.jsonl", SCHEMA))
    result = evaluate_in_context(bigram_scorer, tokenizer, Task(name="t"), kind, examples)
    losses = [expected_loss(context, " rang.").mean() for context in examples[0].contexts]
    assert result.is_correct == (bool(np.argmin(losses) == 1),)
    assert result.answer_losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_continuation_counts_only_when_every_token_is_the_likeliest(write_records, reciting, tokenizer):
    kind, examples = read(write_records("t.jsonl", LANGUAGE))
    recited = [f"{e.context}\nAnswer: {e.answer}" for e in examples]
    recited[1] = recited[1].replace("Madrid", "Madrix")
    task = Task(name="t", continuation_delimiter="\nAnswer: ", has_categories=True)
    result = evaluate_in_context(reciting(*recited), tokenizer, task, kind, examples)
    assert result.is_correct == (True, False, True)
    assert result.accuracy.value == pytest.approx(2 / 3)
    assert result.score == pytest.approx((1 / 2 + 1) / 2)  # the mean over cities and rivers


def test_a_generated_answer_may_be_any_alias_after_normalisation(write_records, reciting, tokenizer):
    kind, examples = read(write_records("t.jsonl", GENERATION))
    outcomes = {}
    for output in ("\n\nThe Austen.\nBorn in 1775", "jane austen!", "Jane Austen wrote it", "Eyre"):
        scorer = reciting(f"Who wrote Emma?{output}")
        task = Task(name="t", continuation_delimiter=" ")
        result = evaluate_in_context(scorer, tokenizer, task, kind, examples)
        begins = evaluate_in_context(
            scorer, tokenizer, Task(name="t", match="prefix"), kind, examples
        ).is_correct
        outcomes[output.split("\n")[-1]] = (*result.is_correct, *begins)
    assert outcomes == {
        "Born in 1775": (True, True),
        "jane austen!": (True, True),
        "Jane Austen wrote it": (False, True),
        "Eyre": (False, False),
    }


def test_the_prompt_is_joined_of_the_tasks_strings():
    examples = [Question((f"Q{i}",), (f"A{i}",)) for i in range(2)]
    task = Task(
        name="t",
        num_fewshot=1,
        prompt_string="Answer.\n",
        question_prelimiter="Q: ",
        continuation_delimiter="\nA: ",
        example_delimiter="\n\n",
    )
    assert few_shot_prefixes(task, examples, 2, seed=0) == [
        "Answer.\nQ: Q1\nA: A1\n\n",
        "Answer.\nQ: Q0\nA: A0\n\n",
    ]


def test_examples_are_others_and_do_not_depend_on_how_many_are_asked():
    examples = [Question((f"Q{i}",), (f"A{i}",)) for i in range(20)]
    task = Task(name="t", num_fewshot=5)
    prefixes = few_shot_prefixes(task, examples, 20, seed=1)
    for index, prefix in enumerate(prefixes):
        shown = prefix.strip().split("\n")
        assert len(set(shown)) == 5
        assert f"Q{index} A{index}" not in shown
    assert few_shot_prefixes(task, examples, 3, seed=1) == prefixes[:3]
    assert few_shot_prefixes(task, examples, 20, seed=2) != prefixes


def test_examples_of_a_task_with_categories_come_from_the_questions_own():
    examples = [Question((f"Q{i}",), ("A",), 0, "even" if i % 2 == 0 else "odd") for i in range(12)]
    task = Task(name="t", num_fewshot=3, has_categories=True)
    for index, prefix in enumerate(few_shot_prefixes(task, examples, 12, seed=0)):
        shown = [int(line.split()[0][1:]) for line in prefix.strip().split("\n")]
        assert all(number % 2 == index % 2 for number in shown)


def test_a_prompt_too_long_loses_its_start_and_is_counted(bigram_scorer, tokenizer, expected_loss):
    short = Scorer(model=bigram_scorer.model, max_length=12)
    scores = score_continuations(short, tokenizer, [("x" * 50 + "ab", " cd"), ("ab", " cd")])
    assert [score.is_cut for score in scores] == [True, False]
    assert scores[0].loss_sum == pytest.approx(scores[1].loss_sum) == expected_loss("ab", " cd").sum()
    with pytest.raises(InputError, match=r"^answer 'ddd.*': has 13 tokens; 1 to 12 fit the model's context$"):
        score_continuations(short, tokenizer, [("ab", "d" * 13)])


def test_blanks_before_the_answer_belong_to_the_answer(bigram_scorer, tokenizer, expected_loss):
    (score,) = score_continuations(bigram_scorer, tokenizer, [("Answer:  ", "yes")])
    assert score.tokens == 5
    assert score.loss_sum == pytest.approx(expected_loss("Answer:", "  yes").sum(), rel=1e-5)


def test_the_papers_fourteen_tasks_have_their_shots():
    # the shots that arXiv 2405.13226 gives
    shots = {
        "piqa": 0,
        "copa": 0,
        "openbookqa": 10,
        "lambada": 0,
        "hellaswag": 0,
        "winograd": 3,
        "winogrande": 5,
        "squad": 3,
        "boolq": 0,
        "coqa": 0,
        "jeopardy": 3,
        "arc-easy": 3,
        "arc-challenge": 3,
        "wikiqa": 3,
    }
    assert {name: task.num_fewshot for name, task in PAPER_TASKS.items()} == shots
    assert task_of_file("lambada_openai").name == "lambada"
    assert task_of_file("unheard_of") is None
