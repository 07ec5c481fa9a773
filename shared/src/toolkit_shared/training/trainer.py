"""What Lightning trainings share: checkpoints that are whole, progress, throughput, a device's defaults."""

import difflib
import logging
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO
from torch.multiprocessing.spawn import ProcessRaisedException

from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError

log = logging.getLogger(__name__)


class AtomicCheckpointIO(CheckpointIO):
    """Checkpoints that are whole or absent after a crash, and are read without running code from them."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write `path` through a temporary name in the same folder, flushed to the disk before it is renamed.

        Raises:
            ValueError: `storage_options` were given; there are none.
        """
        if storage_options is not None:
            raise ValueError("storage_options: local files take none")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """The checkpoint as tensors and plain values; always read with `weights_only=True`."""
        location: Any = "cpu" if map_location is None else map_location
        checkpoint: dict[str, Any] = torch.load(path, map_location=location, weights_only=True)
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete `path`; nothing happens when it is gone."""
        Path(path).unlink(missing_ok=True)


class StepCheckpoint(Checkpoint):
    """Saves the whole training state every `every_steps` optimizer steps; the newest file stays.

    Only after an optimizer step: a state in the middle of gradient accumulation would lose gradients.

    Args:
        folder: Where `step-<number>.ckpt` is written.
        every_steps: Steps between checkpoints.
    """

    def __init__(self, folder: str | Path, *, every_steps: int) -> None:
        self.folder, self.every_steps = Path(folder), every_steps
        self._last_step = 0

    @staticmethod
    def newest(folder: str | Path) -> Path | None:
        """The checkpoint of the latest step in `folder`, or None."""
        return max(Path(folder).glob("step-*.ckpt"), default=None)  # numbers have leading zeros

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where this run begins."""
        self._last_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when an optimizer step is done whose number is a multiple of `every_steps`."""
        step = trainer.global_step
        if step == self._last_step:
            return
        self._last_step = step
        if step % self.every_steps:
            return
        path = self.folder / f"step-{step:010d}.ckpt"
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            for old in self.folder.glob("step-*.ckpt"):
                if old != path:
                    old.unlink()


class StepProgress(Callback):
    """Calls `advance(n)` after optimizer steps; with all steps that a resumed run has behind it, at once."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance
        self._done = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps of earlier runs."""
        self._move(trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step when one is done."""
        self._move(trainer.global_step)

    def _move(self, step: int) -> None:
        if step > self._done:
            self.advance(step - self._done)
            self._done = step


class Throughput(Callback):
    """Tokens per second over the last `every_steps` optimizer steps, given to `report` and to the log.

    Args:
        tokens_per_step: Tokens that all devices together train on in one optimizer step.
        every_steps: How often to report.
        report: Receives (optimizer steps done, tokens per second); without it, a line is logged.
    """

    def __init__(
        self,
        *,
        tokens_per_step: int,
        every_steps: int = 50,
        report: Callable[[int, float], None] | None = None,
    ) -> None:
        self.tokens_per_step, self.every_steps, self.report = tokens_per_step, every_steps, report
        self._since: tuple[int, float] | None = None
        self._reported = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = (trainer.global_step, time.perf_counter())
        self._reported = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report when `every_steps` optimizer steps are done since the last report."""
        step = trainer.global_step
        if self._since is None or step - self._reported < self.every_steps or not trainer.is_global_zero:
            return
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        rate = (step - self._since[0]) * self.tokens_per_step / max(now - self._since[1], 1e-9)
        self._since, self._reported = (step, now), step
        if self.report is not None:
            self.report(step, rate)
        else:
            log.info("step %d: %.3g tokens/s", step, rate)


def is_first_process() -> bool:
    """Whether this process is the one of a distributed run that writes files and reports; true without a run.

    By the variables that torchrun, Lightning and Slurm's tasks under them set before a process group stands.
    """
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def trainer_defaults(device: str, *, devices: int = 1, strategy: str = "auto") -> dict[str, Any]:
    """Arguments of `lightning.Trainer` for a device: accelerator, strategy, precision, and no side outputs.

    `enable_checkpointing` is off; turn it on with a `StepCheckpoint` among the callbacks.

    Args:
        device: `auto`, `cpu` or `cuda`.
        devices: Processes, one a device.
        strategy: `auto` is one device, or DDP over several; `fsdp2` shards parameters, gradients and
            optimizer state; any other name is Lightning's.

    Raises:
        InputError: the device or the strategy is not known, or there is no such device here.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device: '{device}' is not one of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: no CUDA device can be used here; give cpu or auto")
    on_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return {
        "accelerator": "cuda" if on_cuda else "cpu",
        "devices": devices,
        "strategy": _strategy(strategy, on_cuda=on_cuda, devices=devices),
        "precision": "bf16-mixed" if on_cuda else "32-true",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
    }


def make_trainer(arguments: Mapping[str, Any], **more: Any) -> Trainer:
    """Lightning's trainer for one pass over the data, with checkpoints that are whole or absent.

    Args:
        arguments: What `trainer_defaults` gave.
        more: Further arguments of the trainer.

    Raises:
        InputError: Lightning refuses them: a strategy that needs another device or package.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it lists devices that are not here
    try:
        return Trainer(**arguments, **more, max_epochs=1, plugins=[AtomicCheckpointIO()])
    except (MisconfigurationException, ValueError, ImportError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise InputError(
            f"--strategy {arguments['strategy']} on {arguments['devices']} x {arguments['accelerator']}: "
            f"{reason}; choose another --strategy or --devices"
        ) from None


def run_trainer(
    trainer: Trainer, module: LightningModule, data: LightningDataModule, checkpoints: str | Path
) -> None:
    """Train, from the newest checkpoint of the folder `checkpoints` if there is one.

    Raises:
        InputError: raised in one of the processes of a distributed run.
        KeyboardInterrupt: the run was interrupted.
    """
    checkpoint = StepCheckpoint.newest(checkpoints)
    if checkpoint is not None:
        log.info("resumed from %s", checkpoint.name)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # Lightning's, about itself
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except ProcessRaisedException as error:
        reason = str(error).strip().splitlines()[-1].partition("InputError: ")[2]
        if not reason:
            raise
        raise InputError(reason) from None
    except SystemExit:
        # Lightning answers Ctrl-C with an exit code of its own
        raise KeyboardInterrupt from None


def recount_micro_steps(checkpoint: dict[str, Any], accumulation: int) -> None:
    """Count a checkpoint's finished steps in micro-batches of a run with another accumulation, in place.

    Args:
        checkpoint: As Lightning hands it to `on_load_checkpoint`.
        accumulation: Micro-batches of a step of the run that goes on.
    """
    micro_steps = checkpoint["global_step"] * accumulation
    for counts in checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"].values():
        if isinstance(counts, dict):
            ready = counts["ready"]
            counts.update({name: micro_steps - (ready - value) for name, value in counts.items()})


def _strategy(name: str, *, on_cuda: bool, devices: int) -> Any:
    if name == "fsdp2":
        from lightning.pytorch.strategies import ModelParallelStrategy

        return ModelParallelStrategy(
            data_parallel_size=devices, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    if name == "auto" and devices > 1:
        # A CPU run may come from a library call, whose script must not be started a second time.
        return "ddp" if on_cuda else "ddp_spawn"
    from lightning.pytorch.strategies import StrategyRegistry

    known = ["auto", "fsdp2", *StrategyRegistry.available_strategies()]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; nearest: '{near[0]}'" if near else ""
        raise InputError(f"--strategy: '{name}' is not one of {', '.join(sorted(known))}{hint}")
    return name
