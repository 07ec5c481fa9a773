"""Image-text models judged without training: prompted classifiers, accuracy, retrieval, and result lines.

NumPy only: features come in as arrays, from whatever model. Scores are cosine similarities, so features are
rows of unit length; ties always count against the model.
"""

from toolkit_shared.zero_shot.classification import (
    per_class_recall,
    predicted_classes,
    recalled_share,
    true_class_ranks,
)
from toolkit_shared.zero_shot.classifier_weights import classifier_weights, fill_template, unit_rows
from toolkit_shared.zero_shot.intervals import Interval, bootstrap_interval
from toolkit_shared.zero_shot.result_rows import ResultRow, append_row, read_rows
from toolkit_shared.zero_shot.retrieval import RetrievalRanks, recall_at_k, retrieval_metrics, retrieval_ranks

__all__ = [
    "Interval",
    "ResultRow",
    "RetrievalRanks",
    "append_row",
    "bootstrap_interval",
    "classifier_weights",
    "fill_template",
    "per_class_recall",
    "predicted_classes",
    "read_rows",
    "recall_at_k",
    "recalled_share",
    "retrieval_metrics",
    "retrieval_ranks",
    "true_class_ranks",
    "unit_rows",
]
