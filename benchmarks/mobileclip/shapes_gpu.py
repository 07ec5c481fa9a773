"""Does the ladder of reinforced training hold for real MCi0 students on images of shapes, on one GPU?

`python -m benchmarks.mobileclip.shapes_gpu --scale gpu --out FOLDER [--seeds N] [--steps N] [--seconds S]
[--compile]`. Two teachers are trained once on clean captions; then, seed by seed, one student an arm: A plain
CLIP with weak augmentation, B with strong, C and synthetic captions, D distillation with real captions, F the
full method. All arms of a seed have the same pairs, weights and order. A seed that would not end in time is
not begun. Nothing is judged where a teacher is no better than arm A: with 400 steps of the teachers that was
so (8.8 and 14.6 % against 16.4 %). FOLDER/shapes-runs.json has the raw accuracies, after every seed; there
is one result file a question. `--runs FOLDER/shapes-runs.json` answers again without training. At scale smoke
(or --smoke) tiny models train for two steps on the CPU, and nothing is judged.
"""

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mobileclip import __version__
from toolkit_shared.artifacts import read_json, write_json
from toolkit_shared.claims import Question, Run, Runs, answer_all, answer_entries, answer_lines, write_results
from toolkit_shared.results import Environment, capture_environment, timestamp

from benchmarks.mobileclip.shapes_training import (
    ARMS,
    ShapesExperiment,
    Sizes,
    full_sizes,
    order_broken,
    smoke_sizes,
)
from benchmarks.question import RESULTS

RUNS = "shapes-runs.json"
SEEDS, SECONDS = 3, 340


def accuracy(run: Run, _: Runs) -> float | None:
    """Zero-shot accuracy in percent."""
    return 100.0 * float(run["accuracy"])


def question(first: str, second: str, expected: str) -> Question:
    """Whether one arm is better than another."""
    return Question(
        name=f"{first.lower()}-against-{second.lower()}",
        metric="zero-shot accuracy",
        unit="%",
        value=accuracy,
        first=first,
        second=second,
        form="difference",
        expected=expected,
        direction="higher",
        higher_is_better=True,
        gated=True,
    )


