"""A peer at work in its own environment: a process that is given tasks, times them itself and answers.

Peers are no dependencies of this repository. `uv run --isolated --no-project` makes the environment, and the
worker file is a script that imports the peer and ends with `serve(...)` of `workers/serving.py`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.measurement import Sample

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.11"
SERVING = ROOT / "benchmarks" / "workers"  # a folder of its own: nothing else of ours comes before the peer's


def find_uv() -> str | None:
    """The path of uv: on the PATH, the one that runs this process, or the Makefile's own."""
    places = [shutil.which("uv"), os.environ.get("UV"), str(ROOT / ".uv" / "bin" / "uv")]
    return next((place for place in places if place and Path(place).is_file()), None)


class PeerUnavailable(Exception):
    """The peer's environment cannot be made here; the message says why."""


class PeerFailure(Exception):
    """The peer's process ended before it answered."""


class Peer:
    """One running worker of a peer; a context manager that ends the process.

    Args:
        requirements: What the environment holds, such as "trl==1.16.0".
        worker: The script that serves the tasks.

    Raises:
        PeerUnavailable: uv is missing, or the environment cannot be installed or imported.
    """

    def __init__(self, requirements: Sequence[str], worker: Path) -> None:
        uv = find_uv()
        if uv is None:
            raise PeerUnavailable("uv is not installed")
        command = [uv, "run", "--isolated", "--no-project", "--python", PYTHON]
        for requirement in requirements:
            command += ["--with", requirement]
        self._errors = tempfile.TemporaryFile("w+")  # a pipe that nobody reads would block a peer that logs
        self._process = subprocess.Popen(
            [*command, "python", str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(SERVING),
                "HF_HUB_OFFLINE": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
            },
        )
        try:
            self.versions: dict[str, str] = self.ask("versions")["versions"]
        except PeerFailure as error:
            self.close()
            raise PeerUnavailable(f"{' '.join(requirements)}: {error}") from None

    def ask(self, task: str, **arguments: Any) -> dict[str, Any]:
        """What the worker answers to `task`; it waits without using the processor in between.

        Raises:
            PeerFailure: the process ended; the message is the last line that it wrote.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # if it ended, the reason is in what it wrote
            self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            lines = [text for text in self._errors.read().splitlines() if text.strip()]
            raise PeerFailure(lines[-1].strip() if lines else "its process ended without a word")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def measure(self, task: str, **arguments: Any) -> Sample:
        """The sample that the worker took while it did `task`."""
        answer = self.ask(task, **arguments)
        return Sample(answer["work"], answer["wall_seconds"], answer["cpu_seconds"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()
