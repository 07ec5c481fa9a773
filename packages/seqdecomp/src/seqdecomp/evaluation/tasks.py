"""The in-context tasks: how many shots, how the prompt is joined, how an answer is scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ChoiceScoring = Literal["mean", "sum"]
Match = Literal["exact", "prefix"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One in-context task; the names of the fields are those of LLM-Foundry's task files.

    A prompt is `prompt_string`, the examples and the question. An example is `question_prelimiter`, its
    question, `continuation_delimiter` and its answer; `example_delimiter` stands between two of them. Blanks
    at the end of `continuation_delimiter` are tokenised with the answer, as in running text.

    Attributes:
        name: Name on the command line and in reports.
        files: File names without suffix under which the task is known.
        num_fewshot: Solved examples before each question.
        prompt_string: Text before everything.
        example_delimiter: Text between two examples.
        question_prelimiter: Text before each question.
        continuation_delimiter: Text between question and answer.
        choice_scoring: What decides between choices: the lowest "mean" or "sum" of an answer's token losses.
        max_new_tokens: Longest generated answer, in tokens.
        match: When a generated answer is right: "exact" equality, or "prefix": it begins with an answer.
        has_categories: Examples come from the question's own category, and the score is the mean over the
            categories.
    """

    name: str
    files: tuple[str, ...] = ()
    num_fewshot: int = 0
    prompt_string: str = ""
    example_delimiter: str = "\n"
    question_prelimiter: str = ""
    continuation_delimiter: str = " "
    choice_scoring: ChoiceScoring = "mean"
    max_new_tokens: int = 32
    match: Match = "exact"
    has_categories: bool = False

    def __post_init__(self) -> None:
        if self.num_fewshot < 0:
            raise ValueError(f"num_fewshot: {self.num_fewshot} is negative; give 0 or more")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: {self.max_new_tokens} is not positive; give 1 or more")


_ANSWER = "\nAnswer: "

# Shots are those of arXiv 2405.13226. It does not print its prompts; the delimiters are LLM-Foundry's habit.
_TASKS = (
    Task(name="piqa", files=("piqa",), continuation_delimiter=_ANSWER),
    Task(name="copa", files=("copa",)),
    Task(name="openbookqa", files=("openbook_qa", "openbookqa"), num_fewshot=10),
    Task(name="lambada", files=("lambada_openai", "lambada")),
    Task(name="hellaswag", files=("hellaswag",)),
    Task(name="winograd", files=("winograd_wsc", "winograd"), num_fewshot=3),
    Task(name="winogrande", files=("winogrande",), num_fewshot=5),
    Task(name="squad", files=("squad",), num_fewshot=3),
    Task(name="boolq", files=("boolq",), continuation_delimiter=_ANSWER),
    Task(name="coqa", files=("coqa",)),
    Task(
        name="jeopardy",
        files=("jeopardy_all", "jeopardy"),
        num_fewshot=3,
        continuation_delimiter=_ANSWER,
        has_categories=True,
    ),
    Task(name="arc-easy", files=("arc_easy",), num_fewshot=3, continuation_delimiter=_ANSWER),
    Task(name="arc-challenge", files=("arc_challenge",), num_fewshot=3, continuation_delimiter=_ANSWER),
    Task(name="wikiqa", files=("bigbench_qa_wikidata", "wikiqa"), num_fewshot=3),
)
PAPER_TASKS: Mapping[str, Task] = {task.name: task for task in _TASKS}


def task_of_file(stem: str) -> Task | None:
    """The task known under the file name `stem` (without folder and suffixes), or None."""
    return next((task for task in _TASKS if stem in task.files or stem == task.name), None)
