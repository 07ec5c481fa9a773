"""Does the paper's ladder hold for OpenLM on tokens, at 11M and 79M parameters, on one GPU in minutes?

`python -m benchmarks.dclm_bench.ladder_gpu --scale gpu --arms FILE.npz --out FOLDER [--seconds S]`, with the
file of `ladder_arms`. Seed by seed, each model is trained on every arm from the same weights and on as many
tokens as the other arms of its experiment, at most four epochs of the smallest, and predicts held-out pages.
Once the seconds are spent no arm is begun, and the seeds that are whole count. FOLDER/ladder-runs.json has
all figures, and there is one result file a question. `--runs FOLDER/ladder-runs.json` answers again from the
former without training, as on a machine that knows the commit. At scale smoke, tiny models train on generated
pages and bytes on the CPU, and nothing is judged.
"""

import argparse
import dataclasses
import logging
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from dclm_bench import __version__
from dclm_bench.experiment.ladder_questions import answer_ladder
from dclm_bench.experiment.ladder_training import (
    MODELS,
    LadderBudget,
    LadderModel,
    LadderTrainer,
    run_arms,
)
from dclm_bench.experiment.token_arms import TokenArms, read_token_arms
from toolkit_shared.artifacts import fingerprint_file, read_json, write_json
from toolkit_shared.claims import answer_entries, answer_lines, write_results
from toolkit_shared.errors import InputError
from toolkit_shared.results import Environment, capture_environment, timestamp

from benchmarks.question import RESULTS

