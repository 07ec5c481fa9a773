"""The loop of a worker process: one JSON task a line in, one JSON answer a line out.

Runs in the environment of a peer, hence standard library only.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def serve(tasks: dict[str, Callable[..., Any]], packages: list[str]) -> None:
    """Answer tasks until the input ends.

    A task that returns a number has done that much work and is timed; one that returns a dictionary gives
    it as the answer. Whatever the peer prints goes to the error stream.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        arguments = json.loads(line)
        task = arguments.pop("task")
        if task == "versions":
            answer = {"versions": {name: version(name) for name in packages}}
        else:
            answer = run(tasks[task], arguments)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def run(task: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The task's answer, or its work with the time that it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = task(**arguments)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if isinstance(result, dict):
        return result
    return {"work": result, "wall_seconds": wall, "cpu_seconds": cpu}
