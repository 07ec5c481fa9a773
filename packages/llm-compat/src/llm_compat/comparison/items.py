"""Scores and answers of several models on the same items, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from llm_compat.comparison.pairing import Pairing
from llm_compat.data.outcomes import Codes, Outcomes, Slices
from llm_compat.flips import CellCodes, cell_codes
from llm_compat.smooth import score_differences

Kind = Literal["binary", "graded"]


@dataclass(frozen=True, kw_only=True)
class PairedItems:
    """One task, filter and metric; every array has one entry an item.

    Attributes:
        kind: "binary" where every score is 0 or 1, else "graded".
        scores: By model ("old", "new", and "compat" or "rerun" where given), float64 [items], none NaN.
        answers: By model, uint64 [items]; empty when not known for all models.
        higher_is_better: Direction of the metric.
        positions: By model, int64 [items], positions in its outcomes, for showing items.
        slices: By field.
        unscored: Items that were left out because a model has no score for them.
    """

    kind: Kind
    scores: Mapping[str, npt.NDArray[np.float64]]
    answers: Mapping[str, Codes]
    higher_is_better: bool
    positions: Mapping[str, npt.NDArray[np.int64]]
    slices: Mapping[str, Slices] = field(default_factory=dict)
    unscored: int = 0

    def __len__(self) -> int:
        return len(self.scores["old"])

    @property
    def answers_known(self) -> bool:
        """Whether the predicted answers of all models are known."""
        return bool(self.answers)

    def right(self, model: str) -> npt.NDArray[np.bool_]:
        """Whether the model has each item right, bool [items]; for binary scores."""
        right: npt.NDArray[np.bool_] = self.scores[model] == (1.0 if self.higher_is_better else 0.0)
        return right

    def cells(self, model: str) -> CellCodes:
        """The cell of each item for the old model and `model`, int8 [items]; for binary scores."""
        return cell_codes(
            self.right("old"), self.right(model), self.answers.get("old"), self.answers.get(model)
        )

    def differences(self, model: str, tolerance: float = 0.0) -> npt.NDArray[np.float64]:
        """By how much `model` is better than the old one on each item, float64 [items]."""
        old, new = self.scores["old"], self.scores[model]
        return score_differences(old, new, higher_is_better=self.higher_is_better, tolerance=tolerance)

    def negative_flips(self, model: str, tolerance: float = 0.0) -> npt.NDArray[np.bool_]:
        """The items on which `model` is worse than the old one, bool [items]."""
        return self.differences(model, tolerance) < 0

    def subset(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Self:
        """Those items alone."""
        return replace(
            self,
            scores={model: values[chosen] for model, values in self.scores.items()},
            answers={model: values[chosen] for model, values in self.answers.items()},
            positions={model: values[chosen] for model, values in self.positions.items()},
            slices={name: Slices(codes=s.codes[chosen], names=s.names) for name, s in self.slices.items()},
        )


def paired_items(runs: Mapping[str, Outcomes], pairing: Pairing, metric: str) -> PairedItems:
    """The shared items of a metric, without those that a model has no score for.

    Args:
        runs: By model, the old one first; all have the metric.
        pairing: Of the runs in that order.
        metric: Name of the metric.
    """
    index = dict(zip(runs, pairing.index, strict=True))
    scores = {model: run.scores[metric][index[model]] for model, run in runs.items()}
    scored = np.logical_and.reduce([np.isfinite(values) for values in scores.values()])
    known = all(metric in run.answers for run in runs.values())
    old = runs["old"]
    items = PairedItems(
        kind="graded",
        scores=scores,
        answers={model: run.answers[metric][index[model]] for model, run in runs.items()} if known else {},
        higher_is_better=old.higher_is_better.get(metric, True),
        positions=index,
        slices={
            name: Slices(codes=found.codes[index["old"]], names=found.names)
            for name, found in old.slices.items()
        },
        unscored=int((~scored).sum()),
    )
    if not scored.all():
        items = items.subset(scored)
    binary = all(np.isin(values, (0.0, 1.0)).all() for values in items.scores.values())
    return replace(items, kind="binary" if binary else "graded")


def pooled_items(parts: list[PairedItems]) -> PairedItems:
    """Items of several filters as if each were an item of its own.

    Source: what the GSM8K counts of arXiv 2407.09435 imply (multiples of 1/2638); not said in its text.
    """
    first = parts[0]
    known = all(part.answers_known for part in parts)
    return replace(
        first,
        kind="binary" if all(part.kind == "binary" for part in parts) else "graded",
        scores={model: np.concatenate([part.scores[model] for part in parts]) for model in first.scores},
        answers={model: np.concatenate([part.answers[model] for part in parts]) for model in first.answers}
        if known
        else {},
        positions={
            model: np.concatenate([part.positions[model] for part in parts]) for model in first.positions
        },
        slices={
            name: Slices(
                codes=np.concatenate([part.slices[name].codes for part in parts]),
                names=first.slices[name].names,
            )
            for name in first.slices
        },
        unscored=sum(part.unscored for part in parts),
    )
