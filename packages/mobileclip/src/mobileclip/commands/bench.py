"""The command that times the encoders."""

from pathlib import Path
from typing import Literal


def bench(
    model: str = "MobileCLIP2-S0",
    /,
    *,
    checkpoint: str | None = None,
    tower: Literal["both", "image", "text"] = "both",
    runtime: tuple[Literal["torch", "torch-folded", "torch-compiled", "onnx"], ...] = (
        "torch",
        "torch-folded",
        "onnx",
    ),
    against: Literal["none", "open_clip"] = "none",
    batch_size: int = 1,
    threads: int = 1,
    repeats: int = 20,
    device: str = "cpu",
    zero_shot: Path | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Time image and text encoder in each runtime, and say what they cost and how good they are.

    Runtimes take turns, so that a busy moment of the machine meets all of them. Decoding is not timed.

    Args:
        model: Name, JSON file or saved folder of a model.
        checkpoint: Weights: a file of any dialect, or a tag of open_clip; times do not depend on them.
        tower: Both encoders, or one.
        runtime: torch (as trained), torch-folded, torch-compiled (folded), onnx (folded, CPU). May be
            repeated.
        against: Also time open_clip's image encoder of the same name, as it creates it.
        batch_size: Inputs of a call.
        threads: Of torch and of ONNX Runtime.
        repeats: Rounds that count.
        device: Where torch runs: auto, cpu, cuda or cuda:N.
        zero_shot: Dataset, as `eval zero-shot` takes it, to measure accuracy on besides.
        seed: Of random weights.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.progress import progress_bar

    from mobileclip.evaluation.bench import measure_bench
    from mobileclip.evaluation.features import load_encoders

    require_at_least(1, batch_size=batch_size, threads=threads, repeats=repeats)
    require_at_least(0, seed=seed)
    encoders = load_encoders(model, checkpoint=checkpoint, device=device, folded=False, seed=seed)
    towers = ("image", "text") if tower == "both" else (tower,)
    with progress_bar(repeats * len(towers), "time", "rounds") as advance:
        report = measure_bench(
            encoders,
            towers=towers,
            runtimes=runtime,
            against=against,
            batch_size=batch_size,
            threads=threads,
            repeats=repeats,
            device=device,
            zero_shot=zero_shot,
            seed=seed,
            progress=advance,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
