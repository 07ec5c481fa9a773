"""Compatible updates of language models; see the README for the method.

The public names are resolved on first use, so `import llm_compat` loads neither torch nor numpy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# public name to the module that holds it
_HOMES = {
    "ARMS": "arms",
    "Arm": "arms",
    "ColumnSettings": "settings.reading",
    "CompareSettings": "settings.comparing",
    "Comparison": "comparison.compare",
    "CompatibilityLoss": "objectives.compatibility",
    "Detail": "data.outcomes",
    "Head": "heads",
    "Heads": "heads",
    "Outcomes": "data.outcomes",
    "ReadSettings": "settings.reading",
    "arm_named": "arms",
    "average_log_probabilities": "evaluation.ensemble",
    "cell_codes": "flips",
    "certify_rate": "certify",
    "choice_log_likelihoods": "evaluation.choices",
    "compare_paths": "comparison.compare",
    "compare_runs": "comparison.compare",
    "comparison_document": "comparison.document",
    "compatibility_loss": "objectives.compatibility",
    "count_cells": "flips",
    "findings": "comparison.verdict",
    "flip_metrics": "flips",
    "flipped_items": "reporting.flip_list",
    "fused_compatibility_loss": "objectives.fused",
    "generate_greedily": "evaluation.generation",
    "holm": "significance",
    "interpolate_adapter_folders": "model.merging",
    "is_exact_match": "evaluation.generation",
    "items_needed": "certify",
    "mcnemar_exact": "significance",
    "mcnemar_mid_p": "significance",
    "read_details": "data.runs",
    "read_run": "data.runs",
    "smooth_metrics": "smooth",
    "to_html": "reporting.html",
    "to_markdown": "reporting.text",
    "to_text": "reporting.text",
    "train_adapter": "training.loop",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
