"""Results of evaluations in CLIP_benchmark's and DataComp's form: one JSON object a dataset, one a line."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import atomic_path, require_place
from toolkit_shared.errors import InputError
from toolkit_shared.records import read_jsonl

MAIN_METRIC = "main_metric"


@dataclass(frozen=True)
class ResultRow:
    """The metrics of one model on one dataset.

    Attributes:
        key: Name of the dataset for programs, such as `vtab/caltech101`.
        dataset: Name for people, such as `Caltech-101`.
        metrics: Metric by name, None where it is not defined; `main_metric` is the one that enters averages.
        details: Further fields of the line, such as model, task or settings.
    """

    key: str
    dataset: str
    metrics: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The line's object, `key`, `dataset` and `metrics` first."""
        return {"key": self.key, "dataset": self.dataset, "metrics": dict(self.metrics), **self.details}


def read_rows(path: str | Path) -> tuple[ResultRow, ...]:
    """The rows of a file in order; a line without `key` has its `dataset` as the key, and the reverse.

    NaN, which the official files hold for groups without images, is None.

    Raises:
        InputError: no such file, a line that is no object, has no metrics or neither key nor dataset, a key
            that two lines have, or no line at all.
    """
    rows: list[ResultRow] = []
    lines: dict[str, str] = {}
    for place, record in read_jsonl(path):
        where = f"{path}, {place}"
        metrics = record.get("metrics")
        key = record.get("key") or record.get("dataset")
        if not isinstance(metrics, dict):
            raise InputError(f"{where}: has no object 'metrics'; give lines of CLIP_benchmark or DataComp")
        if not isinstance(key, str):
            raise InputError(f"{where}: has neither 'key' nor 'dataset'; name the dataset of the metrics")
        if key in lines:
            raise InputError(f"{where}: '{key}' stands in {lines[key]} already; keep one of the two")
        lines[key] = place
        value = metrics.get(MAIN_METRIC)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{where}: {MAIN_METRIC} is {value!r}, which is no number; mend the line")
        details = {k: v for k, v in record.items() if k not in ("key", "dataset", "metrics")}
        rows.append(ResultRow(key, str(record.get("dataset") or key), metrics, details))
    if not rows:
        raise InputError(f"{path}: holds no result; give a file with one JSON object a line")
    return tuple(rows)


def append_row(path: str | Path, row: ResultRow, *, replace: bool = False) -> None:
    """Add a row at the end of a file, which is made when it is missing; the row is there whole or not at all.

    Other lines keep their bytes. Commands that write to one file at the same time wait for each other.

    Args:
        path: A file of plain lines.
        row: What to add.
        replace: Drop the line of the same key first; without it, such a line is an error.

    Raises:
        InputError: the file is packed, cannot be read or written, or has a line of this key already.
        ValueError: a NaN or an infinity is in the row.
    """
    path = Path(path)
    if path.suffix in (".gz", ".zst", ".zstd"):
        raise InputError(f"{path}: lines are added to plain files only; name a .jsonl file")
    line = json.dumps(row.document(), ensure_ascii=False, allow_nan=False)
    require_place(path)
    with _alone(path.parent):
        kept = _other_lines(path, row.key, replace) if path.exists() else []
        with atomic_path(path) as temporary:
            temporary.write_text("".join(f"{text}\n" for text in [*kept, line]), encoding="utf-8")


def _other_lines(path: Path, key: str, replace: bool) -> list[str]:
    if key in {row.key for row in read_rows(path)} and not replace:
        raise InputError(f"{path}: has a result of '{key}' already; choose another file, or replace it")
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines():
        if text.strip():
            record = json.loads(text)
            if (record.get("key") or record.get("dataset")) != key:
                kept.append(text)
    return kept


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that no line is lost between reading a file and replacing it."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
