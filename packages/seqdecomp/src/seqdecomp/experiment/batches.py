"""The batches of an arm, step by step, and the proof that all arms train on the same tokens."""

from typing import Any

import numpy as np

from seqdecomp.data.loading import Batch, StepDataset
from seqdecomp.data.store import Store
from seqdecomp.experiment.configuration import ArmSettings, ExperimentSettings
from seqdecomp.planning import plan_for


class StepBatches:
    """The batches of all steps of one arm and seed; `batches[step]` is a pure function of the step.

    Attributes:
        tokens: Tokens of all steps, padding included.
    """

    def __init__(self, store: Store, arm: ArmSettings, settings: ExperimentSettings, seed: int) -> None:
        """Lays out the arm.

        Raises:
            ValueError: the documents give fewer steps than the settings ask for.
        """
        self._store, self._steps = store, settings.steps
        self._per_document = arm.attention == "per-document"
        self._plan = plan_for(
            store,
            arm=arm.arm,
            batch_tokens=settings.batch_tokens,
            min_length=settings.min_length,
            max_length=settings.max_length,
            curriculum=arm.curriculum,
            cycles=arm.cycles,
            leftovers="drop",
            seed=seed,
        )
        if self._plan.steps < settings.steps:
            raise ValueError(f"arm {arm.name}: {self._plan.steps} steps of {settings.steps}")
        self._dataset = StepDataset(store, self._plan)
        self.tokens = settings.steps * settings.batch_tokens

    def __getitem__(self, step: int) -> Batch:
        """The whole batch of a step."""
        return self._dataset[step]

    def lengths(self) -> list[int]:
        """The length of the rows of every step."""
        return [self._plan.length_of_step(step) for step in range(self._steps)]

    def longest_and_shortest(self) -> tuple[int, int]:
        """A step with the longest rows and one with the shortest."""
        lengths = self.lengths()
        return lengths.index(max(lengths)), lengths.index(min(lengths))

    def coverage(self) -> dict[str, int]:
        """How often the tokens of the documents are trained on in all steps: the equality of the arms.

        Returns:
            Tokens read "once", "never" and "repeated", and the places that hold "padding".
        """
        times = np.zeros(self._store.tokens_total, np.int64)
        for step in range(self._steps):
            index, rows = self._plan.rows_of_step(step)
            _, starts, spans = self._plan.groups[index].rows.segments(rows)
            np.add.at(times, _places(starts, spans), 1)
        return {
            "once": int((times == 1).sum()),
            "never": int((times == 0).sum()),
            "repeated": int((times > 1).sum()),
            "padding": self.tokens - int(times.sum()),
        }

    @property
    def attended_length(self) -> float:
        """Mean over tokens of the length of the run whose scores are computed: the s of the cost law.

        That is the row's length, and the document's where each is attended to by itself; a masked product
        computes the scores of the whole row.
        """
        total = weighted = 0
        for step in range(self._steps):
            index, rows = self._plan.rows_of_step(step)
            group = self._plan.groups[index]
            spans: Any = (
                group.rows.segments(rows)[2] if self._per_document else np.full(len(rows), group.length)
            )
            total += int(spans.sum())
            weighted += int((spans * spans).sum())
        return weighted / total


def _places(starts: Any, spans: Any) -> Any:
    ends = np.cumsum(spans)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - spans), spans) if len(spans) else starts
