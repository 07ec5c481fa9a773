"""Dataset decomposition for language models; see the README for the method.

The public names are resolved on first use, so `import seqdecomp` loads neither torch nor numpy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# public name to the module that holds it, here or in toolkit_shared
_HOMES = {
    "Bucket": "data.buckets",
    "ByteTokenizer": "data.tokenizer",
    "Composition": "composition",
    "CurriculumSettings": "settings",
    "DecompositionSettings": "settings",
    "Documents": "documents",
    "ExecutionSettings": "settings",
    "Group": "rows",
    "ModelSettings": "settings",
    "NextTokenTraining": "toolkit_shared.training.next_token",
    "OpenLM": "toolkit_shared.language_model.openlm",
    "OptimizationSettings": "settings",
    "Plan": "plan",
    "PlanDataModule": "training.datamodule",
    "PlanLoader": "data.loading",
    "PlanSampler": "data.loading",
    "ReadSettings": "settings",
    "Rows": "rows",
    "StepDataset": "data.loading",
    "Store": "data.store",
    "algorithm_1": "curriculum",
    "arm_groups": "arms",
    "average_context_length": "composition",
    "average_sequence_length": "composition",
    "best_fit_decreasing": "packing",
    "build_store": "build",
    "chop": "packing",
    "collate_for_trainer": "data.loading",
    "concatenate_and_chunk": "packing",
    "curriculum_odds": "curriculum",
    "decompose": "decomposition",
    "document_boundaries": "decomposition",
    "evaluate_perplexity": "evaluation.perplexity",
    "export_store": "exporting",
    "fit": "training.fit",
    "glue": "packing",
    "load_tokenizer": "data.tokenizer",
    "mixture_parts": "mixture",
    "next_token_loss": "toolkit_shared.language_model.objectives",
    "pack_best_fit": "packing",
    "plan_for": "planning",
    "reindex_store": "build",
    "released_plan": "released_planner",
    "restore_plan": "planning",
    "semantic_order": "semantic",
    "summarize": "composition",
    "train_bpe": "data.tokenizer",
    "verify_store": "verify",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    return getattr(import_module(home if home.startswith("toolkit_shared.") else f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
