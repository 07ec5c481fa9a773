"""The LightningDataModule: the batches of a run for this process, resumed where a checkpoint stood."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule

from mobileclip.training.dataset import StepDataset, StepLoader
from mobileclip.training.plan import Plan, Sources


class PairDataModule(LightningDataModule):
    """Hands the batches of a run to a Lightning Trainer, for whatever processes it has.

    Files are opened when the loader is made, in the process that reads them; by then the first process has
    written the plan.

    Args:
        sources: Pairs and store.
        folder: Of the run, where its plan lies.
        workers: Loading processes of each process.
        arguments: The other arguments of `StepDataset`.
    """

    def __init__(
        self, sources: Sources, folder: Path, *, workers: int = 0, arguments: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.sources, self.folder, self.workers, self.arguments = sources, folder, workers, dict(arguments)
        self._loader: StepLoader | None = None
        self._state: dict[str, Any] | None = None

    def train_dataloader(self) -> StepLoader:
        """The batches of this process, from the position that was restored."""
        assert self.trainer is not None
        pairs, store = self.sources.open()
        dataset = StepDataset(
            pairs,
            store,
            Plan.read(self.folder),
            **self.arguments,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        self._loader = StepLoader(dataset, workers=self.workers)
        if self._state is not None:
            self._loader.load_state_dict(self._state)
        return self._loader

    def state_dict(self) -> dict[str, Any]:
        """The loader's position."""
        return {} if self._loader is None else self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the position for the loader that will be made."""
        self._state = state_dict
