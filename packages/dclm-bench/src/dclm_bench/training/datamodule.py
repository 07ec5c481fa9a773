"""The LightningDataModule: the contexts of a run for this process, resumed where a checkpoint stood."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningDataModule

from dclm_bench.tokenization.shards import Shard
from dclm_bench.training.contexts import ContextLoader, StepDataset


class ContextDataModule(LightningDataModule):
    """Hands the micro-batches of a run to a Lightning Trainer, for whatever ranks and accumulation that has.

    Args:
        shards: The data.
        workers: Loading processes of each rank.
        arguments: The other arguments of `StepDataset`.
    """

    def __init__(self, shards: Sequence[Shard], *, workers: int = 0, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.shards, self.workers, self.arguments = tuple(shards), workers, dict(arguments)
        self._loader: ContextLoader | None = None
        self._state: dict[str, Any] | None = None

    def train_dataloader(self) -> ContextLoader:
        """The micro-batches of this rank, from the position that was restored."""
        assert self.trainer is not None
        dataset = StepDataset(
            self.shards,
            **self.arguments,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            accumulation=self.trainer.accumulate_grad_batches,
        )
        self._loader = ContextLoader(dataset, workers=self.workers)
        if self._state is not None:
            self._loader.load_state_dict(self._state)
        return self._loader

    def state_dict(self) -> dict[str, Any]:
        """The loader's position."""
        return {} if self._loader is None else self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the position for the loader that will be made."""
        self._state = state_dict
