"""Training with Lightning, as the toolkits share it.

`toolkit_shared.training.next_token` holds what trains a language model; it is not imported here, for other
models need nothing of it.
"""

from toolkit_shared.training.trainer import (
    AtomicCheckpointIO,
    StepCheckpoint,
    StepProgress,
    Throughput,
    is_first_process,
    make_trainer,
    recount_micro_steps,
    run_trainer,
    trainer_defaults,
)

__all__ = [
    "AtomicCheckpointIO",
    "StepCheckpoint",
    "StepProgress",
    "Throughput",
    "is_first_process",
    "make_trainer",
    "recount_micro_steps",
    "run_trainer",
    "trainer_defaults",
]
