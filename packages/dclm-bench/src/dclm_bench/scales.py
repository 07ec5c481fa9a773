"""The five training scales of DataComp-LM, and a tiny one for a CPU."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from toolkit_shared.errors import InputError

VOCABULARY = 50_432
SEQUENCE_LENGTH = 2048


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """Everything that is frozen at a scale, so that only the data differ.

    The defaults are what all five scales have in common.

    Attributes:
        name: Of the scale.
        model: The official open_lm configuration, which names of models contain.
        width: Model width d.
        num_layers: Blocks.
        num_heads: Attention heads.
        tokens: Token budget at multiplier 1.
        sequences_per_step: Sequences of an optimizer step, all devices together.
        accumulation: Micro-batches of each device in a step, as published; how a run shares a step out does
            not change its result.
        lr: Highest learning rate.
        weight_decay: On all parameters, the gains of norms among them.
        warmup_steps: Steps of linear warm-up.
        z_loss: Coefficient of the z-loss.
        multiplier: Of the token budget.
        final_lr: Learning rate at the end of the cosine.
        beta1: Decay of AdamW's first moment.
        beta2: Decay of its second.
        eps: Added to the root of the second moment.
        gradient_clip: Largest norm of the gradient.
        seed: Of initial weights and order.
        precision: On a GPU: `bf16-mixed` (autocast) or `bf16-true`.
        vocab_size: Rows of the embedding; None: as the data need.
        sequence_length: Tokens of a sequence; None: as the data have it.
        h100_hours: Published cost; None where there is none.

    Source: table 1 and the appendix on training of arXiv 2406.11794; `training/configs` of the official code.
    """

    name: str
    model: str
    width: int
    num_layers: int
    num_heads: int
    tokens: int
    sequences_per_step: int
    accumulation: int = 1
    lr: float = 3e-3
    weight_decay: float = 0.033
    warmup_steps: int = 5000
    z_loss: float = 1e-4
    multiplier: int | float = 1
    final_lr: float = 3e-5
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    gradient_clip: float = 1.0
    seed: int = 124
    precision: str = "bf16-mixed"
    vocab_size: int | None = VOCABULARY
    sequence_length: int | None = SEQUENCE_LENGTH
    h100_hours: float | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "sequences_per_step", "accumulation"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive; give 1 or more")
        for name in ("lr", "eps", "multiplier"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name):g} is not a number above 0")
        for name in ("weight_decay", "warmup_steps", "z_loss", "final_lr", "gradient_clip", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name):g} is negative or no number; give 0 or more")

    def num_parameters(self, *, qk_norm: bool = True, vocab_size: int | None = None) -> int:
        """Parameters of the model: 2Vd + L(4d^2 + 3dh + 4d) + d, with h the hidden width of the SwiGLU.

        The official counts leave out the gains of QK-norm, 2d a layer, though every scale has them: that is
        `qk_norm=False`.

        Source: section 8, oracle 2 of the specification.
        """
        vocabulary = vocab_size or self.vocab_size or VOCABULARY
        d, hidden = self.width, 256 * math.ceil(int(8 * self.width / 3) / 256)
        layer = 4 * d * d + 3 * d * hidden + (4 if qk_norm else 2) * d
        return 2 * vocabulary * d + self.num_layers * layer + d

    def budget_tokens(self) -> int:
        """Tokens to be trained on: the scale's, times the multiplier."""
        return int(self.tokens * self.multiplier)

    def steps(self, *, sequence_length: int | None = None) -> int:
        """Optimizer steps within the token budget; a step that would pass it is not begun."""
        length = sequence_length or self.sequence_length or SEQUENCE_LENGTH
        return self.budget_tokens() // (self.sequences_per_step * length)

    def flops(self) -> float:
        """6ND, with N the official number of parameters and D the token budget."""
        return 6.0 * self.num_parameters(qk_norm=False) * self.budget_tokens()

    def model_arguments(self, *, vocab_size: int, sequence_length: int) -> dict[str, Any]:
        """Keyword arguments of the model, for data of this vocabulary and sequence length.

        Raises:
            InputError: the scale is for other data.
        """
        own_length = self.sequence_length or sequence_length
        if own_length != sequence_length:
            raise InputError(
                f"--scale {self.name}: trains on sequences of {own_length} tokens, and the data's "
                f"contexts give {sequence_length}; tokenise with --context-length {own_length + 1}"
            )
        own = self.vocab_size or 64 * -(-vocab_size // 64)
        if own < vocab_size:
            raise InputError(
                f"--scale {self.name}: has {own} ids and the data's tokenizer {vocab_size}; "
                "use another tokenizer"
            )
        return {
            "vocab_size": own,
            "width": self.width,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "max_length": sequence_length,
            "rope_base": 10_000.0,
            "norm_eps": 1e-5,
        }


_7B = Scale(
    name="7b-1x",
    model="training/open_lm_configs/open_lm_7b_swiglutorch.json",
    width=4096,
    num_layers=32,
    num_heads=32,
    tokens=137_788_211_200,
    sequences_per_step=2048,
    accumulation=2,
    lr=2e-3,
    weight_decay=0.05,
    z_loss=5e-6,
    precision="bf16-true",
    h100_hours=3700,
)
SCALES: Mapping[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale(
            name="400m-1x",
            model="training/open_lm_configs/d=1024_l=24_h=8.json",
            width=1024,
            num_layers=24,
            num_heads=8,
            tokens=8_232_325_120,
            sequences_per_step=512,
            accumulation=8,
            warmup_steps=2000,
            h100_hours=26,
        ),
        Scale(
            name="1b-1x",
            model="training/open_lm_configs/open_lm_1b_swiglutorch.json",
            width=2048,
            num_layers=24,
            num_heads=16,
            tokens=28_795_904_000,
            sequences_per_step=256,
            h100_hours=240,
        ),
        Scale(
            name="3b-1x",
            model="training/open_lm_configs/open_lm_3b_swiglutorch.json",
            width=2560,
            num_layers=32,
            num_heads=32,
            tokens=55_918_643_200,
            sequences_per_step=256,
            precision="bf16-true",
            h100_hours=740,
        ),
        _7B,
        dataclasses.replace(_7B, name="7b-2x", multiplier=2, h100_hours=7300),
        # No scale of the competition: with the tokenizer `bytes` it trains in minutes on a CPU, to try
        # everything out. With the vocabulary of GPT-NeoX the output matrix makes it fifty times slower.
        Scale(
            name="tiny",
            model="tiny",
            width=96,
            num_layers=4,
            num_heads=4,
            tokens=1 << 20,
            sequences_per_step=8,
            warmup_steps=10,
            vocab_size=None,
            sequence_length=None,
        ),
    )
}


def find_scale(name: str) -> Scale:
    """The scale of that name.

    Raises:
        InputError: there is none; all are named.
    """
    if name not in SCALES:
        raise InputError(f"--scale: '{name}' is not one of {', '.join(SCALES)}")
    return SCALES[name]
