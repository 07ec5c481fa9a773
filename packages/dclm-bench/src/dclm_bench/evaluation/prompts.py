"""Prompts: solved examples before a question, and the question."""

from collections.abc import Sequence

from toolkit_shared.evaluation.few_shot import draw_examples
from toolkit_shared.evaluation.task_files import Question

from dclm_bench.evaluation.tasks import Task

EXAMPLE_DELIMITER = "\n"


def few_shot_prefixes(
    task: Task, questions: Sequence[Question], asked: int, *, num_fewshot: int, seed: int
) -> list[str]:
    """The solved examples before each of the first `asked` questions, each followed by a line break.

    The examples are of the question's own category where the task has categories. The official code draws
    them by another generator; the same examples are not to be expected, and scores differ by that noise.

    Source: LLM-Foundry, `InContextLearningDataset`.
    """
    shown = draw_examples(
        [question.category if task.group_sizes else "" for question in questions],
        asked,
        num_fewshot=num_fewshot,
        task=task.name,
        seed=seed,
    )
    solved = [solved_example(task, question) + EXAMPLE_DELIMITER for question in questions]
    return ["".join(solved[i] for i in numbers) for numbers in shown]


def solved_example(task: Task, question: Question) -> str:
    """A question with its answer, and with the chain of thought before that where there is one."""
    thought = question.chain_of_thought + task.cot_delimiter if question.chain_of_thought else ""
    return question_prompt(task, question.context) + thought + question.answer


def question_prompt(task: Task, context: str) -> str:
    """The question without its answer."""
    return task.question_prelimiter + context + task.continuation_delimiter
