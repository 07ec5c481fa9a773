"""The measured step times of a run: the table from which plans predict hours."""

import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from seqdecomp.cost import STEP_TIMES_FILE, StepTimes
from seqdecomp.data.loading import Batch


class StepTimesLog(Callback):
    """Writes step_times.json: the median time of a full optimizer step at each sequence length.

    The file is what `seqdecomp plan RUN --step-times` reads. A step lasts from the end of the one before to
    its own end, loading and logging included; the first of each length is left out where there are more, as
    it may compile or allocate. Nothing else in the folder depends on the file.

    Args:
        folder: Folder of the run.
        batch_tokens: Tokens of a full step, all devices together.
    """

    def __init__(self, folder: str | Path, *, batch_tokens: int) -> None:
        self.path, self.batch_tokens = Path(folder) / STEP_TIMES_FILE, batch_tokens
        self._marks: list[tuple[int, Any]] = []  # length of the step that ends here (0: none), and when
        self._seconds: defaultdict[int, list[float]] = defaultdict(list)
        self._tokens = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier use of this object."""
        self._marks, self._tokens, self._last_step = [], 0, trainer.global_step
        self._seconds.clear()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Start the clock at the first batch, after any warm-up."""
        if not self._marks:
            self._marks.append((0, _now(trainer)))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Take the time of a step when it is done; smaller batches at the end of a bucket do not count."""
        self._tokens += batch["input_ids"].numel() * trainer.world_size
        if trainer.global_step == self._last_step:
            return
        full = self._tokens == self.batch_tokens
        self._last_step, self._tokens = trainer.global_step, 0
        self._marks.append((batch["length"] if full else 0, _now(trainer)))
        if len(self._marks) > 1000:
            self._collect()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write what is known, for runs that are cut off."""
        self._write(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table."""
        self._write(trainer)

    def _collect(self) -> None:
        """Turn marks into seconds, waiting for the device once."""
        if self._marks and isinstance(self._marks[-1][1], torch.cuda.Event):
            self._marks[-1][1].synchronize()
        for (_, begin), (length, end) in zip(self._marks, self._marks[1:], strict=False):
            if length:
                self._seconds[length].append(_seconds_between(begin, end))
        del self._marks[:-1]

    def _write(self, trainer: Trainer) -> None:
        self._collect()
        if not trainer.is_global_zero:
            return
        name = f"{trainer.num_devices} x {_device_name(trainer)}"
        medians = {length: median(times[1:] or times) for length, times in self._seconds.items()}
        if self.path.exists():  # lengths that only an earlier part of this run had, on the same machine
            earlier = StepTimes.read(self.path)
            if (earlier.name, earlier.batch_tokens) == (name, self.batch_tokens):
                medians = {**earlier.seconds, **medians}
        if medians:
            StepTimes(name=name, batch_tokens=self.batch_tokens, seconds=medians).write(self.path)


def _now(trainer: Trainer) -> Any:
    """A moment: on CUDA an event, as the device runs behind the program."""
    if trainer.strategy.root_device.type != "cuda":
        return time.perf_counter()
    event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _seconds_between(begin: Any, end: Any) -> float:
    seconds: float = begin.elapsed_time(end) / 1000 if isinstance(begin, torch.cuda.Event) else end - begin
    return seconds


def _device_name(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
