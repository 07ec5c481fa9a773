"""One task asked of a model: choices, schemas, continuations and generated answers."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.rows import continuation_rows, prompt_rows
from toolkit_shared.evaluation.task_files import Question, QuestionKind, TaskFile

from dclm_bench.evaluation.aggregates import mean
from dclm_bench.evaluation.answers import Match, final_answer, is_right
from dclm_bench.evaluation.prompts import few_shot_prefixes, question_prompt
from dclm_bench.evaluation.tasks import Task
from dclm_bench.tokenization.tokenizers import Tokenizer

if TYPE_CHECKING:
    from toolkit_shared.evaluation.scorer import Progress, Scorer

_SPARE_TOKENS = 10  # of an answer, beyond the longest of the file; LLM-Foundry's number


@dataclass(frozen=True)
class TaskResult:
    """The answers of a model to one task.

    Attributes:
        task: The task.
        is_right: For each question asked, in the file's order.
        groups: Their groups, "" where there are none.
        num_in_file: Questions in the file.
        num_cut: Prompts whose beginning was cut away to fit the model.
        outputs: Generated answers; empty for the other shapes.
    """

    task: Task
    is_right: tuple[bool, ...]
    groups: tuple[str, ...]
    num_in_file: int
    num_cut: int
    outputs: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Share of right answers, or its mean over the groups for a task that has them; 0..1."""
        if not self.task.group_sizes:
            return mean([float(right) for right in self.is_right])
        return mean([mean(flags) for flags in self.by_group.values()])

    @property
    def by_group(self) -> dict[str, list[float]]:
        """1 for right and 0 for wrong, for the questions of each group, in the order of their names."""
        flags: dict[str, list[float]] = defaultdict(list)
        for group, right in zip(self.groups, self.is_right, strict=True):
            flags[group].append(float(right))
        return {group: flags[group] for group in sorted(flags)}


def best_option(losses: Sequence[npt.NDArray[np.float64]]) -> int:
    """Index of the option with the lowest mean token loss; the first on a tie.

    Source: LLM-Foundry, `InContextLearningMultipleChoiceAccuracy` (the perplexity of each continuation).
    """
    means = [float(one.mean()) for one in losses]
    return means.index(min(means))


def ask_task(
    scorer: "Scorer",
    tokenizer: Tokenizer,
    task: Task,
    file: TaskFile,
    *,
    limit: int | None = None,
    num_fewshot: int | None = None,
    max_new_tokens: int | None = None,
    match: Match = "prefix",
    seed: int = 0,
    progress: "Progress | None" = None,
) -> TaskResult:
    """Put the questions of a file to a model.

    Multiple choice: the choice with the lowest mean token loss. Schema: the context after which the shared
    continuation has the lowest. Language modelling: every token of the continuation is the most probable one.
    Generation: a greedy answer, of which what follows the chain of thought begins with an accepted one.

    Args:
        scorer: The model.
        tokenizer: Its tokenizer.
        task: How it is asked; its examples come from the whole file.
        file: The questions.
        limit: Ask only so many, from the first on.
        num_fewshot: Solved examples; None: the task's own number.
        max_new_tokens: Of a generated answer; None: the longest answer of the file and ten.
        match: How generated answers are compared.
        seed: Of the choice of examples.
        progress: Called with the number of rows done.

    Raises:
        InputError: the file's questions have another shape than the task, a question's group is not known of
            it, or an answer does not fit the model.

    Source: section 3.5 of the paper; LLM-Foundry.
    """
    if file.kind != task.kind:
        raise InputError(f"{task.name}: its questions are {task.kind}, and those of the file {file.kind}")
    known = {group for group, _ in task.group_sizes}
    unknown = sorted({question.category for question in file.questions} - known) if known else []
    if unknown:
        raise InputError(
            f"{task.name}: the group {unknown[0]!r} of a question is none of {', '.join(sorted(known))}"
        )
    asked = file.questions[:limit]
    shots = task.num_fewshot if num_fewshot is None else num_fewshot
    before = few_shot_prefixes(task, file.questions, len(asked), num_fewshot=shots, seed=seed)
    if file.kind == "generation":
        new = max_new_tokens or longest_answer(tokenizer, task, file.questions)
        flags, cut, outputs = _generated(scorer, tokenizer, task, asked, before, new, match, progress)
    else:
        flags, cut = _chosen(scorer, tokenizer, task, file.kind, asked, before, progress)
        outputs = ()
    groups = tuple(question.category for question in asked)
    return TaskResult(task, flags, groups, len(file.questions), cut, outputs)