RUNS = "ladder-runs.json"
# A seed is some 7.8 million tokens with each model. At 600,000 tokens a second for the small one, 250,000 for
# the large one, and 60 s to compile, the small one gets five seeds and the large one four. More tokens would
# read the English pool twice.
TOKENS, SECONDS = 1_000_000, 270
SMOKE_MODELS = (LadderModel("smoke", 16, 1, 2),)
SMOKE_BUDGET = LadderBudget(1_024, length=64, batch_size=4, evaluation_batch_size=128)
SMOKE_PAGES = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Train, answer and write; the exit code, which is 0 whatever the verdicts."""
    parser = argparse.ArgumentParser(prog="ladder-gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=["smoke", "cpu", "gpu"], default="cpu")
    parser.add_argument("--arms", type=Path, help="the .npz of ladder_arms")
    parser.add_argument("--runs", type=Path, help=f"answer from this {RUNS} instead of training")
    parser.add_argument("--out", type=Path, help="folder of the files (default: benchmarks/results)")
    parser.add_argument("--tokens", type=int, default=TOKENS, help=f"of an arm (default: {TOKENS:,})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"to train for (default: {SECONDS})")
    names = [model.name for model in MODELS]
    parser.add_argument("--models", nargs="+", choices=names, default=names, help="sizes (default: all)")
    given, _ = parser.parse_known_args(argv)
    smoke = given.scale == "smoke"
    reason = skip_reason(given.scale, given.arms, given.runs)
    if reason:
        print(f"ladder-gpu: skipped, {reason}")
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out: Path = given.out or RESULTS
    try:
        if given.runs is not None:
            document = read_json(given.runs)
        elif smoke:
            document = train(smoke_arms(), SMOKE_MODELS, SMOKE_BUDGET, "cpu", math.inf, given.out)
        else:
            arms = read_token_arms(given.arms)
            models = tuple(model for model in MODELS if model.name in given.models)
            document = train(arms, models, LadderBudget(given.tokens), "cuda", given.seconds, out)
            document["arms"] = fingerprint_file(given.arms)
            write_json(out / RUNS, document)
    except InputError as error:
        print(f"ladder-gpu: error: {error}", file=sys.stderr)
        return 1
    print("\n".join(describe(document)))
    if smoke:
        print("ladder-gpu: scale smoke, so no verdict")
    else:
        answer(document, out)
    return 0


def skip_reason(scale: str, arms: Path | None, runs: Path | None) -> str:
    """Why the question cannot be asked here, or ""."""
    if scale == "smoke" or runs is not None:
        return ""
    if scale != "gpu":
        return "it is asked at --scale gpu"
    if arms is None:
        return "it needs --arms FILE, which benchmarks.dclm_bench.ladder_arms makes"
    return "" if torch.cuda.is_available() else "there is no CUDA device"


def train(
    arms: TokenArms,
    models: Sequence[LadderModel],
    budget: LadderBudget,
    device: str,
    seconds: float,
    out: Path | None,
) -> dict[str, Any]:
    """All runs that fit into the time, seed by seed; OUT/ladder-runs.json is written after each.

    Raises:
        InputError: an arm is too small for one step.
    """
    begun, started = time.monotonic(), timestamp()
    environment = capture_environment(
        ["numpy", "torch"], threads=torch.get_num_threads(), versions={"dclm-bench": __version__}
    )
    runs: list[dict[str, Any]] = []
    trainers = [LadderTrainer(model, arms.plan["vocab_size"], budget, device) for model in models]
    last = dict.fromkeys((model.name for model in models), 0.0)
    document: dict[str, Any] = {
        "started": started,
        "seconds": 0.0,
        "time_limit": None if math.isinf(seconds) else seconds,
        "environment": dataclasses.asdict(environment),
        "budget": dataclasses.asdict(budget),
        "models": [dataclasses.asdict(model) for model in models],
        "tokenizer": arms.plan["tokenizer"],
        "runs": runs,
    }
    for plan in arms.plan["seeds"]:
        for trainer in trainers:
            now, name = time.monotonic(), trainer.size.name
            # a seed that cannot end in time would only take from the other model's
            if now + last[name] > begun + seconds:
                continue
            found = run_arms(trainer, arms, plan, deadline=begun + seconds)
            if found is None:
                continue
            # the first one has the compilation in it
            took = time.monotonic() - now
            last[name] = took if not last[name] else min(last[name], took)
            found["seconds"] = took
            runs.append(found)
            document["seconds"] = round(time.monotonic() - begun, 1)
            if out is not None:
                write_json(out / RUNS, document)
    return document


def describe(document: dict[str, Any]) -> list[str]:
    """Which seeds are whole, how fast they went, and mean bits per byte of each arm by domain."""
    lines = []
    for model in document["models"]:
        runs = [run for run in document["runs"] if run["model"] == model["name"]]
        if not runs:
            lines.append(f"{model['name']}: no seed was whole in {document['seconds']} s")
            continue
        tokens = sum(entry["tokens"] * len(entry["bits"]) for entry in runs[-1]["experiments"].values())
        lines.append(
            f"{model['name']}: seeds {', '.join(str(run['seed']) for run in runs)}; the last took "
            f"{runs[-1]['seconds']:.1f} s for {tokens:,} tokens, {tokens / runs[-1]['seconds']:,.0f} tokens/s"
        )
        for name, entry in runs[0]["experiments"].items():
            for arm, domains in entry["bits"].items():
                lines.append(f"  {name}: {arm}: " + _means(runs, name, arm, list(domains)))
    return lines


def answer(document: dict[str, Any], out: Path) -> None:
    """Print the verdicts and write a result file for each question."""
    answers = answer_ladder(document["runs"])
    if not answers:
        print("ladder-gpu: fewer than two whole seeds, so there is no answer; give more --seconds")
        return
    print("\n".join(answer_lines(answer_entries([one.answer for one, _ in answers]), digits=4)))
    environment = Environment(**document["environment"])
    budget = document["budget"]
    recipe = (
        f"{document['tokenizer']} tokens, {budget['batch_size']} x {budget['length']} a step, bfloat16, "
        f"z-loss 1e-4, QK-norm; time limit {document['time_limit']} s"
    )
    for one, note in answers:
        write_results(
            [one.answer],
            out,
            toolkit="dclm-bench",
            environment=environment,
            command="python -m benchmarks.dclm_bench.ladder_gpu --scale gpu --arms FILE "
            f"--tokens {budget['tokens']} --seconds {document['time_limit']:g}",
            started=document["started"],
            seconds=document["seconds"],
            variant="ladder",
            note=f"{note}; {recipe}",
        )
    print(f"wrote {len(answers)} results into {out}")


def smoke_arms() -> TokenArms:
    """Arms of generated pages, bytes for tokens."""
    from dclm_bench.experiment.sample_data import write_sample_data

    from benchmarks.dclm_bench.ladder_arms import SMOKE_SEEDS, make

    with tempfile.TemporaryDirectory() as folder:
        write_sample_data(Path(folder), pages=SMOKE_PAGES)
        arms = make(Path(folder), tokenizer="bytes", seeds=SMOKE_SEEDS, smoke=True)
    for plan in arms.plan["seeds"]:
        # predicting all of them would take most of the time
        plan["held_out"] = {
            domain: dict(list(pages.items())[:2]) for domain, pages in plan["held_out"].items()
        }
    return arms


def _means(runs: Sequence[dict[str, Any]], name: str, arm: str, domains: Sequence[str]) -> str:
    found = []
    for domain in domains:
        values = [run["experiments"][name]["bits"][arm][domain].values() for run in runs]
        found.append(f"{domain} {sum(sum(v) / len(v) for v in values) / len(runs):.4f}")
    entry = runs[0]["experiments"][name]
    return (
        f"{', '.join(found)} bits/byte; {entry['tokens']:,} tokens, {entry['epochs'][arm]:.2f} epochs of "
        f"{entry['pool_tokens'][arm]:,} ({entry['pool_pages'][arm]:,} pages)"
    )


if __name__ == "__main__":
    sys.exit(main())
