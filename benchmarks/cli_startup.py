"""How much CPU does a toolkit's help take, before the user has asked for anything?

For every toolkit: its root help, the help of each command, and bare Python for comparison, each in a process
of its own, in turn. What counts is the CPU time of the process, user and system, with bytecode compiled.
"""

import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit_shared.results import (
    Arm,
    Result,
    Verdict,
    capture_environment,
    current_commit,
    ratio_comparison,
    timestamp,
    write_result,
)

from benchmarks.question import parse

HERE = Path(__file__).resolve().parent
ROOT_BAR, COMMAND_BAR = 0.2, 1.0  # CPU seconds
EXPECTED = f"root help below {ROOT_BAR} s of CPU, the help of every command below {COMMAND_BAR:.0f} s"
BARE, ROOT = "bare python", "--help"
REPEATS = 11


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every toolkit and write a result for each; the exit code."""
    given = parse("cli-startup", argv, REPEATS)
    command = shlex.join(["python", "-m", "benchmarks.cli_startup", "--scale", given.scale])
    for path in sorted(HERE.parent.glob("packages/*/pyproject.toml")):
        result = measure(path.parent.name, given.repeats, command)
        for arm in result.arms:
            low, middle, high = min(arm.values), statistics.median(arm.values), max(arm.values)
            print(f"{result.toolkit}: {arm.name}: {middle:.3f} s of CPU ({low:.3f} to {high:.3f})")
        print(f"{result.toolkit}: expected {EXPECTED}: {result.verdict}")
        if given.out is not None:
            print(f"wrote {write_result(result, given.out)}")
    return 0


def measure(toolkit: str, repeats: int, command: str) -> Result:
    """The result of one toolkit."""
    environment = capture_environment([toolkit, "cyclopts"], threads=1)
    started, clock = timestamp(), time.perf_counter()
    script = str(Path(sys.executable).parent / toolkit)
    lines = {BARE: [sys.executable, "-c", "pass"], ROOT: [script, "--help"]}
    lines |= {f"{name} --help": [script, *name.split(), "--help"] for name in commands_of(script)}
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    for turn in range(-1, repeats):  # the first round warms the page cache
        for name, line in lines.items():
            took = cpu_seconds(line)
            if turn >= 0:
                seconds[name].append(took)
    arms = {name: arm(name, values) for name, values in seconds.items()}
    return Result(
        toolkit=toolkit,
        question="cli-startup",
        kind="performance",
        arms=tuple(arms.values()),
        comparison=ratio_comparison(arms[ROOT], arms[BARE]),
        expected=EXPECTED,
        verdict=verdict_of(seconds),
        bound_by=f"starting Python: {statistics.median(seconds[BARE]):.3f} s; a command adds its parser",
        environment=environment,
        command=command,
        commit=current_commit(HERE),
        started=started,
        seconds=time.perf_counter() - clock,
    )


def commands_of(script: str) -> list[str]:
    """The names in the table of a root help."""
    done = subprocess.run([script, "--help"], check=True, capture_output=True, text=True)
    table = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    # a name may have two words; its line of help is at least two blanks away
    return [re.split("  +", line.strip())[0] for line in table.splitlines()]


def cpu_seconds(line: Sequence[str]) -> float:
    """CPU time of one process, user and system.

    Raises:
        RuntimeError: the process failed.
    """
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{shlex.join(line)} failed with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def verdict_of(seconds: Mapping[str, Sequence[float]]) -> Verdict:
    """Whether all, none or some of the repeats are below the bar of their line."""
    bars = {name: ROOT_BAR if name == ROOT else COMMAND_BAR for name in seconds if name != BARE}
    if all(max(seconds[name]) < bar for name, bar in bars.items()):
        return "holds"
    return "fails" if any(min(seconds[name]) >= bar for name, bar in bars.items()) else "inconclusive"


def arm(name: str, values: Sequence[float]) -> Arm:
    """One line's CPU times."""
    return Arm(name=name, metric="CPU time", unit="s", higher_is_better=False, values=tuple(values))


if __name__ == "__main__":
    sys.exit(main())
