"""Options that several commands share; standard library only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class RunSettings:
    """How pages are read, worked on and written, whatever is done with them.

    Attributes:
        format: Format of the pages written.
        text_field: Field that holds the text.
        workers: Processes; the output is the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished run.
        overwrite: Replace a run of another configuration.
        strict: Stop at the first record that cannot be used instead of counting and skipping it.
    """

    format: Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"] = "jsonl.zst"
    text_field: str = "text"
    workers: int = 1
    engine: Literal["local", "ray"] = "local"
    resume: bool = True
    overwrite: bool = False
    strict: bool = False


@dataclass(frozen=True)
class RuleSettings:
    """How the rules of a recipe are read, and what is kept of their verdicts.

    Attributes:
        lists: Folder of the lists of banned words that the recipe names, such as baselines/mappers/banlists
            of the official repository; unset: that of DCLM_BENCH_LISTS. Without a list its rule is left out.
        compat: Whose semantics: the official code's with its bugs, those mended, or datatrove's.
        audit: Measure every rule on every page, or stop at a page's first drop.
    """

    lists: Path | None = None
    compat: Literal["official", "fixed", "datatrove"] = "official"
    audit: Literal["full", "first"] = "full"
