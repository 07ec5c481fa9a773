"""A command with inputs, flat settings and options of its own."""

from pathlib import Path
from typing import Annotated

from toolkit_shared.cli import Flat, emit

from toy_toolkit.settings import Settings


def train(
    data: Path,
    /,
    config: Annotated[Settings, Flat] = Settings(),
    *,
    out: Path,
    resume: bool = True,
    name: str | None = None,
    json: bool = False,
) -> None:
    """Train the toy.

    Args:
        data: folder with the data.
        config: settings.
        out: folder written.
        resume: continue a run that was stopped.
        name: name of the run.
        json: print one JSON document.
    """
    document = {"data": data, "out": out, "resume": resume, "name": name, "config": repr(config)}
    emit(document, f"trained {data}", as_json=json)
