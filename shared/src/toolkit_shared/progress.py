"""Progress of a long command: a bar on a terminal, a log line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def progress_bar(total: int | None, label: str, unit: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that advances the progress by so many units; shown on stderr only.

    On a terminal this is a tqdm bar. Elsewhere it is one log line every 30 s with what is done, the total,
    the rate and the time left, and nothing at all for work that ends sooner.

    Args:
        total: units of the whole work, or None when that is not known.
        label: what is being done, such as `tokenise`.
        unit: plural of what is counted, such as `documents`.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=label, unit=f" {unit}", unit_scale=True, file=sys.stderr) as bar:

            def advance_bar(count: int) -> None:
                bar.update(count)

            yield advance_bar
    else:
        yield _LogLines(total, label, unit).advance


class _LogLines:
    """Counts units, and logs a line when the last one is long enough ago."""

    def __init__(self, total: int | None, label: str, unit: str) -> None:
        self.total, self.label, self.unit = total, label, unit
        self.done = 0
        self.started = self.last_line = time.monotonic()

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = now
            logger.info("%s", progress_line(self.label, self.unit, self.done, self.total, now - self.started))


def progress_line(label: str, unit: str, done: int, total: int | None, seconds: float) -> str:
    """One line: what is done, of how many, how fast, and how long it will still take.

    Args:
        label: what is being done.
        unit: plural of what is counted.
        done: units done in `seconds`.
        total: units of the whole work, or None.
        seconds: time since the start, above 0.
    """
    rate = done / seconds
    line = f"{label}: {done:,} {unit}" if total is None else f"{label}: {done:,} of {total:,} {unit}"
    line += f", {1 / rate:,.1f} s each" if 0 < rate < 1 else f", {rate:,.1f} {unit}/s"
    if total is not None and rate > 0:
        left = round(max(total - done, 0) / rate)
        line += f", {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
    return line
