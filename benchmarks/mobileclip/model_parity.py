"""Do the models compute what the official classes, timm and open_clip do, with weights that hide nothing?

`python -m benchmarks.mobileclip.model_parity --official CHECKOUT`: CHECKOUT is a folder with
github.com/apple/ml-mobileclip, of which nothing is in this repository; without it only timm and open_clip are
asked. Every batch statistic, gain, bias and layer scale is random, for at their first values (layer scales
of 1e-5) wrong code passes, too. Official checkpoints are loaded as published and as the official code folds
them; open_clip's models take our weights under its names. Each model is compared unfolded and fully folded.
"""

import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from mobileclip.architectures import ARCHITECTURES
from mobileclip.models import scrambling
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.difference import random_inputs, relative_difference
from mobileclip.models.folding import fold
from mobileclip.models.weights import load_weights, read_state_dict, to_open_clip_state_dict
from toolkit_shared.results import Arm, Result, capture_environment, current_commit, timestamp, write_result
from torch import Tensor

from benchmarks.mobileclip.workers.official_models import inputs_for
from benchmarks.question import RESULTS, Options, command_of, parse

NAME = "model-parity"
IMAGE_TOLERANCE, TEXT_TOLERANCE, WRONG_STEM = 2e-6, 1e-6, 5e-3
EXPECTED = (
    f"relative differences of at most {IMAGE_TOLERANCE:.0e} (images) and {TEXT_TOLERANCE:.0e} (texts) in "
    f"every form; the official B and open_clip's more than {WRONG_STEM:.0e} apart"
)
WORKER = Path(__file__).parent / "workers" / "official_models.py"
OFFICIAL = ("MobileCLIP-S0", "MobileCLIP-S1", "MobileCLIP-S2", "MobileCLIP-B")
OPEN_CLIP = tuple(f"MobileCLIP2-{size}" for size in ("S0", "S2", "B", "S3", "S4", "L-14"))

Differences = dict[str, float]


def main(argv: list[str] | None = None) -> int:
    """Compare, and write the result; 1 where a difference is too large."""
    options = parse(NAME, argv, repeats=1)
    torch.set_num_threads(1)
    started, clock = timestamp(), time.perf_counter()
    found: dict[str, Differences] = {}
    for name, differences in comparisons(options):
        found[name] = differences
        print(f"{name}: " + ", ".join(f"{what} {value:.1e}" for what, value in differences.items()))
        gc.collect()
    if not found:
        print(f"{NAME}: skipped, it needs --official CHECKOUT or peers")
        return 0
    passed = all(holds(what, value) for row in found.values() for what, value in row.items())
    print(f"{NAME}: expected {EXPECTED}: {'holds' if passed else 'fails'}")
    if options.out is not None:
        result = Result(
            toolkit="mobileclip",
            question=NAME,
            kind="oracle",
            arms=arms(found),
            comparison=None,
            expected=EXPECTED,
            verdict="holds" if passed else "fails",
            environment=capture_environment(["mobileclip", "torch", "timm", "open_clip_torch"], threads=1),
            command=command_of(argv),
            commit=current_commit(RESULTS.parent),
            started=started,
            seconds=round(time.perf_counter() - clock, 1),
            note="one random input batch and one set of scrambled weights a model",
        )
        print(f"wrote {write_result(result, options.out)}")
    return 0 if passed else 1


def holds(what: str, difference: float) -> bool:
    """Whether a difference is as expected; that of the wrong stem has to be seen."""
    if "stem" in what:
        return difference > WRONG_STEM
    return difference <= (IMAGE_TOLERANCE if what.startswith("image") else TEXT_TOLERANCE)


def comparisons(options: Options) -> Iterator[tuple[str, Differences]]:
    """What differs from whom, model after model; one of each at scale smoke."""
    smoke = options.scale == "smoke"
    if options.official is not None:
        for name in OFFICIAL[: 1 if smoke else None]:
            yield f"{name} / official", official_differences(name, options.official)
    if options.peers:
        for name in OPEN_CLIP[: 1 if smoke else None]:
            yield f"{name} / open_clip", open_clip_differences(name)


def official_differences(name: str, checkout: Path) -> Differences:
    """Our features from the official checkpoints, against the official features."""
    configuration = name.replace("-", "_").lower()
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, str(WORKER), str(checkout.resolve()), configuration]
        subprocess.run([*call, str(scrambling.__file__), folder], check=True, capture_output=True)
        with np.load(Path(folder) / "features.npz") as file:
            theirs = {what: torch.from_numpy(file[what]) for what in file.files}
        models = {
            form: load_weights(
                read_state_dict(Path(folder) / f"{form}.pt"), ARCHITECTURES[name], where=f"{form}.pt"
            ).model
            for form in ("weights", "folded")
        }
    images, tokens = (
        torch.from_numpy(array) for array in inputs_for(models["weights"].image_encoder.image_size)
    )
    differences: Differences = {}
    for what, model, suffix in (
        ("", models["weights"], ""),
        (" of the folded checkpoint", models["folded"], " folded"),
        (" folded fully", fold(models["weights"]), ""),
    ):
        for tower, features in both_features(model, images, tokens).items():
            differences[tower + what] = relative_difference(features, theirs[tower + suffix])
    return differences


def open_clip_differences(name: str) -> Differences:
    """Our features against those of open_clip's model, which takes our weights."""
    import open_clip

    architecture = ARCHITECTURES[name]
    compat: Literal["official", "open_clip"] = "open_clip" if name.endswith("-B") else "official"
    model = ImageTextModel(architecture, compat=compat, head_bias=True).eval()
    scrambling.scramble(model)
    images, tokens = random_inputs(model.image_encoder), random_inputs(model.text_encoder)
    ours = {"": both_features(model, images, tokens), " folded fully": {}}
    ours[" folded fully"] = both_features(fold(model), images, tokens)
    stem: Tensor | None = None
    if compat == "open_clip":
        faithful = ImageTextModel(architecture, head_bias=True).eval()
        faithful.load_state_dict(model.state_dict())
        stem = both_features(faithful, images, tokens)["image"]
    state = to_open_clip_state_dict(model)
    del model
    peer = open_clip.create_model(name).eval()
    peer.load_state_dict(state)
    with torch.inference_mode():
        theirs = {"image": peer.encode_image(images), "text": peer.encode_text(tokens)}
    differences = {
        tower + what: relative_difference(features, theirs[tower])
        for what, found in ours.items()
        for tower, features in found.items()
    }
    if stem is not None:
        differences["image with the official stem"] = relative_difference(stem, theirs["image"])
    return differences


def both_features(model: ImageTextModel, images: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """The features of both towers, texts at full length."""
    with torch.inference_mode():
        return {
            "image": model.encode_image(images),
            "text": model.encode_text(tokens, truncate=False),
        }


def arms(found: Mapping[str, Differences]) -> tuple[Arm, ...]:
    """An arm a comparison."""
    return tuple(
        Arm(
            name=f"{name}: {what}",
            metric="relative L2 difference",
            unit="",
            higher_is_better="stem" in what,
            values=(value,),
        )
        for name, differences in found.items()
        for what, value in differences.items()
    )


if __name__ == "__main__":
    sys.exit(main())
