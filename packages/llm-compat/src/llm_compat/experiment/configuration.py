"""What is compared with what: scenarios, arms and sizes; plain values only."""

import difflib
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from toolkit_shared.errors import InputError

LossOn = Literal["answer", "all"]
Checkpoint = Literal["last", "validation-loss"]

V1, V2, ENSEMBLE = "v1", "v2", "ensemble"
METHOD, EXTRA_TRAINING, SELF_DISTILLATION = "muscle", "ce_more", "kd_new"
# arms of the objectives that are trained from v2's adapter, in the order of the tables
COMPATIBILITY_ARMS = (
    "muscle",
    "ce_more",
    "kd_new",
    "kd_old",
    "v1_correct",
    "ce+muscle",
    "ce+ll_token",
    "ce+ll_seq",
)
LONGER = "ce"
DEFAULT_ARMS = (*COMPATIBILITY_ARMS, LONGER, ENSEMBLE)
# baselines of other papers, which run when they are named
FURTHER_ARMS = ("pct", "pct_l2", "xie", "new_error")
MASKS = ("v1_correct", "kd_old", "ce+muscle", "ce+ll_token", "ce+ll_seq")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How the old and the new base differ, beside their seed.

    Attributes:
        name: Name in tables and files.
        v1_width_ratio: Width of the old base, as a fraction of `ExperimentSettings.width`.
        v2_width_ratio: Width of the new base.
        v2_pretrained_on: Data that the new base is pretrained on; the old base has the old data.
    """

    name: str
    v1_width_ratio: float = 1.0
    v2_width_ratio: float = 1.0
    v2_pretrained_on: Literal["old", "updated"] = "old"


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="same"),
        Scenario(name="gap", v1_width_ratio=0.5, v2_width_ratio=1.5, v2_pretrained_on="updated"),
    )
}


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Sizes that all arms share.

    Attributes:
        width: Width of a base model, before the scenario's ratio.
        num_layers: Its blocks.
        num_heads: Its attention heads.
        rank: Rank of the adapters, on all linear layers but the head.
        alpha: Their scale times the rank.
        pretrain_epochs: Passes of the base's pretraining over its data.
        pretrain_lr: Highest learning rate of it.
        epochs: Passes of a task adapter, and the further ones of a compatibility arm.
        lr: Highest learning rate of the adapters; linear to 0.
        batch_size: Requests of a step.
        clip_norm: Largest norm of the gradient.
        loss_on: Positions that are trained on: the answer's, or all.
        checkpoint: Which epoch's weights are kept: the last, or those of the lowest validation cross-entropy.
        min_count: How often a word must occur to have a token.
        device: Where models are trained.
    """

    width: int = 64
    num_layers: int = 2
    num_heads: int = 4
    rank: int = 32
    alpha: int = 64
    pretrain_epochs: int = 10
    pretrain_lr: float = 2e-3
    epochs: int = 12
    lr: float = 4e-3
    batch_size: int = 64
    clip_norm: float = 1.0
    loss_on: LossOn = "answer"
    checkpoint: Checkpoint = "last"
    min_count: int = 3
    device: Literal["cpu", "cuda"] = "cpu"

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, as plain values."""
        return asdict(self)


GPU = ExperimentSettings(
    width=512,
    num_layers=8,
    num_heads=8,
    rank=128,
    alpha=256,
    pretrain_lr=5e-4,
    lr=5e-4,
    device="cuda",
)


def settings_for(
    scale: Literal["cpu", "gpu"], *, loss_on: LossOn = "answer", checkpoint: Checkpoint = "last"
) -> ExperimentSettings:
    """The settings of a scale, with what the caller chooses.

    Source: the sizes are our choice. Adapters on all linear layers, and alpha = 2 rank, are those of table 8
    of arXiv 2407.09435. The paper trains on all tokens, with which so small a model stays under-fitted. It
    keeps the checkpoint of the lowest validation cross-entropy; the last one is kept here, for the lowest is
    often the first of plain training, whose control would then have fewer steps than the method, at a
    learning rate that has not fallen.
    """
    return replace(GPU if scale == "gpu" else ExperimentSettings(), loss_on=loss_on, checkpoint=checkpoint)


def find_arms(names: tuple[str, ...]) -> tuple[str, ...]:
    """The arms of these names, in this order; v1 and v2 always run and need not be named.

    Raises:
        InputError: an unknown name, or one given twice.
    """
    return tuple(
        name
        for name in _known("--arms", names, (V1, V2, *DEFAULT_ARMS, *FURTHER_ARMS))
        if name not in (V1, V2)
    )


def find_scenarios(names: tuple[str, ...]) -> tuple[Scenario, ...]:
    """The scenarios of these names, in this order.

    Raises:
        InputError: an unknown name, or one given twice.
    """
    return tuple(SCENARIOS[name] for name in _known("--scenarios", names, tuple(SCENARIOS)))


def _known(option: str, names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    kind = option.removeprefix("--").removesuffix("s")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise InputError(f"{option}: unknown {kind} '{name}'{hint} (there are {', '.join(known)})")
        if names.count(name) > 1:
            raise InputError(f"{option}: '{name}' is given twice; name each {kind} once")
    return names
