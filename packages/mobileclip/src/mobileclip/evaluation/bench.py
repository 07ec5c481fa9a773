"""What a model costs and how good it is, in one report: sizes, multiply-adds, times, zero-shot accuracy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.errors import InputError
from torch import nn

from mobileclip.evaluation.datasets import open_labelled_images
from mobileclip.evaluation.features import Encoders
from mobileclip.evaluation.latency import Latency, Runtime, latency_table, measure_latency
from mobileclip.evaluation.zero_shot import choose_templates, evaluate_zero_shot
from mobileclip.export.onnx import encoder_of, sample_inputs
from mobileclip.models.counting import count_multiply_adds
from mobileclip.models.folding import fold, is_folded

PEER = "open_clip"


@dataclass(frozen=True)
class BenchReport:
    """What was measured.

    Attributes:
        model: As it was named.
        gmac: Multiply-adds of each encoder, folded, for one input, in units of 10^9, norms counted as the
            published figures count them.
        rows: The times.
        accuracy: Metrics of zero-shot classification by name; empty when no dataset was given.
    """

    model: str
    gmac: Mapping[str, float]
    rows: Sequence[Latency]
    accuracy: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "model": self.model,
            "gmac": dict(self.gmac),
            "latency": [row.as_dict() for row in self.rows],
            "ratios": self.ratios(),
            "accuracy": dict(self.accuracy),
        }

    def ratios(self) -> dict[str, float]:
        """How many times as fast each runtime is as the slowest form of the same encoder."""
        slowest = {
            tower: max(row.median_ms for row in self.rows if row.tower == tower)
            for tower in {row.tower for row in self.rows}
        }
        return {f"{row.tower} {row.runtime}": slowest[row.tower] / row.median_ms for row in self.rows}

    def to_text(self) -> str:
        """The report as lines of text."""
        sizes = ", ".join(f"{tower} encoder {value:.3f} GMAC" for tower, value in self.gmac.items())
        lines = [f"{self.model}: {sizes}", "", latency_table(self.rows)]
        if self.accuracy:
            lines += ["", *(f"{name}: {value:.4f}" for name, value in self.accuracy.items())]
        return "\n".join(lines)


def measure_bench(
    encoders: Encoders,
    *,
    towers: Sequence[str],
    runtimes: Sequence[Runtime],
    against: Literal["none", "open_clip"] = "none",
    batch_size: int = 1,
    threads: int = 1,
    repeats: int = 20,
    device: str = "cpu",
    zero_shot: Path | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> BenchReport:
    """Times of each encoder in each runtime, beside what it costs and how well it classifies.

    Args:
        encoders: Of a model in training form, so that the gain of folding shows.
        towers: "image", "text" or both.
        runtimes: As `measure_latency` takes them.
        against: Whether open_clip's image encoder of the same name takes its turns as well.
        batch_size: Inputs of a call.
        threads: Of torch and ONNX Runtime.
        repeats: Rounds that count.
        device: Where torch runs.
        zero_shot: Dataset to classify; None: no accuracy.
        seed: Of the intervals.
        progress: Called with the number of rounds done.

    Raises:
        InputError: open_clip has no model of the name.
        MissingExtra: ONNX without the extra `export`.
    """
    others: dict[str, nn.Module] = {PEER: _open_clip_encoder(encoders.name)} if against == PEER else {}
    accuracy = {} if zero_shot is None else _accuracy(encoders, zero_shot, seed)
    model = encoders.model.cpu()
    folded = model if is_folded(model) else fold(model)
    gmac = {
        tower: count_multiply_adds(
            encoder_of(folded, tower), sample_inputs(model, tower, 1, seed=0)
        ).with_norms
        / 1e9
        for tower in towers
    }
    rows = measure_latency(
        model,
        towers=towers,
        runtimes=runtimes,
        batch_size=batch_size,
        threads=threads,
        repeats=repeats,
        device=device,
        others=others,
        progress=progress,
    )
    return BenchReport(encoders.name, gmac, rows, accuracy)


def _accuracy(encoders: Encoders, path: Path, seed: int) -> dict[str, float]:
    dataset = open_labelled_images(path)
    result = evaluate_zero_shot(encoders, dataset, choose_templates("auto", dataset), seed=seed)
    return {name: value for name, value in vars(result.metrics).items() if isinstance(value, float)}


def _open_clip_encoder(name: str) -> nn.Module:
    import open_clip

    known = open_clip.list_models()
    if name not in known:
        near = ", ".join(other for other in known if "mobileclip" in other.lower())
        raise InputError(f"{name}: open_clip has no model of this name; it has {near}, or drop --against")
    encoder: nn.Module = open_clip.create_model(name).visual
    return encoder
