"""The LightningDataModule: a plan's batches for this process, resumed where a checkpoint stood."""

from typing import Any

from lightning.pytorch import LightningDataModule

from seqdecomp.data.loading import PlanLoader, StepDataset, StepPlan
from seqdecomp.data.store import Store


class PlanDataModule(LightningDataModule):
    """Hands a plan's batches to a Lightning Trainer, for whatever ranks and accumulation that has.

    Args:
        store: Where the tokens are.
        plan: Which rows each step takes.
        workers: Loading processes of each rank.
        static_rows: As in `StepDataset`.
        vocab_size: As in `StepDataset`.
    """

    def __init__(
        self,
        store: Store,
        plan: StepPlan,
        *,
        workers: int = 0,
        static_rows: bool = False,
        vocab_size: int | None = None,
    ) -> None:
        super().__init__()
        self.store, self.plan, self.workers = store, plan, workers
        self.static_rows, self.vocab_size = static_rows, vocab_size
        self._loader: PlanLoader | None = None
        self._state: dict[str, Any] | None = None

    def train_dataloader(self) -> PlanLoader:
        """The batches of this rank, from the position that was restored."""
        assert self.trainer is not None
        dataset = StepDataset(
            self.store,
            self.plan,
            world_size=self.trainer.world_size,
            accumulation=self.trainer.accumulate_grad_batches,
            static_rows=self.static_rows,
            vocab_size=self.vocab_size,
        )
        self._loader = PlanLoader(dataset, rank=self.trainer.global_rank, workers=self.workers)
        if self._state is not None:
            self._loader.load_state_dict(self._state)
        return self._loader

    def state_dict(self) -> dict[str, Any]:
        """The loader's position."""
        return {} if self._loader is None else self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the position for the loader that will be made."""
        self._state = state_dict
