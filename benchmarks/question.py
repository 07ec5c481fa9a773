"""What all benchmarks share around their timing: options, verdict, closing lines and the result file."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from toolkit_shared.results import (
    Arm,
    Environment,
    Result,
    Verdict,
    capture_environment,
    current_commit,
    ratio_comparison,
    timestamp,
    write_result,
)

from benchmarks.measurement import Sample
from benchmarks.peers import PeerUnavailable

RESULTS = Path(__file__).parent / "results"
# their values name places on the machine of the run
LOCAL_OPTIONS = ("--data", "--official", "--out")


@dataclass(frozen=True)
class Question:
    """A question, and the answer that was expected before the run.

    Attributes:
        name: In lower case with dashes.
        toolkit: Distribution whose question it is.
        expected: The expected answer in words.
        holds: Whether a ratio of numerator to denominator is as expected.
        packages: Distributions whose versions belong to the result.
        metric: "throughput" (work a second) or "cost" (seconds for a unit of work).
        clock: Seconds of the clock ("wall") or of the processor ("cpu") in the ratio; the others are given
            as arms of their own.
        unit: Of the work.
        scale: At which scale beside smoke it can be asked.
        threads: Of every arm.
    """

    name: str
    toolkit: str
    expected: str
    holds: Callable[[float], bool]
    packages: Sequence[str]
    metric: Literal["throughput", "cost"] = "throughput"
    clock: Literal["wall", "cpu"] = "wall"
    unit: str = "tokens"
    scale: Literal["cpu", "gpu"] = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Options:
    """The options of a run.

    Attributes:
        scale: "smoke" (seconds, no figures worth keeping), "cpu" or "gpu".
        out: Folder of the result file; None: none is written.
        repeats: Timed rounds.
        peers: Whether peers may be installed and run.
        data: A folder of real data, for the questions that take one; without it they use generated data, or
            say what they need.
        official: A checkout of the paper's own code, for the questions that run it beside ours.
    """

    scale: Literal["smoke", "cpu", "gpu"]
    out: Path | None
    repeats: int
    peers: bool
    data: Path | None = None
    official: Path | None = None

    def pick(self, smoke: int, full: int) -> int:
        """A size: `smoke` at that scale, else `full`."""
        return smoke if self.scale == "smoke" else full


@dataclass(frozen=True)
class Finding:
    """What a benchmark found.

    Attributes:
        samples: By arm, as many of each, in the order of the rounds.
        numerator: Arm above the line of the ratio.
        denominator: Arm below it; None: the peer was not run, so there is no ratio.
        bound_by: What limits the numerator, and how near it is to that limit.
        versions: Of the peers' packages.
        note: What a reader has to know besides.
    """

    samples: Mapping[str, Sequence[Sample]]
    numerator: str
    denominator: str | None
    bound_by: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def answer(
    question: Question,
    measure: Callable[[Options], Finding | None],
    argv: Sequence[str] | None = None,
    *,
    repeats: int = 7,
) -> int:
    """Answer a question from the command line; the exit code, which is 0 whatever the verdict.

    Arms that do not agree on what they computed are an AssertionError; a peer that cannot be installed is a
    printed reason.

    Args:
        question: The question.
        measure: Does the timing; None: it cannot be asked on this machine, and the reason was printed.
        argv: Command line; None: of the process.
        repeats: Timed rounds at full scale.
    """
    options = parse(question.name, argv, repeats)
    if options.scale not in ("smoke", question.scale):
        print(f"{question.name}: skipped, it is asked at --scale {question.scale}")
        return 0
    environment = capture_environment(question.packages, threads=question.threads)
    started, clock = timestamp(), time.perf_counter()
    try:
        finding = measure(options)
    except PeerUnavailable as error:
        print(f"{question.name}: skipped, the peer cannot run here: {error}")
        return 0
    if finding is None:
        return 0
    seconds = time.perf_counter() - clock
    arms = arms_of(question, finding)
    for arm in arms.values():
        low, middle, high = min(arm.values), sorted(arm.values)[len(arm.values) // 2], max(arm.values)
        print(f"{arm.name}: {middle:.4g} {arm.unit} ({low:.4g} to {high:.4g})")
    if finding.note:
        print(finding.note)
    if finding.denominator is None:
        print(f"{question.name}: no peer was run, hence no ratio (expected: {question.expected})")
        return 0
    result = result_of(question, finding, arms, environment, command_of(argv), started, seconds)
    assert result.comparison is not None
    print(f"bound by: {finding.bound_by}")
    print(describe(result) if options.scale != "smoke" else f"{question.name}: scale smoke, so no verdict")
    if options.out is not None:
        print(f"wrote {write_result(result, options.out)}")
    return 0


def parse(name: str, argv: Sequence[str] | None, repeats: int) -> Options:
    """The options on the command line."""
    parser = argparse.ArgumentParser(prog=name, description=f"Benchmark: {name}.")
    parser.add_argument("--scale", choices=["smoke", "cpu", "gpu"], default="cpu")
    parser.add_argument("--out", type=Path, help="folder of the result file (default: benchmarks/results)")
    parser.add_argument("--repeats", type=int, help=f"timed rounds (default: {repeats}; smoke: 2)")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="time only this repository")
    parser.add_argument("--data", type=Path, help="folder of real data, for the questions that take one")
    parser.add_argument("--official", type=Path, help="checkout of the paper's code, where it is compared")
    given = parser.parse_args(argv)
    for option, folder in (("--data", given.data), ("--official", given.official)):
        if folder is not None and not folder.is_dir():
            parser.error(f"{option}: {folder} is no folder")
    smoke = given.scale == "smoke"
    out = given.out if given.out is not None or smoke else RESULTS
    rounds = given.repeats or (2 if smoke else repeats)
    return Options(given.scale, out, rounds, given.peers, given.data, given.official)


def arms_of(question: Question, finding: Finding) -> dict[str, Arm]:
    """The arms by name: each by the question's clock, then each by the other one."""
    arms: dict[str, Arm] = {}
    other: Literal["wall", "cpu"] = "cpu" if question.clock == "wall" else "wall"
    for clock in (question.clock, other):
        for name, samples in finding.samples.items():
            arm = _arm(question, name, samples, clock)
            arms[arm.name] = arm
    return arms


