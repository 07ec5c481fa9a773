"""Write `text_encoder.json`: features of the official text encoders, from weights that a formula makes.

Run it with a checkout of https://github.com/apple/ml-mobileclip:

    python packages/mobileclip/tests/goldens/make_text_encoder_goldens.py CHECKOUT

The official package has the name of ours, so our two modules are loaded from their files. What is stored are
numbers that the official classes computed, nothing of their code.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import torch

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src" / "mobileclip"
NUM_FEATURES = 8
VOCABULARY = 199
EOT = VOCABULARY - 1

# Small ones of each kind; the sizes are repeated in the test.
ENCODERS = {
    "rep blocks": {"model_name": "mct", "dim": 64, "n_transformer_layers": 2, "causal_masking": False},
    "bidirectional": {"model_name": "base", "dim": 64, "n_transformer_layers": 3, "causal_masking": False},
    "causal": {"model_name": "base", "dim": 64, "n_transformer_layers": 3, "causal_masking": True},
}


def tokens() -> torch.Tensor:
    """Three texts of 4, 20 and 76 tokens, the end-of-text token behind each."""
    rows = torch.zeros(3, 77, dtype=torch.int64)
    for row, length in enumerate((4, 20, 76)):
        rows[row, :length] = 1 + torch.arange(length) * (7 + row) % (EOT - 1)
        rows[row, length] = EOT
    return rows


def main(checkout: str) -> None:
    """Compute and write the features."""
    scrambling = _load("scrambling", SOURCE / "models" / "scrambling.py")
    sys.path.insert(0, checkout)
    for name in [name for name in sys.modules if name.split(".")[0] == "mobileclip"]:
        del sys.modules[name]
    from mobileclip.text_encoder import TextTransformer  # the official one

    assert Path(checkout).resolve() in Path(sys.modules["mobileclip"].__file__ or "").resolve().parents
    shared = {
        "context_length": 77,
        "vocab_size": VOCABULARY,
        "ffn_multiplier_per_layer": 4.0,
        "n_heads_per_layer": 2,
        "norm_layer": "layer_norm_fp32",
    }
    goldens = {}
    for name, sizes in ENCODERS.items():
        encoder = TextTransformer({**shared, **sizes}, projection_dim=NUM_FEATURES).eval()
        scrambling.scramble(encoder)
        with torch.no_grad():
            whole, short = encoder(tokens()), encoder(tokens()[:1, :5])
        goldens[name] = {"features": whole.tolist(), "features of 5 columns": short.tolist()}
    value = {"torch": torch.__version__, "encoders": goldens}
    (HERE / "text_encoder.json").write_text(json.dumps(value, indent=1) + "\n")


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(sys.argv[1])
