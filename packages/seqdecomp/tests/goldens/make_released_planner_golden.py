"""Makes released_planner.json: what the planning script released with the paper prints for a few runs.

Made with apple/ml-dataset-decomposition at commit 9a23939 and numpy 2.4.6:

    python make_released_planner_golden.py CHECKOUT/scripts/get_dd_params.py

The script runs in a process of its own; only numbers are stored.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLE = {
    "tokens": 28_795_904_000,
    "epochs": 8,
    "gpus": 8,
    "batch_size": 64,
    "lengths": [256, 512, 1024, 2048, 4096, 8192],
    "shards": [3560, 5996, 7410, 6309, 5157, 4513],
    "sequences_per_shard": [4096, 2048, 1024, 512, 256, 128],
    "odds": [32, 16, 8, 4, 2, 1],
}
OPTIONS = {
    "tokens": "--tokens",
    "epochs": "--epochs",
    "gpus": "--gpus",
    "workers": "--workers",
    "batch_size": "--global-batch-size",
    "lengths": "--sequence_sizes",
    "shards": "--number-of-shards",
    "sequences_per_shard": "--sequence-per-shard",
    "odds": "--train-data-mix-weights",
}


def main(script: Path) -> None:
    """Write the file beside this script."""
    random = np.random.default_rng(0)
    cases = [EXAMPLE]
    for workers in (1, 2, 1, 4, 1, 2):  # other numbers of tokens, cycles and devices; some with whole shards
        shards = random.integers(2000, 8000, 6).tolist()
        tokens = int(random.integers(5, 40)) * 1_000_000_000
        whole = workers == 4
        cases.append(
            {
                **EXAMPLE,
                "workers": workers,
                "gpus": int(2 ** random.integers(1, 4)),
                "epochs": int(random.integers(1, 9)),
                "shards": shards,
                "tokens": tokens if not whole else tokens // 2**27 * 2**27,
            }
        )
    lines = [json.dumps({"run": case, "printed": printed(script, case)}) for case in cases]
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    (Path(__file__).parent / "released_planner.json").write_text(text, encoding="utf-8")


def printed(script: Path, case: dict[str, Any]) -> dict[str, Any]:
    """The numbers that the script prints for a run."""
    lengths = case["lengths"]
    command = [sys.executable, str(script), "--batch-mult", *(str(lengths[-1] // n) for n in lengths)]
    for name, value in case.items():
        command += [OPTIONS[name], *map(str, value if isinstance(value, list) else [value])]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = {
        name: [int(part) for part in re.search(f"--{option} (.*)", text)[1].split()]
        for name, option in (
            ("tokens_per_epoch", "train-num-samples"),
            ("sequences_per_epoch", "source-num-seq-per-epoch"),
            ("weights", "train-data-mix-weights"),
        )
    }
    instead = re.search(r"Go with ([\d,]+) instead", text)
    tokens = int(instead[1].replace(",", "")) if instead else case["tokens"]
    return {**numbers, "tokens_per_epoch": numbers["tokens_per_epoch"][0], "tokens": tokens}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