def judge(ratios: Sequence[float], holds: Callable[[float], bool]) -> Verdict:
    """The verdict: "holds" or "fails" where all rounds agree, else "inconclusive"."""
    outcomes = [holds(ratio) for ratio in ratios]
    if all(outcomes):
        return "holds"
    return "inconclusive" if any(outcomes) else "fails"


def result_of(
    question: Question,
    finding: Finding,
    arms: Mapping[str, Arm],
    environment: Environment,
    command: str,
    started: str,
    seconds: float,
) -> Result:
    """The result, with the peers' versions beside our own."""
    assert finding.denominator is not None
    above, below = arms[finding.numerator], arms[finding.denominator]
    ratios = [a / b for a, b in zip(above.values, below.values, strict=True)]
    versions = {**environment.versions, **{f"peer {name}": text for name, text in finding.versions.items()}}
    return Result(
        toolkit=question.toolkit,
        question=question.name,
        kind="performance",
        arms=tuple(arms.values()),
        comparison=ratio_comparison(above, below),
        expected=question.expected,
        verdict=judge(ratios, question.holds),
        environment=Environment(**{**vars(environment), "versions": dict(sorted(versions.items()))}),
        command=command,
        commit=current_commit(RESULTS.parent),
        started=started,
        seconds=round(seconds, 1),
        bound_by=finding.bound_by,
        note=finding.note,
    )


def describe(result: Result) -> str:
    """The comparison and the verdict in two lines."""
    found = result.comparison
    assert found is not None
    low, high = found.ratio_range  # type: ignore[union-attr]
    return (
        f"{found.numerator} / {found.denominator}: {found.ratio_median:.3f} ({low:.3f} to {high:.3f})\n"  # type: ignore[union-attr]
        f"{result.question}: expected {result.expected}: {result.verdict}"
    )


def command_of(argv: Sequence[str] | None) -> str:
    """What repeats the run; folders that only this machine has are given as FOLDER."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = spec.name if spec is not None else "benchmarks"
    given = list(sys.argv[1:] if argv is None else argv)
    for index, option in enumerate(given[:-1]):
        if option in LOCAL_OPTIONS:
            given[index + 1] = "FOLDER"
    return shlex.join(["python", "-m", module, *given])


def report_round(line: str) -> None:
    """One line a measurement on the error stream."""
    print(line, file=sys.stderr, flush=True)


def _arm(question: Question, name: str, samples: Sequence[Sample], clock: Literal["wall", "cpu"]) -> Arm:
    seconds = [max(s.wall_seconds if clock == "wall" else s.cpu_seconds, 1e-9) for s in samples]
    second = "s" if clock == "wall" else "CPU s"
    if question.metric == "throughput":
        values, unit = (
            [s.work / t for s, t in zip(samples, seconds, strict=True)],
            f"{question.unit}/{second}",
        )
    else:
        values = [1e6 * t / s.work for s, t in zip(samples, seconds, strict=True)]
        unit = f"{second} / million {question.unit}"
    return Arm(
        name=name if clock == question.clock else f"{name} ({'CPU time' if clock == 'cpu' else 'wall time'})",
        metric=question.metric,
        unit=unit,
        higher_is_better=question.metric == "throughput",
        values=tuple(values),
    )
