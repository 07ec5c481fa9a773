"""One official model with scrambled weights: what it computes, written to a folder.

`python official_models.py CHECKOUT NAME SCRAMBLING OUT`: CHECKOUT is a folder with
github.com/apple/ml-mobileclip, NAME one of its configurations (mobileclip_s0), SCRAMBLING the file of
`mobileclip.models.scrambling`, which fills weights by their names, and OUT the folder for `weights.pt` (as
released), `folded.pt` (after its own folding) and `features.npz`. A process of its own, because the official
package has the name of ours.
"""

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from toolkit_shared.randomness import stream

NUM_INPUTS = 2
VOCABULARY, CONTEXT = 49408, 77


def inputs_for(image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The same images (float32 in 0..1) and token rows (int64) for whoever compares."""
    images = stream(0, "parity images").random((NUM_INPUTS, 3, image_size, image_size), dtype=np.float32)
    generator = stream(0, "parity texts")
    tokens = generator.integers(1, VOCABULARY - 2, (NUM_INPUTS, CONTEXT))
    for row, length in zip(tokens, (7, CONTEXT - 1), strict=True):
        row[length] = VOCABULARY - 1
        row[length + 1 :] = 0
    return images, tokens


def main(checkout: Path, name: str, scrambling: Path, out: Path) -> None:
    """Build, scramble, run, fold, run again, and write all of it."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    spec = importlib.util.spec_from_file_location("scrambling", scrambling)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.insert(0, str(checkout))
    official: Any = importlib.import_module("mobileclip")
    if Path(official.__file__).resolve().parent.parent != checkout.resolve():
        raise SystemExit(f"{checkout}: holds no package mobileclip")
    model, _, preprocess = official.create_model_and_transforms(name, reparameterize=False)
    module.scramble(model)
    features: dict[str, np.ndarray] = {}
    images, tokens = (torch.from_numpy(array) for array in inputs_for(preprocess.transforms[0].size))
    torch.save(model.state_dict(), out / "weights.pt")
    with torch.no_grad():
        features["image"] = model.encode_image(images).numpy()
        features["text"] = model.encode_text(tokens).numpy()
        folded = official.reparameterize_model(model)
        features["image folded"] = folded.encode_image(images).numpy()
        features["text folded"] = folded.encode_text(tokens).numpy()
    torch.save(folded.state_dict(), out / "folded.pt")
    np.savez(out / "features.npz", **features)  # type: ignore[arg-type]


if __name__ == "__main__":
    place, configuration, file, folder = sys.argv[1:]
    main(Path(place), configuration, Path(file), Path(folder))