# nothing like it was run before: the order is that of the digits, of which no figure can be carried over
QUESTIONS = (
    question("B", "A", "higher"),
    question("C", "B", "higher, by far: captions of the captioner are full and mostly right"),
    question("D", "C", "higher: the teachers saw clean captions"),
    question("F", "D", "higher, the least of the steps"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, answer and write; the exit code, which is 0 whatever the verdicts."""
    parser = argparse.ArgumentParser(prog="shapes-gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=["smoke", "cpu", "gpu"], default="cpu")
    parser.add_argument("--smoke", action="store_true", help="the same as --scale smoke")
    parser.add_argument("--runs", type=Path, help=f"answer from this {RUNS} instead of training")
    parser.add_argument("--out", type=Path, help="folder of the files (default: benchmarks/results)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"at most (default: {SEEDS})")
    parser.add_argument("--steps", type=int, help="of a student (default: 240)")
    parser.add_argument("--teacher-steps", type=int, help="of a teacher (default: 2,000)")
    parser.add_argument("--batch-size", type=int, help="pairs of a step (default: 2,048)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for all (default: {SECONDS})")
    parser.add_argument("--compile", action="store_true", help="compile the students' training")
    given, _ = parser.parse_known_args(argv)
    smoke = given.smoke or given.scale == "smoke"
    reason = skip_reason(smoke, given.scale, given.runs)
    if reason:
        print(f"shapes-gpu: skipped, {reason}")
        return 0
    out: Path = given.out or RESULTS
    if given.runs is not None:
        document = read_json(given.runs)
    elif smoke:
        document = train(smoke_sizes(), seeds=1, seconds=math.inf, out=given.out)
    else:
        sizes = full_sizes("cuda", compiled=given.compile)
        if given.steps is not None:
            sizes = dataclasses.replace(sizes, steps=given.steps)
        if given.teacher_steps is not None:
            sizes = dataclasses.replace(sizes, teacher_steps=given.teacher_steps)
        if given.batch_size is not None:
            sizes = dataclasses.replace(sizes, batch_size=given.batch_size)
        document = train(sizes, seeds=given.seeds, seconds=given.seconds, out=out)
    print("\n".join(describe(document)))
    if smoke:
        print("shapes-gpu: scale smoke, so no verdict")
    else:
        answer(document, out)
    return 0


def skip_reason(smoke: bool, scale: str, runs: Path | None) -> str:
    """Why the question cannot be asked here, or ""."""
    if smoke or runs is not None:
        return ""
    if scale != "gpu":
        return "it is asked at --scale gpu"
    return "" if torch.cuda.is_available() else "there is no CUDA device"


def train(sizes: Sizes, *, seeds: int, seconds: float, out: Path | None) -> dict[str, Any]:
    """Teachers, and all seeds that fit into the time; OUT/shapes-runs.json is written after each."""
    begun, started = time.monotonic(), timestamp()
    environment = capture_environment(
        ["numpy", "torch"], threads=torch.get_num_threads(), versions={"mobileclip": __version__}
    )

    def report(line: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f} s] {line}", file=sys.stderr, flush=True)

    experiment = ShapesExperiment(sizes, report)
    runs: list[dict[str, Any]] = []
    document: dict[str, Any] = {
        "started": started,
        "seconds": time.monotonic() - begun,
        "time_limit": None if math.isinf(seconds) else seconds,
        "environment": dataclasses.asdict(environment),
        "sizes": sizes.describe(),
        "steps": sizes.steps,
        "compiled": sizes.compiled,
        "teachers": experiment.teacher_accuracy,
        "runs": runs,
    }
    for seed in range(seeds):
        # with the compilation in it, the first seed tells too much of the second
        longest = min((run["seconds"] for run in runs), default=0.0)
        if time.monotonic() + longest > begun + seconds:
            report(f"no time for seed {seed}")
            break
        runs.append(experiment.run_seed(seed))
        document["seconds"] = time.monotonic() - begun
        if out is not None:
            write_json(out / RUNS, document)
    return document


def describe(document: dict[str, Any]) -> list[str]:
    """Accuracies of every arm by seed, in percent."""
    teachers = ", ".join(f"{100 * value:.1f}" for value in document["teachers"])
    lines = [f"{document['sizes']}; {document['seconds']:.0f} s", f"teachers: {teachers} %"]
    for arm in ARMS:
        values = " ".join(f"{100 * run['arms'][arm]['accuracy']:.2f}" for run in document["runs"])
        lines.append(f"  {arm}: {values} %")
    broken = order_broken(document["runs"])
    order = f"not in seeds {', '.join(map(str, broken))} of" if broken else "in each of"
    lines.append(f"A < B < C < D < F {order} {len(document['runs'])} seeds")
    return lines


def answer(document: dict[str, Any], out: Path) -> None:
    """Print the verdicts and write a result file for each question, where the teachers know more than A."""
    students = [run["arms"]["A"]["accuracy"] for run in document["runs"]]
    if students and min(document["teachers"]) <= max(students):
        print("shapes-gpu: a teacher is no better than arm A, so nothing is judged; give --teacher-steps")
        return
    runs = {(arm, run["seed"]): run["arms"][arm] for run in document["runs"] for arm in ARMS}
    answers = answer_all(QUESTIONS, runs)
    if not answers:
        print("shapes-gpu: no seed was whole, so there is no answer; give more --seconds")
        return
    print("\n".join(answer_lines(answer_entries(answers), digits=2)))
    write_results(
        answers,
        out,
        toolkit="mobileclip",
        environment=Environment(**document["environment"]),
        command=f"python -m benchmarks.mobileclip.shapes_gpu --scale gpu --steps {document['steps']}"
        + " --compile" * document["compiled"],
        started=document["started"],
        seconds=document["seconds"],
        variant="mobileclip-shapes",
        note=f"{document['sizes']}; teachers are shared by the seeds; MCi0 and mct at half width, bfloat16",
    )
    print(f"wrote {len(answers)} results into {out}")


if __name__ == "__main__":
    sys.exit(main())
