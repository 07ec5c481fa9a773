"""Dataset and model references: the JSON files of the DataComp-LM leaderboard, read, checked and written."""

from dclm_bench.references.dataset import DatasetReference
from dclm_bench.references.fields import creation_date, new_uuid
from dclm_bench.references.model import Hyperparameters, ModelReference, friendly_name

__all__ = [
    "DatasetReference",
    "Hyperparameters",
    "ModelReference",
    "creation_date",
    "friendly_name",
    "new_uuid",
]
