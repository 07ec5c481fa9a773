"""What the workers of test_execution.py run; a module of its own, for they import it by name."""

import os
import signal
import time
from pathlib import Path

from toolkit_shared.errors import InputError, require


class Stubborn(Exception):
    """An exception that cannot be made again from its one argument."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def slow_square(i: int) -> tuple[int, int]:
    time.sleep(0.1 if i == 0 else 0)
    return i, i * i


def process_number(i: int) -> int:
    return os.getpid()


def refuse(i: int) -> int:
    raise InputError(f"unit {i}: is no good; mend it")


def refuse_the_third(i: int) -> int:
    return refuse(i) if i == 2 else i


def need_what_is_missing(i: int) -> object:
    return require("nowhere_at_all", toolkit="toy", extra="plots")


def look_up(i: int) -> int:
    return {}[i]  # type: ignore[no-any-return]


def be_stubborn(i: int) -> int:
    raise Stubborn(i, i + 1)


def die(i: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def number_and_sleep(seconds: float) -> int:
    time.sleep(seconds + 0.2)  # long enough that both workers take one of the first two
    return os.getpid()


def note_and_sleep(seconds_and_folder: tuple[float, str]) -> None:
    seconds, folder = seconds_and_folder
    Path(folder, str(os.getpid())).touch()
    time.sleep(seconds)
