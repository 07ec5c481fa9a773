"""What is compared with what: the sizes of the experiment and its arms; plain values only."""

import difflib
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from toolkit_shared.errors import InputError

Attention = Literal["row", "masked", "per-document"]


@dataclass(frozen=True, kw_only=True)
class ArmSettings:
    """One way to make training sequences from the documents.

    Attributes:
        name: Name in tables and files.
        arm: Name of the arm of `seqdecomp.arms` that lays out the rows.
        attention: "row": over the whole row; "masked": one dense masked product a row; "per-document": one
            product a document, which costs what variable-length kernels cost.
        curriculum: Order of the lengths, for the decomposed arms.
        cycles: How often the curriculum starts anew.
    """

    name: str
    arm: str
    attention: Attention = "row"
    curriculum: str = "uniform"
    cycles: int = 1


ARMS: dict[str, ArmSettings] = {
    arm.name: arm
    for arm in (
        ArmSettings(name="concat", arm="concat"),
        ArmSettings(name="dd-grow-p2-8", arm="dd", curriculum="grow-p2", cycles=8),
        ArmSettings(name="concat+mask", arm="concat+mask", attention="masked"),
        ArmSettings(name="concat+varlen", arm="concat+mask", attention="per-document"),
        ArmSettings(name="best-fit+mask", arm="best-fit+mask", attention="masked"),
        ArmSettings(name="semantic", arm="semantic"),
        ArmSettings(name="dd-uniform", arm="dd"),
        ArmSettings(name="dd-grow-p2-1", arm="dd", curriculum="grow-p2"),
        ArmSettings(name="dd-shrink-p100", arm="dd", curriculum="shrink-p100"),
        ArmSettings(name="dd-grow-p100", arm="dd", curriculum="grow-p100"),
    )
}
BASELINE, METHOD = "concat", "dd-grow-p2-8"
DEFAULT_ARMS = tuple(name for name in ARMS if name not in ("semantic", "dd-grow-p100"))
GATE_ARMS = (BASELINE, METHOD)
STABILITY_ARMS = (BASELINE, "dd-grow-p100")


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Sizes that all arms share.

    Attributes:
        steps: Optimizer steps.
        batch_tokens: Tokens in each step.
        min_length: Shortest sequence; documents are trimmed to a multiple of it.
        max_length: Longest sequence, and the row length of the arms that pack.
        vocab_size: Ids of the byte-pair tokenizer that is trained on the training part.
        width: Model width.
        num_layers: Blocks of the model.
        num_heads: Attention heads.
        rope_base: Base of the rotary frequencies.
        lr: Highest learning rate.
        final_lr: Learning rate at the end of the cosine.
        warmup_steps: Steps of linear warm-up.
        weight_decay: Weight decay of the matrices.
        clip_norm: Largest norm of the gradient; 0 for no clipping.
        z_loss: Coefficient of the z-loss.
        documents: "functions" of the standard library, or whole "modules" of it and of installed packages.
        validation_tokens: Tokens of the validation documents, at most.
        curve_tokens: Tokens of the part that is evaluated along the run.
        device: "cpu" (time is the process's CPU time) or "cuda" (time is the clock's).
    """

    steps: int = 160
    batch_tokens: int = 4096
    min_length: int = 32
    max_length: int = 1024
    vocab_size: int = 1024
    width: int = 96
    num_layers: int = 2
    num_heads: int = 4
    rope_base: float = 100_000.0
    lr: float = 3e-3
    final_lr: float = 3e-5
    warmup_steps: int = 16
    weight_decay: float = 0.033
    clip_norm: float = 1.0
    z_loss: float = 1e-4
    documents: Literal["functions", "modules"] = "functions"
    validation_tokens: int = 200_000
    curve_tokens: int = 40_000
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: {self.steps} is not positive; give 1 or more")
        for name in ("batch_tokens", "min_length", "max_length"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                raise ValueError(f"{name}: {value} is not a power of two; give 512, 1024 or such")
        if not self.min_length <= self.max_length <= self.batch_tokens:
            raise ValueError(
                f"max_length: {self.max_length} is not between the shortest length {self.min_length} and the "
                f"batch of {self.batch_tokens} tokens; choose one that is"
            )

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, as plain values."""
        return asdict(self)


GPU = ExperimentSettings(
    steps=240,
    batch_tokens=1 << 17,
    min_length=256,
    max_length=8192,
    vocab_size=8192,
    width=768,
    num_layers=6,
    num_heads=12,
    warmup_steps=24,
    documents="modules",
    validation_tokens=2_000_000,
    curve_tokens=400_000,
    device="cuda",
)


def settings_for(
    scale: Literal["cpu", "gpu"],
    *,
    steps: int | None = None,
    max_length: int | None = None,
    stability: bool = False,
) -> ExperimentSettings:
    """The settings of a scale with what the caller changes; `stability` is the lr 1e-2, no clipping variant.

    The batch grows with `max_length` where it would not hold one sequence. Warm-up is a tenth of the steps.

    Raises:
        ValueError: a value that cannot be.

    Source: the sizes are our choice; the stability variant is that of Appendix E of arXiv 2405.13226.
    """
    chosen = GPU if scale == "gpu" else ExperimentSettings()
    if steps is not None:
        chosen = replace(chosen, steps=steps, warmup_steps=max(1, steps // 10))
    if max_length is not None:
        batch_tokens = max(chosen.batch_tokens, max_length)
        chosen = replace(chosen, max_length=max_length, batch_tokens=batch_tokens)
    if stability:
        chosen = replace(chosen, lr=1e-2, clip_norm=0.0)
    return chosen


def find_arms(names: tuple[str, ...]) -> list[ArmSettings]:
    """The arms of these names, in this order.

    Raises:
        InputError: an unknown name, or one given twice.
    """
    for name in names:
        if name not in ARMS:
            near = difflib.get_close_matches(name, ARMS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise InputError(f"--arms: unknown arm '{name}'{hint} (there are {', '.join(ARMS)})")
        if names.count(name) > 1:
            raise InputError(f"--arms: '{name}' is given twice; name each arm once")
    return [ARMS[name] for name in names]
