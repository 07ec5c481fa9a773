"""Evaluation runs with flips that are known: what an old, a new, a compatible and a repeated model answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream

from llm_compat.comparison.compare import Comparison, TaskComparison
from llm_compat.data.generate import GeneratedTask, TaskKind, documents_of, write_harness_run
from llm_compat.flips import (
    CELLS,
    NEGATIVE,
    POSITIVE,
    RIGHT_SAME,
    WRONG_DIFFERENT,
    WRONG_SAME,
    cell_codes,
    count_cells,
)
from llm_compat.reporting.flip_list import flipped_items

MODELS = ("old", "new", "compat", "rerun")
# how many items lie in which cell of old and new
COUNTS: Mapping[str, tuple[TaskKind, Mapping[int, int]]] = {
    "science_choice": (
        "choice",
        {RIGHT_SAME: 300, NEGATIVE: 45, POSITIVE: 60, WRONG_SAME: 40, WRONG_DIFFERENT: 55},
    ),
    "word_problems": (
        "generation",
        {RIGHT_SAME: 90, NEGATIVE: 38, POSITIVE: 42, WRONG_SAME: 50, WRONG_DIFFERENT: 80},
    ),
}
MENDED_RATIO = 0.4  # of the negative flips, those that the compatible model does not have
NOISY_RATIO = 0.02  # of all items, those on which the old model says something else when it is run again
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Planted:
    """One task as it was planted.

    Attributes:
        name: Of the task.
        kind: Of the task.
        gold: The right answers, int64 [items].
        answers: By model, what it answers, int64 [items].
    """

    name: str
    kind: TaskKind
    gold: Numbers
    answers: Mapping[str, Numbers]

    def cells(self, model: str) -> Numbers:
        """How many items lie in each cell of the old model and `model`, int64 [6]."""
        return count_cells(self._codes(model))

    def lost(self) -> list[str]:
        """Ids of the items that the old model had right and the new one has wrong, in their order."""
        return [str(item) for item in np.flatnonzero(self._codes("new") == NEGATIVE)]

    def _codes(self, model: str) -> Any:
        old, new = self.answers["old"], self.answers[model]
        return cell_codes(old == self.gold, new == self.gold, old.astype(np.uint64), new.astype(np.uint64))


def plant_runs(folder: Path, seed: int) -> list[Planted]:
    """Write a harness run of each model into FOLDER/MODEL; what was planted in each task."""
    planted = [_plant(name, kind, counts, seed) for name, (kind, counts) in COUNTS.items()]
    for model in MODELS:
        tasks = [
            GeneratedTask(name=task.name, kind=task.kind, answers=task.answers[model].tolist(), seed=seed)
            for task in planted
        ]
        write_harness_run(folder / model, model=f"planted/{model}", tasks=tasks)
    return planted


def check_planted(planted: Sequence[Planted], comparison: Comparison) -> list[str]:
    """What the comparison found otherwise than it was planted, a line each; empty when all is found."""
    problems = []
    for task in planted:
        rows = [row for row in comparison.tasks if row.task == task.name and row.metric in _METRICS]
        if not rows:
            problems.append(f"{task.name}: was planted and not compared")
        for row in rows:
            problems += _differences(task, row, comparison)
    return problems


_METRICS = ("acc", "exact_match")


def _plant(name: str, kind: TaskKind, counts: Mapping[int, int], seed: int) -> Planted:
    cells = np.repeat(list(counts), list(counts.values()))
    items = len(cells)
    random = stream(seed, f"planted {name}")
    cells = cells[random.permutation(items)]
    blank = GeneratedTask(name=name, kind=kind, answers=[0] * items, seed=seed)
    gold = np.array([document.gold for document in documents_of(blank)], np.int64)
    wrong = (gold + 1) % 4 if kind == "choice" else gold + 1
    otherwise = (gold + 2) % 4 if kind == "choice" else gold + 2
    old = np.where(np.isin(cells, (RIGHT_SAME, NEGATIVE)), gold, wrong)
    new = np.where(np.isin(cells, (RIGHT_SAME, POSITIVE)), gold, wrong)
    new = np.where(cells == WRONG_DIFFERENT, otherwise, new)
    mended = random.random(items) < MENDED_RATIO
    noisy = random.random(items) < NOISY_RATIO
    answers = {
        "old": old,
        "new": new,
        "compat": np.where((cells == NEGATIVE) & mended, gold, new),
        "rerun": np.where(noisy, np.where(old == gold, wrong, gold), old),
    }
    return Planted(name, kind, gold, answers)


def _differences(task: Planted, row: TaskComparison, comparison: Comparison) -> list[str]:
    problems = []
    for model in MODELS[1:]:
        found, expected = count_cells(row.items.cells(model)), task.cells(model)
        for cell, there, planted in zip(CELLS, found.tolist(), expected.tolist(), strict=True):
            if there != planted:
                problems.append(f"{row.name}, {model}: {cell}: {there} found, {planted} planted")
    items, _ = flipped_items(comparison, row, kind="lost")
    if [item.id for item in items] != task.lost():
        problems.append(f"{row.name}: the list of lost items is not the planted one")
    return problems
