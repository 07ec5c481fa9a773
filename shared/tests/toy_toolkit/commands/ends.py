"""Commands that show one way of ending each."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from toolkit_shared.cli import Flat
from toolkit_shared.errors import InputError, require

from toy_toolkit.settings import Optimizer


@dataclass(frozen=True, kw_only=True)
class Misplaced:
    """Its nested default differs from the class's own."""

    optimizer: Optimizer = field(default_factory=lambda: Optimizer(lr=5.0))


def check(*inputs: Path, passes: bool = True) -> int:
    """Check the inputs; 1 when the check fails."""
    return 0 if passes else 1


def refuse() -> None:
    """Refuse its input."""
    raise InputError("a.json: field 'caption'\n  is missing; add it")


def interrupt() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


def crash() -> None:
    """Have a defect."""
    raise ZeroDivisionError("a defect")


def write(out: Path, *, fails: int) -> None:
    """Write a file, with an error of the operating system."""
    raise OSError(fails, os.strerror(fails), str(out))


def extra() -> None:
    """Need what is not installed."""
    require("no_such_module_anywhere", toolkit="toy-toolkit", extra="plots")


def misplaced(config: Annotated[Misplaced, Flat]) -> None:
    """Have a default in an instance."""


def twice(config: Annotated[Optimizer, Flat], *, lr: float = 1.0) -> None:
    """Have two options of one name."""


def lines() -> None:
    """Print many lines."""
    for number in range(200_000):
        print(number)


def wait() -> None:
    """Wait for an interrupt."""
    print("waiting", flush=True)
    time.sleep(60)
