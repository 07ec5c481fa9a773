"""The LightningModule: a student, its teachers, its optimizer and schedule."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from toolkit_shared.optimization import parameter_groups
from toolkit_shared.randomness import stream
from toolkit_shared.training import recount_micro_steps
from torch import Tensor

from llm_compat.arms import Arm
from llm_compat.heads import Heads
from llm_compat.model.adapters import Student, frozen_hash
from llm_compat.training.batches import Batch
from llm_compat.training.loop import step_loss
from llm_compat.training.schedule import linear_schedule
from llm_compat.training.teachers import Teachers, TeacherSource


class CompatibilityTraining(LightningModule):
    """Trains the adapter of a student with the loss of an arm, on batches of `RowsDataModule`.

    Only the adapter goes into checkpoints; the base and the teachers are read from their own files.

    Args:
        student: The model under its adapters.
        source: Of the teachers.
        arm: What is minimised.
        total_steps: Optimizer steps at which the learning rate reaches 0.
        lr: Highest learning rate.
        warmup_steps: Steps of linear warm-up.
        weight_decay: On matrices.
        betas: Decays of AdamW's moments.
        chunk_tokens: Tokens whose logits exist at a time.
        seed: Of dropout; torch's global generators are set from it at every micro-batch.

    Source: arXiv 2407.09435, table 8; the optimizer and what follows the warm-up are not given there.
    """

    def __init__(
        self,
        student: Student,
        source: TeacherSource,
        arm: Arm,
        *,
        total_steps: int,
        lr: float = 1e-4,
        warmup_steps: int = 500,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        chunk_tokens: int = 256,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.strict_loading = False  # a checkpoint has the adapter alone
        self.model, self.student, self.source, self.arm = student.model, student, source, arm
        self.total_steps, self.lr, self.warmup_steps = total_steps, lr, warmup_steps
        self.weight_decay, self.betas, self.chunk_tokens = weight_decay, betas, chunk_tokens
        self.seed = seed
        self._opened: tuple[Teachers, Heads] | None = None

    @property
    def teachers(self) -> Teachers:
        """The teachers, opened on the student's device."""
        return self._open()[0]

    @property
    def heads(self) -> Heads:
        """The heads, on the student's device."""
        return self._open()[1]

    def frozen_hashes(self) -> dict[str, str]:
        """SHA-256 over the parameters of the student's base and first adapter, and of a live old model."""
        hashes = {"base": self.student.teacher_hash()}
        old_model = getattr(self.source, "old_model", None)
        return hashes if old_model is None else {**hashes, "old": frozen_hash(old_model)}

    def on_train_start(self) -> None:
        """Remember what the teachers are."""
        self._frozen = self.frozen_hashes()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Let dropout depend on the seed and the micro-batch alone, so that a resumed run draws the same."""
        index = batch_idx * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed(int(stream(self.seed, "llm-compat: dropout", index).integers(2**63)))

    def on_train_end(self) -> None:
        """Make sure that no teacher has moved.

        Raises:
            RuntimeError: one has, and the run is worthless.
        """
        if self.frozen_hashes() != self._frozen:
            raise RuntimeError("a frozen parameter changed while the adapter was trained")

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss of one micro-batch, as its share of the mean over the whole step; and its parts."""
        parts = self.trainer.accumulate_grad_batches * self.trainer.world_size
        loss = step_loss(
            self.model,
            batch,
            arm=self.arm,
            heads=self.heads,
            teachers=self.teachers,
            denominator=(batch.step_tokens / parts).clamp_min(1e-9),
            chunk_tokens=self.chunk_tokens,
        )
        terms = torch.stack([part.detach().double() for part in loss])
        return {"loss": loss.loss, "terms": terms}

    def learning_rate(self, step: int) -> float:
        """Learning rate of optimizer step `step`, from 0."""
        return linear_schedule(step, warmup_steps=self.warmup_steps, total_steps=self.total_steps, lr=self.lr)

    def configure_optimizers(self) -> Any:
        """AdamW over the adapter alone, with its schedule, one value a step."""
        groups = parameter_groups(self.model, self.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=self.betas)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.learning_rate(step) / self.lr
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the adapter's tensors alone."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if name in trained}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count finished steps in micro-batches of this run, whose accumulation may be another."""
        recount_micro_steps(checkpoint, self.trainer.accumulate_grad_batches)

    def _open(self) -> tuple[Teachers, Heads]:
        if self._opened is None:
            self._opened = self.source.open(self.student, self.arm, self.device)
        return self._opened
