"""Training a model on a plan with Lightning: the module, the data module, and the life of a run."""

from seqdecomp.training.datamodule import PlanDataModule
from seqdecomp.training.fit import (
    TrainingReport,
    build_model,
    fit,
    model_arguments,
    plan_run,
    weights_hash,
)
from seqdecomp.training.metrics import MetricsLog, read_metrics
from seqdecomp.training.module import NextTokenTraining
from seqdecomp.training.step_times import StepTimesLog

__all__ = [
    "MetricsLog",
    "NextTokenTraining",
    "PlanDataModule",
    "StepTimesLog",
    "TrainingReport",
    "build_model",
    "fit",
    "model_arguments",
    "plan_run",
    "read_metrics",
    "weights_hash",
]
