"""From the lines of a log of lm-evaluation-harness to columns."""

from typing import Any

import msgspec
from toolkit_shared.errors import InputError

from llm_compat.data.formats.harness_building import ColumnsOfRecords, RecordRefused
from llm_compat.data.formats.harness_columns import Columns, join_columns
from llm_compat.data.formats.harness_options import LineOptions
from llm_compat.data.formats.harness_records import (
    Record,
    RecordDecoder,
    RecordError,
    metrics_of,
    parse_line,
)
from llm_compat.data.formats.log_lines import line_number, lines_of
from llm_compat.data.formats.protocol import Progress

RECORDS_AT_ONCE = 256


def read_lines(
    part: tuple[int, int | None], options: LineOptions, progress: Progress | None = None
) -> Columns:
    """The records whose lines begin in a range of bytes.

    Raises:
        InputError: A line cannot be used; it names the file and the line.
    """
    return _LineReader(options, progress).read(*part)


class _LineReader:
    """Gathers records that have the same metrics, and turns some hundreds at a time into columns."""

    def __init__(self, options: LineOptions, progress: Progress | None) -> None:
        self.options = options
        self.progress = progress
        self.decoders: dict[tuple[str, ...], RecordDecoder] = {}
        self.decoder = RecordDecoder((), options.wanted)
        self.records: list[Any] = []
        self.places: list[int] = []
        self.parts: list[Columns] = []
        self.bytes_read = 0

    def read(self, start: int, end: int | None) -> Columns:
        names: list[str] | None = None
        decode = self.decoder.decode
        records, places = self.records, self.places
        for offset, line in lines_of(self.options.path, start, end):
            self.bytes_read += len(line)
            try:
                record = decode(line)
                fits = record.metrics == names
            except (msgspec.MsgspecError, UnicodeDecodeError):
                fits = False
            if not fits:
                if line.isspace():
                    continue
                record = self._record_of_other(line, offset)
                names, decode = list(self.decoder.metrics), self.decoder.decode
            # a copy, for the piece of JSON would keep the whole line in memory
            record.filtered_resps = record.filtered_resps.copy()
            records.append(record)
            places.append(offset)
            if len(records) >= RECORDS_AT_ONCE:
                self._flush()
        self._flush()
        return join_columns(self.parts)

    def _record_of_other(self, line: bytes, offset: int) -> Record:
        """A record that the decoder in use does not fit; afterwards that of its metrics is in use."""
        try:
            parsed = parse_line(line, is_cut=not line.endswith(b"\n"))
            metrics = metrics_of(parsed)
            if metrics != self.decoder.metrics or not self.decoders:
                self._flush()
                decoder = self.decoders.get(metrics) or RecordDecoder(metrics, self.options.wanted)
                self.decoders[metrics] = self.decoder = decoder
            return self.decoder.build(parsed)
        except RecordError as error:
            raise self._refusal(offset, error) from None

    def _flush(self) -> None:
        if not self.records:
            return
        columns = ColumnsOfRecords(self.records, self.places, self.decoder.metrics, self.options)
        try:
            self.parts.append(columns.build())
        except RecordRefused as refused:
            raise self._refusal(self.places[refused.row], refused.reason) from None
        self.records.clear()
        self.places.clear()
        if self.progress is not None:
            self.progress(self.bytes_read)
        self.bytes_read = 0

    def _refusal(self, offset: int, reason: object) -> InputError:
        path = self.options.path
        return InputError(f"{path}, line {line_number(path, offset)}: {reason}")
