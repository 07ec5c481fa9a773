"""Write `image_encoder.json`: image features of the official models, from weights that a formula makes.

Run it with a checkout of https://github.com/apple/ml-mobileclip:

    python packages/mobileclip/tests/goldens/make_image_encoder_goldens.py CHECKOUT

`mobileclip.models.scrambling` makes the weights on both sides. What is stored are numbers that
the official classes computed, nothing of their code.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
WORKER = ROOT / "benchmarks" / "mobileclip" / "workers" / "official_models.py"
SCRAMBLING = HERE.parents[1] / "src" / "mobileclip" / "models" / "scrambling.py"
NUM_FEATURES = 8
FORMS = ("weights", "folded")


def main(checkout: str) -> None:
    """Compute and write the features, and how many tensors each checkpoint has."""
    models = {}
    for name in ("mobileclip_s0", "mobileclip_s1", "mobileclip_s2", "mobileclip_b"):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, str(WORKER), checkout, name, str(SCRAMBLING), folder], check=True)
            features = np.load(Path(folder) / "features.npz")["image"]
            keys = {form: torch.load(Path(folder) / f"{form}.pt", weights_only=True) for form in FORMS}
        models[name] = {
            "features": features[:, :NUM_FEATURES].tolist(),
            "norms": np.linalg.norm(features, axis=1).tolist(),
            **{f"{form} tensors": len(state) for form, state in keys.items()},
        }
    value = {"torch": torch.__version__, "models": models}
    (HERE / "image_encoder.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
