"""A crawl of 2,000 pages: killed at any moment a command goes on to the same bytes, as with any workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from dclm_bench.data.generated.crawl import write_crawl
from toolkit_shared.randomness import stream

pytestmark = pytest.mark.slow

NUM_MOMENTS, NUM_FILES = 5, 4
COMMANDS = {"run": ["--recipe", "dclm-baseline"], "extract": []}
MAIN = "from dclm_bench.cli import main; raise SystemExit(main())"


def start(command: str, crawl: Path, out: Path, *options: str) -> "subprocess.Popen[bytes]":
    """The command in a process group of its own, so that its workers are killed with it."""
    line = [sys.executable, "-c", MAIN, command, str(crawl), *COMMANDS[command], *options, "--out", str(out)]
    # as a stranger runs it: no lists of banned words, whatever this machine has
    environment = {name: value for name, value in os.environ.items() if name != "DCLM_BENCH_LISTS"}
    return subprocess.Popen(
        line,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items())}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    write_crawl(folder, pages=2000, files=NUM_FILES)
    (folder / "truth.json").unlink()
    return folder


@pytest.fixture(scope="module", params=list(COMMANDS))
def whole(
    request: pytest.FixtureRequest, crawl: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A command, the folder it leaves when nothing disturbs it, and how long it takes once it is warm."""
    out = tmp_path_factory.mktemp(request.param)
    finish(start(request.param, crawl, out / "first"))
    begun = time.monotonic()
    finish(start(request.param, crawl, out / "second"))
    seconds = time.monotonic() - begun
    found = contents(out / "first")
    assert found == contents(out / "second")
    # equal bytes of empty files would prove nothing
    pages = [name for name, data in found.items() if name.startswith("pages/") and len(data) > 10_000]
    assert len(pages) == NUM_FILES
    return {"command": request.param, "seconds": seconds, "contents": found}


@pytest.mark.parametrize("moment", range(NUM_MOMENTS))
def test_a_command_that_is_killed_goes_on_to_the_same_bytes(
    moment: int, whole: dict[str, Any], crawl: Path, tmp_path: Path
) -> None:
    # the first third of the time goes into starting; one moment in each fifth of what is left
    drawn = stream(0, "moments of a kill", moment).uniform(moment, moment + 1) / NUM_MOMENTS
    workers = ("--workers", str(1 + moment % 2))
    process = start(whole["command"], crawl, tmp_path / "out", *workers)
    try:
        process.communicate(timeout=whole["seconds"] * (1 / 3 + 2 / 3 * drawn))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    finish(start(whole["command"], crawl, tmp_path / "out"))

    assert contents(tmp_path / "out") == whole["contents"]


@pytest.mark.parametrize(
    "options", [("--workers", "2"), ("--workers", "3"), ("--engine", "ray", "--workers", "3")], ids=" ".join
)
def test_the_bytes_are_the_same_for_any_number_of_workers_and_engine(
    options: tuple[str, ...], whole: dict[str, Any], crawl: Path, tmp_path: Path
) -> None:
    finish(start(whole["command"], crawl, tmp_path / "out", *options))

    assert contents(tmp_path / "out") == whole["contents"]
