"""How long the encoders take, by runtime, in turns on one machine."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from toolkit_shared.report.text_table import text_table
from torch import Tensor, nn

from mobileclip.export.onnx import encoder_of, open_session, sample_inputs, write_graph
from mobileclip.export.towers import UnitTower
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.folding import fold, is_folded

Runtime = Literal["torch", "torch-folded", "torch-compiled", "onnx"]
WARM_UP = 3
# threads of one runtime spin for a while after a call, on cores that the next one needs
SETTLE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Latency:
    """The time of one encoder in one runtime.

    Attributes:
        tower: "image" or "text".
        runtime: What ran it.
        batch_size: Inputs of a call.
        median_ms: Of a call, milliseconds by the clock.
        fastest_ms: The least.
        slowest_ms: The most.
        parameters: Of the encoder as it ran.
    """

    tower: str
    runtime: str
    batch_size: int
    median_ms: float
    fastest_ms: float
    slowest_ms: float
    parameters: int

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values, inputs a second with them."""
        return {**asdict(self), "per_second": 1e3 * self.batch_size / self.median_ms}


def measure_latency(
    model: ImageTextModel,
    *,
    towers: Sequence[str] = ("image", "text"),
    runtimes: Sequence[Runtime] = ("torch", "torch-folded", "onnx"),
    batch_size: int = 1,
    threads: int = 1,
    repeats: int = 20,
    device: str = "cpu",
    others: Mapping[str, nn.Module] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Latency]:
    """The latency of the encoders, each runtime once a round, so that a busy moment meets all of them.

    Args:
        model: On the CPU, in training form, so that the gain of folding shows; it stays there.
        towers: Which encoders.
        runtimes: "torch" as the model is, "torch-folded", "torch-compiled" (folded), "onnx" (folded, CPU).
        batch_size: Inputs of a call.
        threads: Of torch and of ONNX Runtime.
        repeats: Rounds that count, after three that do not.
        device: Where torch runs.
        others: Further image encoders by name, such as a peer's, timed in the same rounds.
        progress: Called with the number of rounds done.

    Raises:
        MissingExtra: "onnx" without the extra `export`.
    """
    rows: list[Latency] = []
    folded = model if is_folded(model) else fold(model)
    with _threads(threads), TemporaryDirectory() as folder:
        for tower in towers:
            inputs = sample_inputs(model, tower, batch_size, seed=0)
            arms, sizes = _arms(model, folded, tower, runtimes, inputs, Path(folder), threads, device)
            for name, module in (others or {}).items() if tower == "image" else ():
                arms[name] = _torch_arm(module.eval(), inputs, device, channels_last=False)
                sizes[name] = _num_parameters(module)
            for name, seconds in _rounds(arms, repeats, progress).items():
                rows.append(
                    Latency(
                        tower=tower,
                        runtime=name,
                        batch_size=batch_size,
                        median_ms=1e3 * median(seconds),
                        fastest_ms=1e3 * min(seconds),
                        slowest_ms=1e3 * max(seconds),
                        parameters=sizes[name],
                    )
                )
    return rows


def latency_table(rows: Sequence[Latency]) -> str:
    """The rows as lines of text; times in milliseconds."""
    header = ("encoder", "runtime", "batch", "median ms", "range", "inputs/s", "parameters")
    cells = [
        (
            row.tower,
            row.runtime,
            str(row.batch_size),
            f"{row.median_ms:.2f}",
            f"{row.fastest_ms:.2f} to {row.slowest_ms:.2f}",
            f"{1e3 * row.batch_size / row.median_ms:,.1f}",
            f"{row.parameters:,}",
        )
        for row in rows
    ]
    return "\n".join(text_table(header, cells))


def _arms(
    model: ImageTextModel,
    folded: ImageTextModel,
    tower: str,
    runtimes: Sequence[Runtime],
    inputs: Tensor,
    folder: Path,
    threads: int,
    device: str,
) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    arms: dict[str, Callable[[], object]] = {}
    sizes: dict[str, int] = {}
    for runtime in runtimes:
        source = model if runtime == "torch" else folded
        module: nn.Module = UnitTower(encoder_of(source, tower)).eval()
        sizes[runtime] = _num_parameters(module)
        if runtime == "onnx":
            path = folder / f"{tower}.onnx"
            write_graph(module, torch.cat([inputs, inputs])[:2], path, tower=tower)
            arms[runtime] = _onnx_arm(path, inputs, threads)
        else:
            arms[runtime] = _torch_arm(module, inputs, device, compiled=runtime == "torch-compiled")
    return arms, sizes


def _onnx_arm(path: Path, inputs: Tensor, threads: int) -> Callable[[], object]:
    session, values = open_session(path, threads=threads), inputs.numpy()
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: values})


def _torch_arm(
    module: nn.Module, inputs: Tensor, device: str, *, channels_last: bool = True, compiled: bool = False
) -> Callable[[], object]:
    # of a copy: another arm has the same encoder, on the CPU and in the layout that it came in
    module, inputs = copy.deepcopy(module).to(device), inputs.to(device)
    if inputs.dim() == 4 and channels_last:
        module = module.to(memory_format=torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    if compiled:
        module.compile()

    def call() -> object:
        with torch.inference_mode():
            features = module(inputs)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return features

    return call


def _rounds(
    arms: Mapping[str, Callable[[], object]], repeats: int, progress: Callable[[int], None] | None
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(-WARM_UP, repeats):
        for name, call in arms.items():
            if torch.get_num_threads() > 1:
                time.sleep(SETTLE_SECONDS)
                call()
            start = time.perf_counter()
            call()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
        if progress is not None and turn >= 0:
            progress(1)
    return seconds


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
