"""Makes open_lm_logits.npz: small random weights and what the open_lm project's own model computes with them.

Made with open_lm at commit 9bb92ef1689333534b7057942a20d18a46d1fa52 and torch 2.15.0 on a CPU:

    python make_open_lm_golden.py CHECKOUT_OF_OPEN_LM

Only its model, attention, norm and position files run. Its dependency xformers is replaced by an empty
module: with `torch_attn` and `swiglu_torch` (same parameter names, same arithmetic) nothing of it is called.
"""

import importlib
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import torch

SIZES = {"dim": 64, "n_layers": 2, "n_heads": 4, "vocab_size": 61, "seq_len": 40}


def main(checkout: Path) -> None:
    """Write the golden file beside this script."""
    for name in ("xformers", "xformers.ops"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["xformers"].ops = sys.modules["xformers.ops"]
    package = types.ModuleType("open_lm")
    package.__path__ = [str(checkout / "open_lm")]
    sys.modules["open_lm"] = package
    theirs = importlib.import_module("open_lm.model")
    attention = importlib.import_module("open_lm.attention")
    norms = importlib.import_module("open_lm.norms")

    torch.manual_seed(20240722)
    model = theirs.Transformer(
        theirs.Params(
            **SIZES,
            norm_type=partial(norms.LayerNorm, elementwise_gain=True, elementwise_bias=False),
            attn_func=attention.torch_attn,
            apply_qk_norm=True,
            ffn_type="swiglu_torch",
        )
    )
    with torch.no_grad():  # gains of exactly one would hide a norm that is applied per head, or not at all
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
    tokens = torch.randint(SIZES["vocab_size"], (2, SIZES["seq_len"]))
    state = {name: value.detach() for name, value in model.state_dict().items()}
    arrays = {f"weight/{name}": value.half().float().numpy() for name, value in state.items()}
    # Weights go into the file in half precision to keep it small, so the model must run with what was stored.
    buffers = {name: value for name, value in state.items() if "inv_freq" in name}
    rounded = {name.removeprefix("weight/"): torch.from_numpy(value) for name, value in arrays.items()}
    model.load_state_dict(rounded | buffers)
    logits, _, _ = model(tokens)
    stored = {name: value.astype(np.float16) for name, value in arrays.items() if "inv_freq" not in name}
    stored |= {f"weight/{name}": value.numpy() for name, value in buffers.items()}
    np.savez_compressed(
        Path(__file__).with_name("open_lm_logits.npz"),
        tokens=tokens.numpy().astype(np.uint8),
        logits=logits.detach().numpy(),
        **stored,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
