"""Prompts: solved examples before a question, and what of it is context and what is scored."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from dclm_bench.data.task_files import Question
from dclm_bench.evaluation.tasks import Task
from dclm_bench.tokenization.tokenizers import Tokenizer

EXAMPLE_DELIMITER = "\n"
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """A sequence of tokens to score or to go on with.

    Attributes:
        ids: int64 [tokens].
        num_scored: How many of the last ones are the continuation; 0 for a prompt.
        is_cut: Whether the beginning of the context was cut away to fit the model.
    """

    ids: Ids
    num_scored: int
    is_cut: bool


def few_shot_prefixes(
    task: Task, questions: Sequence[Question], asked: int, *, num_fewshot: int, seed: int
) -> list[str]:
    """The solved examples before each of the first `asked` questions, each followed by a line break.

    The examples of a question are drawn without repeat from the others of its group, by a stream of seed,
    task and the question's number: so they do not depend on how many questions are asked. Of a group that is
    smaller all others are shown. The official code draws them by another generator; the same examples are
    not to be expected, and scores differ by that noise.

    Source: LLM-Foundry, `InContextLearningDataset`.
    """
    pools: dict[str, list[int]] = defaultdict(list)
    for index, question in enumerate(questions):
        pools[question.group if task.group_sizes else ""].append(index)
    prefixes = []
    for index in range(asked):
        pool = pools[questions[index].group if task.group_sizes else ""]
        shown: list[int] = []
        if num_fewshot:
            # one more than needed, for the question itself may be among them
            drawn = stream(seed, f"few-shot {task.name}", index).choice(
                len(pool), size=min(num_fewshot + 1, len(pool)), replace=False
            )
            shown = [pool[place] for place in drawn.tolist() if pool[place] != index][:num_fewshot]
        prefixes.append("".join(solved_example(task, questions[i]) + EXAMPLE_DELIMITER for i in shown))
    return prefixes


def solved_example(task: Task, question: Question) -> str:
    """A question with its answer, and with the chain of thought before that where there is one."""
    thought = question.chain_of_thought + task.cot_delimiter if question.chain_of_thought else ""
    return question_prompt(task, question.context) + thought + question.answer


def question_prompt(task: Task, context: str) -> str:
    """The question without its answer."""
    return task.question_prelimiter + context + task.continuation_delimiter


def continuation_row(tokenizer: Tokenizer, context: str, continuation: str, max_length: int) -> Row:
    """A context and its continuation, of which the tokens of the latter are scored.

    They are tokenised apart, so a continuation has the same tokens after any context; blanks at the end of
    the context go with the continuation, as they would in running text. Where both are too long the beginning
    of the context is cut away. A continuation after nothing follows end of text.

    Args:
        tokenizer: The model's.
        context: May be empty.
        continuation: The answer.
        max_length: Most input tokens of the model.

    Raises:
        InputError: the continuation has no token, or alone does not fit.

    Source: LLM-Foundry, `InContextLearningMultipleChoiceTaskDataset`.
    """
    bare = context.rstrip(" ")
    scored = tokenizer.encode(context[len(bare) :] + continuation).astype(np.int64)
    if not 0 < len(scored) <= max_length:
        raise InputError(
            f"the answer {continuation[:40]!r} has {len(scored)} tokens; 1 to {max_length} fit the model"
        )
    before = _or_end_of_text(tokenizer.encode(bare).astype(np.int64), tokenizer)
    # the last token is only predicted, so that one more fits
    room = max_length + 1 - len(scored)
    return Row(np.concatenate([before[-room:], scored]), len(scored), len(before) > room)


def prompt_row(tokenizer: Tokenizer, prompt: str, max_length: int, max_new_tokens: int) -> Row:
    """A prompt to go on with, without blanks at its end, cut at its beginning to leave room.

    Raises:
        InputError: there is no room.
    """
    room = max_length + 1 - max_new_tokens
    if room < 1:
        raise InputError(
            f"an answer of up to {max_new_tokens} tokens does not fit the model's {max_length}; "
            "pass a smaller --max-new-tokens"
        )
    ids = _or_end_of_text(tokenizer.encode(prompt.rstrip(" ")).astype(np.int64), tokenizer)
    return Row(ids[-room:], 0, len(ids) > room)


def _or_end_of_text(ids: Ids, tokenizer: Tokenizer) -> Ids:
    return ids if len(ids) else np.array([tokenizer.eot_id], np.int64)
