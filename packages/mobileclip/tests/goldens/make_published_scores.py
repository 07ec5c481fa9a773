"""Writes `published_scores.json`: published scores of three models, by task, as their result files have them.

`python make_published_scores.py CHECKOUT`, a checkout of apple/ml-mobileclip. The three are MobileCLIP-S0,
MobileCLIP-S1 (whose FMoW score is 0) and MobileCLIP2-S0 (whose file has further rows). Only numbers are kept:
main_metric of every row (null included), and recall@1 both ways of the two retrieval tasks.
"""

import json
import sys
from pathlib import Path

MODELS = ("mobileclip_s0", "mobileclip_s1", "mobileclip2_s0")
RECALLS = ("image_retrieval_recall@1", "text_retrieval_recall@1")


def main(checkout: Path) -> None:
    """Read the three files and write the numbers beside this script."""
    found = {}
    for model in MODELS:
        rows = {}
        for line in (checkout / "results" / f"{model}.jsonl").read_text().splitlines():
            row = json.loads(line)
            kept = {"main_metric": row["metrics"]["main_metric"]}
            if row["key"].startswith("retrieval/"):
                kept |= {name: row["metrics"][name] for name in RECALLS}
            rows[row["key"]] = kept
        found[model] = rows
    text = json.dumps(found, indent=1)
    (Path(__file__).parent / "published_scores.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