def longest_answer(tokenizer: Tokenizer, task: Task, questions: Sequence[Question]) -> int:
    """Tokens of the longest answer, its chain of thought included, and ten."""
    texts = {
        (question.chain_of_thought + task.cot_delimiter if question.chain_of_thought else "") + answer
        for question in questions
        for answer in question.answers
    }
    return max(len(tokenizer.encode(text)) for text in texts) + _SPARE_TOKENS


def _chosen(
    scorer: "Scorer",
    tokenizer: Tokenizer,
    task: Task,
    kind: QuestionKind,
    asked: Sequence[Question],
    before: Sequence[str],
    progress: "Progress | None",
) -> tuple[tuple[bool, ...], int]:
    """Whether each question is answered rightly by the losses of its options, and prompts that were cut."""
    pairs = [
        (prefix + question_prompt(task, context), answer)
        for prefix, question in zip(before, asked, strict=True)
        for context in question.contexts
        for answer in question.answers
    ]
    rows = continuation_rows(
        pairs, encode=_encode(tokenizer), end_of_text=tokenizer.eot_id, max_length=scorer.max_length
    )
    ids, scored = [row.ids for row in rows], [row.num_scored for row in rows]
    scores = iter(scorer.score_all(ids, scored, progress=progress))
    flags = []
    for question in asked:
        options = [next(scores) for _ in range(len(question.contexts) * len(question.answers))]
        if kind == "language modeling":
            flags.append(bool(options[0].is_best.all()))
        else:
            flags.append(best_option([option.losses for option in options]) == question.gold)
    return tuple(flags), sum(row.is_cut for row in rows)


def _generated(
    scorer: "Scorer",
    tokenizer: Tokenizer,
    task: Task,
    asked: Sequence[Question],
    before: Sequence[str],
    max_new_tokens: int,
    match: Match,
    progress: "Progress | None",
) -> tuple[tuple[bool, ...], int, tuple[str, ...]]:
    """Whether each answer is right, prompts that were cut, and the answers."""
    rows = prompt_rows(
        [
            prefix + question_prompt(task, question.context)
            for prefix, question in zip(before, asked, strict=True)
        ],
        encode=_encode(tokenizer),
        end_of_text=tokenizer.eot_id,
        max_length=scorer.max_length,
        max_new_tokens=max_new_tokens,
    )

    def text_of(ids: list[int]) -> str:
        return tokenizer.decode(ids).decode("utf-8", "replace")

    def is_complete(ids: list[int]) -> bool:
        text = text_of(ids)
        if task.stop_texts:
            return any(stop in text for stop in task.stop_texts)
        # Else the first line counts that is not empty, and is complete with its end.
        return "\n" in text.lstrip()

    answers = scorer.answer(
        [row.ids for row in rows],
        max_new_tokens=max_new_tokens,
        eos_id=tokenizer.eot_id,
        is_complete=is_complete,
        progress=progress,
    )
    outputs = tuple(map(text_of, answers))
    counted = [output if task.stop_texts else output.strip().partition("\n")[0] for output in outputs]
    flags = tuple(
        is_right(final_answer(output, task.stop_texts, task.cot_delimiter), question.answers, match)
        for output, question in zip(counted, asked, strict=True)
    )
    return flags, sum(row.is_cut for row in rows), outputs


def _encode(tokenizer: Tokenizer) -> Callable[[Sequence[str]], list[npt.NDArray[np.uint32]]]:
    return lambda texts: [tokenizer.encode(text) for text in texts]
