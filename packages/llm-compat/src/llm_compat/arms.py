"""The arms of a comparison: what each trains on, and from whom a token is distilled."""

import difflib
from dataclasses import dataclass, replace
from typing import Literal

from toolkit_shared.errors import InputError

Mask = Literal["wrong_student", "old_correct", "likelihood_tokens", "likelihood_sequences", "all", "none"]
Teacher = Literal["masked", "old", "nobody"]
Divergence = Literal["kl", "half_squared_logits"]

DISTILLATION_WEIGHT = 0.5
"""Lambda of equations 4 and 5; the paper gives no value."""

_MASKS_THAT_READ_OLD = ("old_correct", "likelihood_tokens", "likelihood_sequences")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one arm minimises: (1/n) sum_i [ d(m_i) * D_i + c(m_i) * CE_i ] over the n trained tokens.

    m_i is the mask, D_i the divergence from a teacher, CE_i the cross-entropy of the true next token.

    Attributes:
        name: As on the command line.
        mask: "wrong_student": the student's likeliest token is not the true one; "old_correct": the old
            model's is; "likelihood_tokens": the student gives the true token less than the old model does;
            "likelihood_sequences": the same for the sum over a whole sequence; "all" and "none".
        teacher: From whom D_i is the divergence: "masked": from the old model where m_i is 1, from the new
            one where it is 0; "old": always from the old model; "nobody": there is none.
        divergence: "kl": KL(teacher || student) at `temperature`; "half_squared_logits": half the squared
            distance of the logits, summed over the vocabulary.
        divergence_weights: d(0) and d(1).
        cross_entropy_weights: c(0) and c(1).
        temperature: T of the divergence.
        times_temperature_squared: Whether the divergence is multiplied by T squared.
        weighted_by_lambda: Whether the two weights are lambda and 1 - lambda, so that lambda can be chosen.
        starts_from: "new": a copy of the new task adapter; "fresh": an adapter that changes nothing yet.
        source: Where it comes from.
    """

    name: str
    mask: Mask = "none"
    teacher: Teacher = "masked"
    divergence: Divergence = "kl"
    divergence_weights: tuple[float, float] = (1.0, 1.0)
    cross_entropy_weights: tuple[float, float] = (0.0, 0.0)
    temperature: float = 2.0
    times_temperature_squared: bool = False
    weighted_by_lambda: bool = False
    starts_from: Literal["new", "fresh"] = "new"
    source: str = "arXiv 2407.09435"

    @property
    def cross_entropy(self) -> bool:
        """Whether the true tokens count in the loss themselves."""
        return any(self.cross_entropy_weights)

    @property
    def needs_old(self) -> bool:
        """Whether the old model's final hidden states are read."""
        reads = self.mask in _MASKS_THAT_READ_OLD
        distils = self.teacher == "old" or (self.teacher == "masked" and self.mask != "none")
        return reads or distils

    @property
    def needs_new(self) -> bool:
        """Whether the new model's final hidden states are read."""
        return self.teacher == "masked" and self.mask != "all"

    def adjusted(
        self, *, temperature: float | None = None, distillation_weight: float | None = None
    ) -> "Arm":
        """The arm with another T, or another lambda in lambda * D + (1 - lambda) * CE; None leaves its own.

        Raises:
            InputError: T is not positive, lambda is not from 0 to 1, or the arm has no lambda.
        """
        arm = self
        if temperature is not None:
            if not 0 < temperature < float("inf"):
                raise InputError(f"temperature: {temperature} is not positive; the paper's is 2")
            arm = replace(arm, temperature=float(temperature))
        if distillation_weight is None:
            return arm
        if not self.weighted_by_lambda:
            names = ", ".join(name for name, one in ARMS.items() if one.weighted_by_lambda)
            raise InputError(
                f"distillation_weight: arm '{self.name}' has no such weight; leave it out, or take {names}"
            )
        if not 0 <= distillation_weight <= 1:
            raise InputError(f"distillation_weight: {distillation_weight} is not from 0 to 1")
        kept = float(distillation_weight)
        return replace(arm, divergence_weights=(kept, kept), cross_entropy_weights=(1 - kept, 1 - kept))


def _with_cross_entropy(name: str, mask: Mask) -> Arm:
    kept = DISTILLATION_WEIGHT
    return Arm(
        name=name,
        mask=mask,
        divergence_weights=(kept, kept),
        cross_entropy_weights=(1 - kept, 1 - kept),
        weighted_by_lambda=True,
    )


_FOCAL = "focal distillation, Yan et al. 2021, arXiv 2011.09161; alpha 1, beta 5, beside the cross-entropy"

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="muscle", mask="wrong_student"),
        Arm(name="v1_correct", mask="old_correct"),
        Arm(name="kd_old", mask="all"),
        _with_cross_entropy("ce+muscle", "wrong_student"),
        _with_cross_entropy("ce+ll_token", "likelihood_tokens"),
        _with_cross_entropy("ce+ll_seq", "likelihood_sequences"),
        Arm(
            name="ce_more",
            teacher="nobody",
            divergence_weights=(0.0, 0.0),
            cross_entropy_weights=(1.0, 1.0),
            source="control: as many more steps of plain training",
        ),
        Arm(name="kd_new", mask="none", source="control: distillation from the new task adapter itself"),
        Arm(
            name="pct",
            mask="old_correct",
            teacher="old",
            divergence_weights=(1.0, 6.0),
            cross_entropy_weights=(1.0, 1.0),
            temperature=100.0,
            times_temperature_squared=True,
            source=_FOCAL,
        ),
        Arm(
            name="pct_l2",
            mask="old_correct",
            teacher="old",
            divergence="half_squared_logits",
            divergence_weights=(1.0, 6.0),
            cross_entropy_weights=(1.0, 1.0),
            source=_FOCAL,
        ),
        Arm(
            name="xie",
            mask="likelihood_tokens",
            teacher="old",
            divergence_weights=(0.0, 0.5),
            cross_entropy_weights=(1.0, 0.5),
            times_temperature_squared=True,
            source="distillation where the old model is better, Xie et al. 2021, arXiv 2105.03048; alpha 0.5",
        ),
        Arm(
            name="new_error",
            mask="old_correct",
            teacher="nobody",
            divergence_weights=(0.0, 0.0),
            cross_entropy_weights=(1.0, 2.0),
            source="new-error loss, Srivastava et al. 2020, arXiv 2008.04572; lambda_c 1",
        ),
        Arm(
            name="task",
            teacher="nobody",
            divergence_weights=(0.0, 0.0),
            cross_entropy_weights=(1.0, 1.0),
            starts_from="fresh",
            source="the task adapter: plain training of a new adapter",
        ),
    )
}


def arm_named(name: str) -> Arm:
    """The arm of that name.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    if name in ARMS:
        return ARMS[name]
    if name == "ensemble":
        raise InputError("arm: 'ensemble' is two models at inference, and nothing is trained for it")
    near = difflib.get_close_matches(name, ARMS, n=1)
    hint = f"; nearest: '{near[0]}'" if near else ""
    raise InputError(f"arm: '{name}' is not one of {', '.join(ARMS)}{hint}")
