"""From the outcomes of runs to what regressed, whether it is real, and what to do.

`pairing` finds the same documents in several runs, `items` holds their scores side by side, `measure` gives
the metrics with their intervals, `third_model` compares a second new model or a re-run with the first,
`compare` goes through all tasks, and `verdict` says what follows.
"""

from llm_compat.comparison.compare import Comparison, TaskComparison, compare_paths, compare_runs
from llm_compat.comparison.items import PairedItems

__all__ = ["Comparison", "PairedItems", "TaskComparison", "compare_paths", "compare_runs"]
