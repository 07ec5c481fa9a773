"""The details files of lighteval: parquet, one a task and time, in the two layouts that have columns.

Since 0.11 a row has the structs `doc`, `model_response` and `metric`; 0.8 to 0.10 have flat columns
(`example`, `predictions`, `metrics`, ...). Earlier versions wrote every cell as the text of a Python object,
which is not read.

Source: DetailsLogger.Detail, Doc and ModelResponse of lighteval 0.6.2, 0.8.1, 0.10.0, 0.11.0 and 0.13.0.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from toolkit_shared.errors import InputError

PATTERN = "details_*.parquet"
MAX_UNPACKED_BYTES = 64 << 30
ROWS_AT_ONCE = 1000

_NAME = re.compile(r"details_(?P<task>.+?)_(?P<date>\d+-\d+-\d+T.*)\.parquet")
_NESTED = {
    "doc": ("query", "choices", "gold_index", "id", "specific"),
    "model_response": (
        "input",
        "text",
        "text_post_processed",
        "logprobs",
        "unconditioned_logprobs",
        "output_tokens",
    ),
}
_FLAT = (
    "example",
    "full_prompt",
    "predictions",
    "gold",
    "choices",
    "gold_index",
    "metrics",
    "specifics",
    "cont_tokens",
)


class DetailsName(NamedTuple):
    """What a details file is called: its task and the time of its run."""

    task: str
    date: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row, of either layout.

    Attributes:
        id: As the log names the document; None where it does not.
        query: The question, without examples before it.
        choices: The choices, or the right texts of a task that generates.
        golds: Indices of the right choices.
        metrics: By name, as they are logged; None where the row has no value of it.
        texts: What the model wrote, one for each sample.
        log_probabilities: Of the choices, and where they are logged those without the question.
        tokens: Lengths of the choices in tokens.
        prompt: All that the model was given, where that is logged as text.
        fields: Further fields of the document.
    """

    id: str | None
    query: str
    choices: tuple[str, ...]
    golds: tuple[int, ...]
    metrics: Mapping[str, Any]
    texts: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    tokens: tuple[int, ...]
    prompt: str | None
    fields: dict[str, Any]


def name_of(path: Path) -> DetailsName | None:
    """Task and time in the name of a details file; None where it is none."""
    found = _NAME.fullmatch(path.name)
    return DetailsName(found["task"], found["date"]) if found else None


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a details file, in their order.

    Raises:
        InputError: The file is no parquet, damaged, unpacks to too much, or has another layout.
    """
    try:
        with pq.ParquetFile(path) as file:
            _check_size(path, file)
            columns, build = _layout(path, file.schema_arrow)
            place = 0
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns):
                for row in batch.to_pylist():
                    yield _built(path, place, build, row)
                    place += 1
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: no parquet file, or a damaged one ({reason}); copy it again") from None


def _check_size(path: Path, file: pq.ParquetFile) -> None:
    groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > MAX_UNPACKED_BYTES:
        raise InputError(f"{path}: unpacks to {size:,} bytes; at most {MAX_UNPACKED_BYTES:,} are read")


def _layout(path: Path, schema: pa.Schema) -> tuple[list[str], Any]:
    """The columns that are read, and the function that makes a row of them."""
    names = set(schema.names)
    if {"doc", "model_response", "metric"} <= names:
        columns = ["metric"]
        for struct, wanted in _NESTED.items():
            kind = schema.field(struct).type
            if not pa.types.is_struct(kind):
                raise InputError(
                    f"{path}: column {struct} is {kind}, not a struct; give the details of lighteval"
                )
            here = {kind.field(index).name for index in range(kind.num_fields)}
            columns += [f"{struct}.{name}" for name in wanted if name in here]
        return columns, _nested_row
    if {"example", "predictions", "metrics"} <= names:
        kind = schema.field("metrics").type
        if not pa.types.is_struct(kind):
            raise InputError(
                f"{path}: column metrics is {kind}, as lighteval wrote it before 0.8, objects as text; "
                "evaluate again"
            )
        return [name for name in _FLAT if name in names], _flat_row
    shown = ", ".join(sorted(names)[:8])
    raise InputError(f"{path}: has the columns {shown}, not those of lighteval's details; give another file")


def _built(path: Path, place: int, build: Any, row: Mapping[str, Any]) -> Row:
    try:
        built = build(row)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}, row {place}: is not as lighteval writes it ({' '.join(str(error).split())[:80]}); "
            "evaluate again"
        ) from None
    assert isinstance(built, Row)
    return built


def _nested_row(row: Mapping[str, Any]) -> Row:
    doc, response = row["doc"], row["model_response"] or {}
    texts = response.get("text_post_processed") or response.get("text")
    probabilities = [*_numbers(response.get("logprobs"))]
    if response.get("unconditioned_logprobs"):
        probabilities += _numbers(response["unconditioned_logprobs"])
    return Row(
        id=None if not doc.get("id") else str(doc["id"]),
        query=_text(doc["query"]),
        choices=_texts(doc.get("choices")),
        golds=_golds(doc.get("gold_index")),
        metrics=row["metric"] or {},
        texts=_texts(texts),
        log_probabilities=tuple(probabilities),
        tokens=_token_counts(response.get("output_tokens")),
        prompt=response["input"] if isinstance(response.get("input"), str) else None,
        fields=doc.get("specific") or {},
    )


def _flat_row(row: Mapping[str, Any]) -> Row:
    predictions = row["predictions"] or []
    texts: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    if all(isinstance(one, str) for one in predictions):
        texts = tuple(predictions)
    else:
        # of a choice, log-probability and whether it is the greedy one; of single tokens, log-probabilities
        probabilities = _numbers([one[0] if isinstance(one, list) else one for one in predictions])
    choices, golds = _texts(row.get("choices")), _golds(row.get("gold_index"))
    if not choices:
        choices = _texts(row.get("gold"))
        golds = tuple(range(len(choices)))
    return Row(
        id=None,
        query=_text(row["example"]),
        choices=choices,
        golds=golds,
        metrics=row["metrics"] or {},
        texts=texts,
        log_probabilities=probabilities,
        tokens=_token_counts(row.get("cont_tokens")),
        prompt=row["full_prompt"] if isinstance(row.get("full_prompt"), str) else None,
        fields=row.get("specifics") or {},
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"the question is {type(value).__name__}, not text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not all(isinstance(one, str) for one in value):
        raise ValueError("a list of texts holds something else")
    return tuple(value)


def _numbers(value: Sequence[Any] | None) -> tuple[float, ...]:
    return tuple(float("nan") if one is None else float(one) for one in value or ())


def _golds(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    # a text as gold, which is allowed for tasks that generate, is no index
    return tuple(int(one) for one in values if isinstance(one, int | float))


def _token_counts(value: Any) -> tuple[int, ...]:
    """The length of each list; nothing where they are nested otherwise."""
    if not isinstance(value, list) or not all(isinstance(one, list) for one in value):
        return ()
    return tuple(map(len, value))
