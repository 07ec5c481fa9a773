"""A plan as numbers and as a picture of characters or SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdecomp.composition import attended_pairs, average_sequence_length
from seqdecomp.cost import StepTimes, mean_length_by_token, relative_cost
from seqdecomp.plan import GroupUse, Plan

_SPARKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, kw_only=True)
class PlanReport:
    """What a plan will do.

    Attributes:
        settings: Its settings.
        steps: Steps, those before `first_step` included.
        first_step: Its first step.
        batch_tokens: Tokens of a full step.
        tokens: Tokens of its own steps.
        groups: What it does with each group.
        average_sequence_length: Mean length of the rows that it serves.
        average_context_length: Mean number of tokens before a token that it can attend to.
        mean_length_by_token: Mean row length by token, as the cost law needs it.
        mean_lengths: Mean length of the rows in equal parts of the plan.
        shares: For each length, its share of the steps in equal parts of the plan.
        cost_ratio: FLOPs of a token over those in rows of the longest length, by model.
        hours: Predicted hours; None without step times.
        hours_at_longest: Hours for as many tokens in rows of the longest length.
    """

    settings: Mapping[str, Any]
    steps: int
    first_step: int
    batch_tokens: int
    tokens: int
    groups: Sequence[GroupUse]
    average_sequence_length: float
    average_context_length: float
    mean_length_by_token: float
    mean_lengths: Sequence[float]
    shares: Mapping[int, Sequence[float]]
    cost_ratio: Mapping[str, float]
    hours: float | None
    hours_at_longest: float | None

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values; lengths are texts, as JSON has it."""
        fields = asdict(self)
        fields["groups"] = [asdict(use) | {"passes": use.passes} for use in self.groups]
        fields["shares"] = {str(length): list(share) for length, share in self.shares.items()}
        return fields

    def to_text(self) -> str:
        """The figures as a table, and the course of lengths as a picture of characters."""
        lines = [
            f"{'group':<16}{'rows':>13}{'taken':>13}{'passes':>8}{'rows/step':>11}{'steps':>9}  left over"
        ]
        for use in self.groups:
            left = use.dropped or use.partial
            rest = f"{left:,} row{'s' * (left != 1)}" if left else ""
            rest += " dropped" if use.dropped else " in a smaller batch" if use.partial else ""
            lines.append(
                f"{use.label:<16}{use.available:>13,}{use.selected:>13,}{use.passes:>8.2f}"
                f"{use.rows_per_step:>11,}{use.steps:>9,}  {rest}".rstrip()
            )
        lines += [
            "",
            f"steps {self.first_step:,} to {self.steps - 1:,} of {self.batch_tokens:,} tokens; "
            f"tokens {self.tokens:,}",
            f"mean length {self.average_sequence_length:,.1f}; "
            f"mean context {self.average_context_length:,.1f}",
            "",
            f"{'mean length':>12} {sparkline(self.mean_lengths)}  "
            f"{min(self.mean_lengths):,.0f} to {max(self.mean_lengths):,.0f}",
        ]
        lines += [f"{length:>12,} {sparkline(share, 0, 1)}" for length, share in self.shares.items()]
        costs = ", ".join(f"{name} {ratio:.3f}" for name, ratio in self.cost_ratio.items())
        lines += ["", f"predicted cost of a token against rows of {max(self.shares):,}: {costs}"]
        if self.hours is not None and self.hours_at_longest is not None:
            lines.append(
                f"predicted hours {self.hours:,.4g}, against {self.hours_at_longest:,.4g} "
                f"in rows of {max(self.shares):,}"
            )
        return "\n".join(lines)


def report_plan(
    plan: Plan,
    *,
    models: Mapping[str, Mapping[str, int]] | None = None,
    step_times: StepTimes | None = None,
    parts: int = 60,
) -> PlanReport:
    """The report of a plan, its course told in at most `parts` parts.

    `models` are sizes (width, num_layers) by name, for which the cost law is given.
    """
    lengths = np.array([group.length for group in plan.groups])[plan.group_of_step[plan.first_step :]]
    pieces = np.array_split(lengths, min(parts, len(lengths)))
    served: dict[int, int] = {}
    for use in plan.uses:
        served[use.length] = served.get(use.length, 0) + use.selected - use.dropped
    tokens: dict[int, float] = {length: float(length * rows) for length, rows in served.items()}
    mean = mean_length_by_token(tokens)
    longest = max(served)
    return PlanReport(
        settings=dict(plan.settings),
        steps=plan.steps,
        first_step=plan.first_step,
        batch_tokens=plan.batch_tokens,
        tokens=plan.tokens,
        groups=plan.uses,
        average_sequence_length=average_sequence_length(served),
        average_context_length=_mean_context(plan),
        mean_length_by_token=mean,
        mean_lengths=[float(piece.mean()) for piece in pieces],
        shares={length: [float(np.mean(p == length)) for p in pieces] for length in sorted(served)},
        cost_ratio={
            name: relative_cost(mean, longest, width=size["width"], num_layers=size["num_layers"])
            for name, size in (models or {}).items()
        },
        hours=None if step_times is None else step_times.hours(tokens),
        hours_at_longest=None if step_times is None else step_times.hours({longest: plan.tokens}),
    )


def sparkline(values: Sequence[float], low: float | None = None, high: float | None = None) -> str:
    """Values as one character each, from blank (lowest) to full (highest)."""
    numbers: npt.NDArray[np.float64] = np.asarray(values, np.float64)
    bottom = float(numbers.min()) if low is None else low
    top = float(numbers.max()) if high is None else high
    if top <= bottom:
        return _SPARKS[4] * len(numbers)
    places = np.rint((numbers - bottom) / (top - bottom) * (len(_SPARKS) - 1)).astype(int)
    return "".join(_SPARKS[place] for place in np.clip(places, 0, len(_SPARKS) - 1).tolist())


def plan_picture(report: PlanReport) -> str:
    """The course of the mean length over the steps, as SVG text."""
    from toolkit_shared.report import line_chart

    number = len(report.mean_lengths)
    width = (report.steps - report.first_step) / number
    points = [
        (report.first_step + (i + 0.5) * width, float(mean)) for i, mean in enumerate(report.mean_lengths)
    ]
    name = f"{report.settings['curriculum']}, {report.settings['cycles']} cycles"
    return line_chart(
        "Sequence length over the run", {name: points}, x_label="step", y_label="mean length, tokens"
    )


def step_table(plan: Plan) -> str:
    """Every step of a plan as CSV: step, group, length, rows, tokens."""
    lines = ["step,group,length,rows,tokens"]
    for step in range(plan.first_step, plan.steps):
        group, rows = plan.rows_of_step(step)
        length = plan.groups[group].length
        lines.append(f"{step},{plan.groups[group].name},{length},{len(rows)},{len(rows) * length}")
    return "\n".join(lines) + "\n"


def _mean_context(plan: Plan) -> float:
    """Mean number of tokens before a token that it can attend to, over all rows that the plan serves."""
    pairs = tokens = 0
    for index, group in enumerate(plan.groups):
        number = plan.uses[index].selected - plan.uses[index].dropped
        if group.rows.is_whole:
            found = (number * (group.length * (group.length - 1) // 2), number * group.length)
        else:
            offsets, _, spans = group.rows.segments(plan.rows_served(index))
            found = attended_pairs(group, offsets, spans)
        pairs, tokens = pairs + found[0], tokens + found[1]
    return pairs / tokens if tokens else 0.0
