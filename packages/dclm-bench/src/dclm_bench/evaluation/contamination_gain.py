"""Does a model gain most on the tasks whose questions stand in its training text."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dclm_bench.evaluation.aggregates import Scores
from dclm_bench.evaluation.significance import TaskDifference, task_difference
from dclm_bench.evaluation.tasks import Version, tasks


@dataclass(frozen=True)
class ContaminationGain:
    """Contaminated shares against gains over a control.

    Attributes:
        rows: For each task that both score files have and whose file was searched: its contaminated share,
            and the model's centred score less the control's, with its error.
        pearson: Correlation of the two over the tasks; None for fewer than three, or where one is constant.
    """

    rows: tuple[tuple[float, TaskDifference], ...]
    pearson: float | None


def contamination_gain(
    shares: Mapping[str, float], scores: Scores, control: Scores, version: Version
) -> ContaminationGain:
    """The gain of each task beside its contaminated share.

    Args:
        shares: Contaminated share by the name of a task's file; tasks of one file have one share.
        scores: Of the model that was trained on the text searched.
        control: Of a model that was not.
        version: Of the baselines.

    Source: section 4.6 of the paper, official tools/plot_decontamination.py.
    """
    rows = tuple(
        (shares[task.file], task_difference(task, control, scores, version))
        for task in tasks().values()
        if task.file in shares and task.name in scores and task.name in control
    )
    values = np.array([[share, row.difference] for share, row in rows], np.float64).reshape(-1, 2)
    if len(rows) < 3 or (np.ptp(values, axis=0) == 0).any():
        return ContaminationGain(rows, None)
    return ContaminationGain(rows, float(np.corrcoef(values[:, 0], values[:, 1])[0, 1]))
