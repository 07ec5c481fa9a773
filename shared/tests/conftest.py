"""The toy toolkit, and ways to run it and other programs."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def toy_toolkit() -> Iterator[None]:
    """The toy on the path, and gone afterwards."""
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


@pytest.fixture
def toy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the toy in an empty folder; gives exit code, stdout and stderr."""
    from toy_toolkit.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def resolved(toy: Callable[..., tuple[int, str, str]]) -> Callable[..., dict[str, Any]]:
    """The options that `train` would run with, as YAML gives them back."""

    def call(*argv: str) -> dict[str, Any]:
        code, out, err = toy("train", "d", "--out", "o", *argv, "--print-config")
        assert (code, err) == (0, "")
        document: dict[str, Any] = yaml.safe_load(out)
        return document

    return call


@pytest.fixture
def start_and_kill() -> Callable[..., None]:
    """Run a program until it prints `now`, then kill it as the out-of-memory killer does."""

    def call(program: str, *arguments: object) -> None:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"now\n"
            process.send_signal(signal.SIGKILL)

    return call
