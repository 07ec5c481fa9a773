"""Make the file of arms that `ladder_gpu` trains on: extraction, filters and selection need no GPU.

`python -m benchmarks.dclm_bench.ladder_arms --data FOLDER --tokenizer FILE --arms FILE.npz`: FOLDER as for
`dclm-bench claims`, and FILE the ranks of GPT-NeoX (.tiktoken). With `--texts FILE`, the texts.jsonl of a run
of that command, nothing is extracted again. This answers no question of its own. At scale smoke it takes
generated pages and bytes for tokens, and without --arms throws its file away.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from dclm_bench.experiment.collection import read_collection
from dclm_bench.experiment.configuration import settings_for
from dclm_bench.experiment.ladder import build_token_arms
from dclm_bench.experiment.sample_data import write_sample_data
from dclm_bench.experiment.texts import PageTexts, prepare_texts, read_texts
from dclm_bench.experiment.token_arms import MAX_EPOCHS, TokenArms
from dclm_bench.tokenization.tokenizers import load_tokenizer
from toolkit_shared.errors import InputError

SMOKE_SEEDS, SEEDS = 2, 12


def main(argv: Sequence[str] | None = None) -> int:
    """Make the file; the exit code."""
    parser = argparse.ArgumentParser(prog="ladder-arms", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=["smoke", "cpu", "gpu"], default="cpu")
    parser.add_argument("--data", type=Path, help="folder with articles/, quality/ and pages/")
    parser.add_argument("--texts", type=Path, help="texts.jsonl of a run of dclm-bench claims, for --data")
    parser.add_argument("--tokenizer", help="ranks of GPT-NeoX, a tokenizer.json, or bytes")
    parser.add_argument("--arms", type=Path, help="the .npz to write")
    parser.add_argument("--seeds", type=int, help=f"how many seeds (default: {SEEDS}; smoke: {SMOKE_SEEDS})")
    given, _ = parser.parse_known_args(argv)
    smoke = given.scale == "smoke"
    if given.texts is not None and given.texts.suffix != ".jsonl":
        parser.error(f"--texts: {given.texts} is no .jsonl")
    source = given.texts or given.data
    if not smoke and (source is None or given.tokenizer is None or given.arms is None):
        print("ladder-arms: skipped, it needs --data FOLDER (or --texts FILE), --tokenizer FILE, --arms FILE")
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with tempfile.TemporaryDirectory() as folder:
            if smoke:
                write_sample_data(Path(folder))
                source = Path(folder)
            arms = make(
                source,
                tokenizer=given.tokenizer or "bytes",
                seeds=given.seeds or (SMOKE_SEEDS if smoke else SEEDS),
                smoke=smoke,
            )
            path = given.arms or Path(folder) / "arms.npz"
            arms.write(path)
            print(describe(arms))
            print(f"{path.stat().st_size / 1e6:.1f} MB" + (f" in {path}" if given.arms else ""))
            if smoke:
                print("ladder-arms: scale smoke, so no verdict")
    except InputError as error:
        print(f"ladder-arms: error: {error}", file=sys.stderr)
        return 1
    return 0


def make(source: Path, *, tokenizer: str, seeds: int, smoke: bool = False) -> TokenArms:
    """The arms of a folder of data, or of a file of texts, for seeds 0, 1, ...

    Raises:
        InputError: one of them cannot be used.
    """
    settings = settings_for("smoke" if smoke else "cpu")
    # the selectors' pool of generated pages is so small that a tenth of it makes no step
    settings = replace(settings, negatives_fraction=0.1) if smoke else settings
    ids = load_tokenizer(tokenizer)
    return build_token_arms(_texts(source, settings.min_language_probability), range(seeds), settings, ids)


def describe(arms: TokenArms) -> str:
    """A line an arm: documents and tokens of its pool, means over seeds, and the tokens of four epochs."""
    lines = [f"{len(arms.num_bytes):,} texts, {len(arms.tokens):,} tokens, {len(arms.plan['seeds'])} seeds"]
    seeds = arms.plan["seeds"]
    for name in seeds[0]["experiments"]:
        own = [seed["experiments"][name] for seed in seeds if name in seed["experiments"]]
        for arm in own[0]:
            sizes = [sum(len(arms.document(index)) + 1 for index in found[arm]) for found in own]
            pages = mean(len(found[arm]) for found in own)
            lines.append(
                f"{name}: {arm}: {pages:,.0f} pages, {mean(sizes):,.0f} tokens (least {min(sizes):,}); "
                f"{MAX_EPOCHS} epochs are {MAX_EPOCHS * min(sizes):,}"
            )
    for domain in seeds[0]["held_out"]:
        found = [seed["held_out"][domain] for seed in seeds if domain in seed["held_out"]]
        size = mean(sum(len(arms.document(index)) for index in pages.values()) for pages in found)
        lines.append(f"held out: {domain}: {mean(map(len, found)):,.0f} pages, {size:,.0f} tokens")
    return "\n".join(lines)


def _texts(source: Path, min_language_probability: float) -> list[PageTexts]:
    if source.suffix == ".jsonl":
        return read_texts(source)
    texts, lost = prepare_texts(
        read_collection(source), min_language_probability=min_language_probability, trafilatura=False
    )
    print(f"{len(texts):,} pages; left out: {lost or 'none'}")
    return texts


if __name__ == "__main__":
    sys.exit(main())
