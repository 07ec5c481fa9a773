"""Training a model on a plan with Lightning: the module, the data module, and the life of a run."""

from seqdecomp.training.datamodule import PlanDataModule
from seqdecomp.training.fit import TrainingReport, build_model, fit, model_arguments, plan_run
from seqdecomp.training.metrics import MetricsLog, read_metrics
from seqdecomp.training.module import NextTokenTraining

__all__ = [
    "MetricsLog",
    "NextTokenTraining",
    "PlanDataModule",
    "TrainingReport",
    "build_model",
    "fit",
    "model_arguments",
    "plan_run",
    "read_metrics",
]
