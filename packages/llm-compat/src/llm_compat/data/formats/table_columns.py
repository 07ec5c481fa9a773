"""Which columns of a table mean what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError

from llm_compat.data.collecting import field_of
from llm_compat.data.formats.table_rows import kind_of
from llm_compat.data.selection import unknown_name
from llm_compat.settings.reading import ReadSettings

KEY_PREFIX = "key:"
"""Before 32 hexadecimal digits: an id that is the key of a document, as a converted run has it."""

SCORE_PREFIX, LOWER_PREFIX, ANSWER_PREFIX = "score:", "lower_score:", "answer_code:"
PROMPT_CODE, TARGET_CODE = "prompt_code", "target_code"

USUAL_SCORES = (
    *("correct", "is_correct", "score", "acc", "acc_norm", "acc_bytes", "accuracy", "exact_match", "em"),
    *("f1", "rouge1", "rouge2", "rougeL", "bleu", "chrf", "pass@1", "pass", "passed", "loss", "perplexity"),
)
"""Names of columns that are scores when the user names none."""


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """The columns of one table.

    Attributes:
        id: Names the item.
        scores: By metric.
        directions: By metric, whether higher is better, where the table tells.
        answer_codes: By metric, codes of answers, as a converted run has them.
        answer: Text of the answer; as `target`, `prompt`, `task`, `filter` None where there is none.
        target: Expected answer.
        prompt: Prompt or question.
        task: Task.
        filter: Filter.
        prompt_code: Digest of the prompt.
        target_code: Digest of the expected answer.
        unit: What a place is called: `line` or `row`.
        values_are_text: Whether numbers are written as text, as in CSV.
        is_given: Whether the user named the columns of scores.
    """

    id: str
    scores: Mapping[str, str]
    directions: dict[str, bool]
    answer_codes: Mapping[str, str]
    answer: str | None
    target: str | None
    prompt: str | None
    task: str | None
    filter: str | None
    prompt_code: str | None
    target_code: str | None
    unit: str
    values_are_text: bool
    is_given: bool

    @property
    def codes(self) -> tuple[str, ...]:
        """The columns of codes."""
        digests = [name for name in (self.prompt_code, self.target_code) if name is not None]
        return (*self.answer_codes.values(), *digests)


def columns_of_table(
    path: Path, row: Mapping[str, Any], settings: ReadSettings, *, need_scores: bool = True
) -> TableColumns:
    """The columns of a table, told by the column map and, where it is silent, by usual names.

    Args:
        path: The file, for messages.
        row: Its first row.
        settings: With the column map and the similarities that are wanted.
        need_scores: Whether a table without a column of scores is refused.

    Raises:
        InputError: A column that was named is not there, or there is none of ids or scores.
    """
    given = settings.columns
    if field_of(row, given.id) is None and given.id not in row:
        raise unknown_name(given.id, row, option="--read.columns.id", where=path)

    def chosen(option: str, name: str | None, usual: Iterable[str]) -> str | None:
        if name is not None:
            if name not in row and field_of(row, name) is None:
                raise unknown_name(name, row, option=f"--read.columns.{option}", where=path)
            return name
        return next((column for column in usual if column in row), None)

    scores = {name: name for name in given.score}
    for name in given.score:
        chosen("score", name, ())
    directions: dict[str, bool] = {}
    if not scores:
        scores = {name: name for name in USUAL_SCORES if name in row}
        for prefix, higher in ((SCORE_PREFIX, True), (LOWER_PREFIX, False)):
            named = {column.removeprefix(prefix): column for column in row if str(column).startswith(prefix)}
            scores |= named
            directions |= dict.fromkeys(named, higher)
    if not scores and need_scores:
        shown = ", ".join(list(map(str, row))[:12])
        raise InputError(f"{path}: no column is known as a score; give --read.columns.score one of: {shown}")
    answer = chosen("answer", given.answer, ("answer",))
    target = chosen("target", given.target, ("target",))
    if settings.similarity and (answer is None or target is None):
        what = "answer" if answer is None else "target"
        raise InputError(f"{path}: --read.similarity needs a column of texts; give --read.columns.{what}")
    return TableColumns(
        id=given.id,
        scores=scores,
        directions=directions,
        answer_codes={
            column.removeprefix(ANSWER_PREFIX): column
            for column in row
            if str(column).startswith(ANSWER_PREFIX)
        },
        answer=answer,
        target=target,
        prompt=chosen("prompt", given.prompt, ("prompt", "question")),
        task=chosen("task", given.task, ("task",)),
        filter=chosen("filter", given.filter, ("filter",)),
        prompt_code=PROMPT_CODE if PROMPT_CODE in row else None,
        target_code=TARGET_CODE if TARGET_CODE in row else None,
        unit="row" if kind_of(path) == "parquet" else "line",
        values_are_text=kind_of(path) in ("csv", "tsv"),
        is_given=bool(given.score),
    )
