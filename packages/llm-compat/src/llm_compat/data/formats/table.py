"""Tables of scores: CSV, JSONL and parquet, with any columns that a map can name."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.errors import InputError
from toolkit_shared.records import expand_inputs

from llm_compat.data.answers import answer_code
from llm_compat.data.collecting import field_of, plain_text
from llm_compat.data.formats.protocol import Progress
from llm_compat.data.formats.table_columns import KEY_PREFIX, TableColumns, columns_of_table
from llm_compat.data.formats.table_rows import SUFFIXES, kind_of, table_name, table_rows
from llm_compat.data.outcomes import (
    NO_ANSWER,
    NO_FILTER,
    Codes,
    Detail,
    Outcomes,
    Slices,
    code_of,
    key_of,
    keys_array,
)
from llm_compat.data.selection import unknown_name
from llm_compat.data.similarity import Scorer, scorer
from llm_compat.settings.reading import ColumnSettings, ReadSettings

WANTED = "*.csv, *.tsv, *.jsonl or *.parquet (tables)"

# the task of a table that names none: two tables that are compared seldom have the same file name
ONE_TASK = "items"

_TRUTH = {"true": 1.0, "false": 0.0}


def recognises(path: Path) -> bool:
    """Whether the path is a table, or a folder that holds one."""
    if path.is_dir():
        return any(file.is_file() and kind_of(file) for file in path.rglob("*"))
    return bool(kind_of(path))


def read(
    path: Path, settings: ReadSettings, *, workers: int = 1, progress: Progress | None = None
) -> list[Outcomes]:
    """The outcomes of the tables, one for each task and filter; see `protocol.Format`."""
    if settings.rescore:
        reason = f"a table holds nothing to compute {settings.rescore[0]} from"
        raise InputError(f"{path}: {reason}; leave --read.rescore out")
    outcomes: list[Outcomes] = []
    sources: dict[str, Path] = {}
    for file in expand_inputs([path], SUFFIXES):
        for one in _read_table(file, settings, task_name=table_name(file) if path.is_dir() else ONE_TASK):
            earlier = sources.setdefault(one.name, file)
            if earlier != file:
                raise InputError(f"{file}: task {one.name} is in {earlier} as well; give one table for it")
            outcomes.append(one)
        if progress is not None:
            progress(file.stat().st_size)
    return outcomes


def details(outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
    """The texts of some items; see `protocol.Format`."""
    places = [int(outcomes.places[item]) for item in items]
    wanted, found = set(places), {}
    columns: TableColumns | None = None
    settings = ReadSettings(columns=outcomes.columns or ColumnSettings())
    for place, (_, row) in enumerate(table_rows(outcomes.source)):
        columns = columns or columns_of_table(outcomes.source, row, settings, need_scores=False)
        if place in wanted:
            found[place] = _detail(row, columns)
            if len(found) == len(wanted):
                break
    if len(found) < len(wanted):
        raise InputError(f"{outcomes.source}: was changed while it was read; run the command again")
    return [found[place] for place in places]


def _read_table(path: Path, settings: ReadSettings, *, task_name: str) -> Iterator[Outcomes]:
    groups: dict[tuple[str, str], _Group] = {}
    named: TableColumns | None = None
    scorers = {name: scorer(name) for name in settings.similarity}
    first: Mapping[str, Any] = {}
    for place, (line, row) in enumerate(table_rows(path)):
        if named is None:
            named, first = columns_of_table(path, row, settings, need_scores=not scorers), row
        task = _text(row, named.task) or task_name
        filter = _text(row, named.filter) or NO_FILTER
        if (task, filter) not in groups:
            # the rows of another task may have other columns, as in JSONL
            columns = columns_of_table(path, row, settings, need_scores=not scorers)
            groups[task, filter] = _Group(path, columns, settings.fields, scorers)
        groups[task, filter].add(place, line, row)
    if named is None:
        raise InputError(f"{path}: holds no rows; give the table of a run")
    for name in settings.fields:
        if not any(group.has_field(name) for group in groups.values()):
            raise unknown_name(name, first, option="--by", where=path)
    for (task, filter), group in groups.items():
        yield replace(group.outcomes(task, filter), columns=settings.columns)


class _Group:
    """The rows of one task and filter, as arrays that grow."""

    def __init__(
        self, path: Path, columns: TableColumns, fields: Sequence[str], scorers: Mapping[str, Scorer]
    ) -> None:
        self.path, self.columns, self.scorers = path, columns, scorers
        self.keys = bytearray()
        self.places, self.lines = array("q"), array("q")
        self.scores = {name: array("d") for name in (*columns.scores, *scorers)}
        self.answers = {name: array("Q") for name in columns.answer_codes}
        self.texts, self.prompts, self.targets = array("Q"), array("Q"), array("Q")
        self.fields = {name: array("i") for name in fields}
        self.values: dict[str, dict[str, int]] = {name: {} for name in fields}
        self.present: set[str] = set()
        self.filled: set[str] = set()
        self.gaps: dict[str, int] = {}

    def add(self, place: int, line: int, row: Mapping[str, Any]) -> None:
        columns = self.columns
        where = f"{self.path}, {columns.unit} {line}"
        self.keys += _key(row, columns.id, where)
        self.places.append(place)
        self.lines.append(line)
        for column in (*columns.scores.values(), *columns.codes):
            if field_of(row, column) in (None, ""):
                self.gaps.setdefault(column, line)
            else:
                self.filled.add(column)
        for name, column in columns.scores.items():
            self.scores[name].append(_score(row, column, where, columns.values_are_text))
        for name, column in columns.answer_codes.items():
            self.answers[name].append(_code(row, column, where))
        answer, target = _text(row, columns.answer), _text(row, columns.target)
        if columns.answer is not None:
            self.texts.append(answer_code(answer))
        for name, score in self.scorers.items():
            self.scores[name].append(score(answer or "", target or ""))
        for codes, code_column, text_column in (
            (self.prompts, columns.prompt_code, columns.prompt),
            (self.targets, columns.target_code, columns.target),
        ):
            if code_column is not None:
                codes.append(_code(row, code_column, where))
            elif text_column is not None:
                codes.append(code_of((_text(row, text_column) or "").encode("utf-8", "surrogatepass")))
        for name, places in self.fields.items():
            value = field_of(row, name)
            if value is not None:
                self.present.add(name)
            known = self.values[name]
            places.append(known.setdefault(plain_text(value), len(known)))

    def has_field(self, name: str) -> bool:
        return name in self.present

    def outcomes(self, task: str, filter: str) -> Outcomes:
        keys = keys_array(bytes(self.keys))
        self._refuse_twins(keys)
        columns, filled = self.columns, self.filled
        # a column without one value is another task's, as in a table of several
        scores = {
            name: np.frombuffer(values, np.float64)
            for name, values in self.scores.items()
            if name in self.scorers or columns.is_given or columns.scores[name] in filled
        }
        for column in columns.codes:
            self._refuse_gaps(column)
        answers = {
            name: _codes(codes)
            for name, codes in self.answers.items()
            if columns.answer_codes[name] in filled
        }
        if columns.answer is not None:
            texts = _codes(self.texts)
            answers.update({name: texts for name in scores if name not in answers})
        return Outcomes(
            task=task,
            filter=filter,
            source=self.path,
            format="table",
            keys=keys,
            places=np.frombuffer(self.places, np.int64),
            scores=scores,
            answers=answers,
            higher_is_better={name: higher for name, higher in columns.directions.items() if name in scores}
            | dict.fromkeys(self.scorers, True),
            prompts=self._digests(self.prompts, columns.prompt_code),
            targets=self._digests(self.targets, columns.target_code),
            slices={name: self._slices(name) for name in self.fields},
        )

    def _digests(self, codes: "array[int]", column: str | None) -> Codes | None:
        return _codes(codes) if codes and (column is None or column in self.filled) else None

    def _refuse_gaps(self, column: str) -> None:
        """Refuse a column of codes that some items have and others lack."""
        if column in self.filled and column in self.gaps:
            raise InputError(
                f"{self.path}, {self.columns.unit} {self.gaps[column]}: column '{column}' is empty; "
                "fill it in, or leave the column out"
            )

    def _slices(self, name: str) -> Slices:
        values = list(self.values[name])
        order = sorted(range(len(values)), key=values.__getitem__)
        ranks = np.empty(len(values), np.int32)
        ranks[order] = np.arange(len(values), dtype=np.int32)
        codes = ranks[np.frombuffer(self.fields[name], np.int32)]
        return Slices(codes=codes, names=tuple(values[place] for place in order))

    def _refuse_twins(self, keys: Any) -> None:
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        if (counts == 1).all():
            return
        row = int(first[counts > 1].min())
        again = int(np.flatnonzero(keys == keys[row])[1])
        unit = self.columns.unit
        raise InputError(
            f"{self.path}, {unit} {self.lines[again]}: its id is that of {unit} {self.lines[row]}; "
            "give each item of a task its own"
        )


def _codes(codes: "array[int]") -> Codes:
    return np.frombuffer(codes, np.uint64)


def _text(row: Mapping[str, Any], column: str | None) -> str | None:
    """The value of a column as text; None where there is none."""
    value = None if column is None else field_of(row, column)
    return None if value is None else plain_text(value)


def _key(row: Mapping[str, Any], column: str, where: str) -> bytes:
    text = _text(row, column)
    if not text:
        raise InputError(f"{where}: column '{column}' is empty; every item needs an id")
    if text.startswith(KEY_PREFIX):
        try:
            key = bytes.fromhex(text.removeprefix(KEY_PREFIX))
        except ValueError:
            key = b""
        if len(key) == 16:
            return key
    return key_of(text.encode("utf-8", "surrogatepass"))


def _score(row: Mapping[str, Any], column: str, where: str, values_are_text: bool) -> float:
    value = field_of(row, column)
    if values_are_text and isinstance(value, str):
        word = value.strip().lower()
        if not word:
            return float("nan")
        try:
            value = _TRUTH[word] if word in _TRUTH else float(word)
        except ValueError:
            pass
    if value is None:
        return float("nan")
    if isinstance(value, bool | int | float) and not abs(value) > 1e300:  # NaN is a score that is missing
        return float(value)
    shown = plain_text(value)[:40]
    raise InputError(f"{where}: column '{column}' holds '{shown}'; a score is a number, true or false")


def _code(row: Mapping[str, Any], column: str, where: str) -> int:
    text = _text(row, column) or ""
    if not text:
        return NO_ANSWER
    try:
        code = int.from_bytes(bytes.fromhex(text), "big")
        if len(text) == 16:
            return code
    except ValueError:
        pass
    raise InputError(f"{where}: column '{column}' holds '{text[:40]}'; a code has 16 hexadecimal digits")


def _detail(row: Mapping[str, Any], columns: TableColumns) -> Detail:
    used = {columns.id, columns.answer, columns.target, columns.prompt, *columns.scores.values()}
    return Detail(
        id=_text(row, columns.id) or "",
        question=_text(row, columns.prompt) or "",
        target=_text(row, columns.target) or "",
        answer=_text(row, columns.answer) or None,
        fields={
            name: plain_text(value)
            for name, value in row.items()
            if name not in used and ":" not in name and isinstance(value, str | int | float)
        },
    )
