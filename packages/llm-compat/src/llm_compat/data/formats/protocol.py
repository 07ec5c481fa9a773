"""What a format of evaluation logs has to offer; each is one module of this folder."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from llm_compat.data.outcomes import Detail, Outcomes
from llm_compat.settings.reading import ReadSettings, RunFormat

Progress = Callable[[int], None]


class Format(Protocol):
    """A module that reads one format.

    What is left to `data.runs`, so that it is the same for all: `settings.tasks`, `filters` and `metrics` may
    be used to read less, but need not be looked at; directions of metrics that the log does not tell are told
    by their names; `settings.lower_is_better` is applied afterwards. What a format does itself: `fields`,
    `rescore`, `similarity`, `trust_logged`, where they mean something for it.

    Attributes:
        WANTED: What makes a path one of this format, for the message that nothing was found; such as
            `samples_*.jsonl (lm-evaluation-harness)`.
    """

    WANTED: str

    def recognises(self, path: Path) -> bool:
        """Whether `path`, an existing file or folder, is a run of this format; opens as little as it can."""
        ...

    def read(
        self, path: Path, settings: ReadSettings, *, workers: int, progress: Progress | None
    ) -> list[Outcomes]:
        """The outcomes of the run at `path`, one for each task and filter, in any order.

        Args:
            path: A file or folder.
            settings: How it is read.
            workers: Processes; the outcomes are the same for any number.
            progress: Called with the number of bytes read.

        Raises:
            InputError: Something is wrong with the log; the line names the file and the place in it.
        """
        ...

    def details(self, outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
        """The texts of some items, in the order of `items`, read again from `outcomes.source`.

        Raises:
            InputError: The source is gone or was changed.
        """
        ...


_MODULES: dict[RunFormat, str] = {
    "harness": "llm_compat.data.formats.harness",
    "helm": "llm_compat.data.formats.helm",
    "inspect": "llm_compat.data.formats.inspect_ai",
    "lighteval": "llm_compat.data.formats.lighteval",
    "table": "llm_compat.data.formats.table",
}

FORMATS: tuple[RunFormat, ...] = tuple(_MODULES)
"""The names of the formats, in the order in which a path is tried: the general one, tables, comes last."""


def format_named(name: RunFormat) -> Format:
    """The module that reads the format of that name."""
    return cast(Format, import_module(_MODULES[name]))
