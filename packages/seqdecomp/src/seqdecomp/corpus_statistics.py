"""The statistics of a corpus before anything is built: buckets, losses, contexts and predicted time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from toolkit_shared.errors import InputError

from seqdecomp.arms import arm_groups
from seqdecomp.composition import Composition, composition_table, summarize
from seqdecomp.cost import StepTimes, relative_cost
from seqdecomp.documents import Documents


@dataclass(frozen=True, kw_only=True)
class CorpusStatistics:
    """What decomposition, and other arms, make of a corpus.

    Attributes:
        buckets: Sequences of dataset decomposition by length.
        composition: Composition of dataset decomposition.
        arms: Composition of every other arm, by name.
        cost_ratio: FLOPs of a token, over those of a token in rows of the longest length, by model.
        time_ratio: The same by measured step times; None when there are none.
        compared_length: The longest length.
    """

    buckets: Mapping[int, int]
    composition: Composition
    arms: Mapping[str, Composition]
    cost_ratio: Mapping[str, float]
    time_ratio: float | None
    compared_length: int

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {
            **asdict(self.composition),
            "buckets": {str(length): count for length, count in self.buckets.items()},
            "arms": {name: asdict(arm) for name, arm in self.arms.items()},
            "cost_ratio": dict(self.cost_ratio),
            "time_ratio": self.time_ratio,
            "compared_length": self.compared_length,
        }

    def to_text(self) -> str:
        """The figures as a table for people."""
        own = self.composition
        lines = ["length      sequences          tokens   share"]
        for length, count in self.buckets.items():
            share = length * count / own.positions if own.positions else 0.0
            lines.append(f"{length:6,}  {count:13,}  {length * count:14,}  {share:6.1%}  {bar(share)}")
        lines += [
            "",
            f"documents {own.documents:,}; tokens {own.tokens:,}; in a sequence {own.kept_tokens:,}; "
            f"dropped {own.dropped_tokens:,} ({own.dropped_tokens / max(own.tokens, 1):.2%})",
            f"end-of-text token kept for {own.eos_survival:.2%} of documents "
            f"({own.eos_survival_of_kept:.2%} of those with a sequence; "
            f"{own.documents_without_row:,} have none)",
            "",
            *composition_table({"dd": own, **self.arms}),
            "",
        ]
        costs = ", ".join(f"{name} {ratio:.3f}" for name, ratio in self.cost_ratio.items())
        lines.append(
            f"predicted cost of a token against concat-and-chunk at {self.compared_length:,}: {costs}"
        )
        if self.time_ratio is not None:
            lines.append(f"predicted time by the step times: {self.time_ratio:.3f}")
        if own.eos_survival_of_kept < 0.5 and own.rows:
            lines.append(
                "most documents lose their end-of-text token; --tail anchor-end keeps it, and as many tokens"
            )
        return "\n".join(lines)


def corpus_statistics(
    documents: Documents,
    *,
    min_length: int = 256,
    max_length: int = 8192,
    target: Literal["exact", "plus1"] = "exact",
    overflow: Literal["greedy", "random"] = "greedy",
    tail: Literal["drop", "anchor-end", "keep-small", "pad"] = "drop",
    seed: int = 0,
    arms: Sequence[str] = ("concat",),
    models: Mapping[str, Mapping[str, int]] | None = None,
    step_times: StepTimes | None = None,
) -> CorpusStatistics:
    """The statistics of `documents` under decomposition and under other `arms`.

    `models` are sizes (width, num_layers) by name, for which the cost law predicts what a token costs
    against one in rows of `max_length`; the options before are those of `decompose`.

    Raises:
        InputError: an arm is unknown or needs the tokens.
    """

    def groups_of(arm: str) -> Any:
        if arm.startswith("semantic"):
            raise InputError(f"arm: '{arm}' needs the tokens; build a store and see seqdecomp plan")
        return arm_groups(
            arm,
            documents,
            min_length=min_length,
            max_length=max_length,
            target=target,
            overflow=overflow,
            tail=tail,
            seed=seed,
            overflow_seed=seed,
        )

    groups = groups_of("dd")
    own = summarize(documents, groups)
    time_ratio = None
    if step_times is not None and own.positions:
        hours = step_times.hours({group.length: group.rows.tokens for group in groups})
        time_ratio = hours / step_times.hours({max_length: own.positions})
    return CorpusStatistics(
        buckets={group.length: len(group.rows) for group in groups},
        composition=own,
        arms={arm: summarize(documents, groups_of(arm)) for arm in arms},
        cost_ratio={
            name: relative_cost(
                own.mean_attended_length, max_length, width=size["width"], num_layers=size["num_layers"]
            )
            for name, size in (models or {}).items()
        },
        time_ratio=time_ratio,
        compared_length=max_length,
    )


def bar(share: float, width: int = 30) -> str:
    """A bar of characters for a share of 0 to 1, in eighths of a character."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")
