"""Training a model on a plan with Lightning: the data module, and the life of a run."""

from seqdecomp.training.datamodule import PlanDataModule
from seqdecomp.training.fit import TrainingReport, fit, model_arguments, plan_run
from seqdecomp.training.step_times import StepTimesLog

__all__ = ["PlanDataModule", "StepTimesLog", "TrainingReport", "fit", "model_arguments", "plan_run"]
