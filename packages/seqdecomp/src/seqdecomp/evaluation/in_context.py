"""Accuracy on in-context tasks: choices, continuations, schemas and generated answers."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit_shared.evaluation.few_shot import draw_examples
from toolkit_shared.evaluation.scorer import Progress, Scorer
from toolkit_shared.evaluation.task_files import Question, QuestionKind

from seqdecomp.data.tokenizer import Tokenizer
from seqdecomp.evaluation.accuracy import Accuracy
from seqdecomp.evaluation.answers import exact_match, first_answer_line, has_answer_line, normalize_answer
from seqdecomp.evaluation.continuations import ContinuationScore, answer_prompts, score_continuations
from seqdecomp.evaluation.tasks import Task


@dataclass(frozen=True)
class InContextResult:
    """Outcome of one task.

    Attributes:
        task: The task as it was run.
        kind: Shape of its examples.
        is_correct: One flag a question, in the file's order.
        answer_losses: Mean token loss of each question's right answer, nats; empty for generated answers.
        categories: Category of each question; "" where there is none.
        cut_prompts: Prompts whose start was cut away to fit the context.
        outputs: Generated answers; empty for the other shapes.
    """

    task: Task
    kind: QuestionKind
    is_correct: tuple[bool, ...]
    answer_losses: tuple[float, ...]
    categories: tuple[str, ...]
    cut_prompts: int
    outputs: tuple[str, ...] = ()

    @property
    def accuracy(self) -> Accuracy:
        """Over all questions alike."""
        return Accuracy.of(self.is_correct)

    @property
    def by_category(self) -> dict[str, Accuracy]:
        """Over the questions of each category, in the order of their names."""
        flags = defaultdict(list)
        for category, flag in zip(self.categories, self.is_correct, strict=True):
            flags[category].append(flag)
        return {category: Accuracy.of(flags[category]) for category in sorted(flags)}

    @property
    def score(self) -> float:
        """What counts in the paper's summary, 0..1: the accuracy, or its mean over the categories."""
        if not self.task.has_categories:
            return self.accuracy.correct / self.accuracy.total
        shares = [accuracy.correct / accuracy.total for accuracy in self.by_category.values()]
        return sum(shares) / len(shares)

    @property
    def mean_loss(self) -> float | None:
        """Mean over the questions of the right answer's mean token loss, nats."""
        return math.fsum(self.answer_losses) / len(self.answer_losses) if self.answer_losses else None

    def document(self) -> dict[str, Any]:
        """Fields for a JSON report."""
        categories = self.by_category if self.task.has_categories else {}
        return {
            "kind": self.kind,
            "num_fewshot": self.task.num_fewshot,
            "score": self.score,
            **self.accuracy.document(),
            "answer_loss": self.mean_loss,
            "cut_prompts": self.cut_prompts,
            "categories": {name: accuracy.document() for name, accuracy in categories.items()},
        }


def evaluate_in_context(
    scorer: Scorer,
    tokenizer: Tokenizer,
    task: Task,
    kind: QuestionKind,
    examples: Sequence[Question],
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> InContextResult:
    """Ask the questions in `examples`, each after `task.num_fewshot` others of them with their answers.

    Multiple choice: the choice with the lowest loss. Schema: the context after which the answer has the
    lowest loss. Language modeling: every token of the answer must be the most probable. Generation: the first
    non-empty line of a greedy answer must match an accepted one.

    Args:
        scorer: The model.
        tokenizer: The model's tokenizer.
        task: Shots, delimiters, scoring.
        kind: Shape of the examples.
        examples: The questions; the solved examples come from all of them.
        limit: Ask only so many, from the first on.
        seed: Seed of the choice of solved examples.
        progress: Called with the number of rows done.
    """
    asked = list(examples[:limit])
    before = few_shot_prefixes(task, examples, len(asked), seed)
    if kind == "generation":
        return _generate(scorer, tokenizer, task, asked, before, progress)
    return _choose(scorer, tokenizer, task, kind, asked, before, progress)


def few_shot_prefixes(task: Task, examples: Sequence[Question], asked: int, seed: int) -> list[str]:
    """The text before each of the first `asked` questions: the prompt string and the solved examples.

    The examples are of the question's own category where the task has categories; see `draw_examples`.
    """
    shown = draw_examples(
        [example.category if task.has_categories else "" for example in examples],
        asked,
        num_fewshot=task.num_fewshot,
        task=task.name,
        seed=seed,
    )
    solved = [
        _question(task, example.context) + example.answer + task.example_delimiter for example in examples
    ]
    return [task.prompt_string + "".join(solved[i] for i in numbers) for numbers in shown]


def best_option(options: Sequence[ContinuationScore], by_sum: bool = False) -> int:
    """Index of the option with the lowest mean token loss, or lowest sum; the first on a tie."""
    losses = [option.loss_sum if by_sum else option.mean_loss for option in options]
    return losses.index(min(losses))


def _generate(
    scorer: Scorer,
    tokenizer: Tokenizer,
    task: Task,
    asked: Sequence[Question],
    before: Sequence[str],
    progress: Progress | None,
) -> InContextResult:
    """Greedy answers, compared with the accepted ones."""
    texts, cut = answer_prompts(
        scorer,
        tokenizer,
        [prefix + _question(task, e.context) for prefix, e in zip(before, asked, strict=True)],
        max_new_tokens=task.max_new_tokens,
        is_complete=has_answer_line,
        progress=progress,
    )
    lines = tuple(first_answer_line(text) for text in texts)
    flags = tuple(_matches(task, line, e.answers) for line, e in zip(lines, asked, strict=True))
    return InContextResult(task, "generation", flags, (), tuple(e.category for e in asked), cut, lines)


def _choose(
    scorer: Scorer,
    tokenizer: Tokenizer,
    task: Task,
    kind: QuestionKind,
    asked: Sequence[Question],
    before: Sequence[str],
    progress: Progress | None,
) -> InContextResult:
    """Losses of every answer after every context of each question, compared with each other."""
    pairs = [
        (prefix + _question(task, context), answer)
        for prefix, example in zip(before, asked, strict=True)
        for context in example.contexts
        for answer in example.answers
    ]
    scores = iter(score_continuations(scorer, tokenizer, pairs, progress=progress))
    flags, losses, cut = [], [], 0
    for example in asked:
        options = [next(scores) for _ in range(len(example.contexts) * len(example.answers))]
        flags.append(
            options[0].is_greedy
            if kind == "language modeling"
            else best_option(options, task.choice_scoring == "sum") == example.gold
        )
        losses.append(options[example.gold].mean_loss)
        cut += sum(option.is_cut for option in options)
    categories = tuple(example.category for example in asked)
    return InContextResult(task, kind, tuple(flags), tuple(losses), categories, cut)


def _question(task: Task, context: str) -> str:
    return task.question_prelimiter + context + task.continuation_delimiter


def _matches(task: Task, line: str, answers: Sequence[str]) -> bool:
    if task.match == "exact":
        return exact_match(line, answers)
    given = normalize_answer(line)
    return any(given.startswith(normalize_answer(answer)) for answer in answers)
