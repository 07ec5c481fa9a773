"""The command that writes both encoders as ONNX files."""

from pathlib import Path
from typing import Literal


def export_onnx(
    model: str,
    /,
    *,
    out: Path,
    checkpoint: str | None = None,
    random_weights: bool = False,
    tower: Literal["both", "image", "text"] = "both",
    precision: Literal["fp32", "fp16"] = "fp32",
    num_inputs: int = 16,
    overwrite: bool = False,
    seed: int = 0,
    json: bool = False,
) -> int:
    """Write image and text encoder as ONNX, folded, and compare each with the model it came from.

    The folder also holds what a reader needs: config.json (inputs, outputs, preprocessing, logit scale),
    tokenizer.json (for the tokenizers library, in many languages) and parity.json. Features have length one.
    The exit code is 1 when an encoder differs from the model.

    Args:
        model: Name, JSON file or saved folder of a model.
        out: Folder to write.
        checkpoint: Weights: a file of any dialect, or a tag of open_clip.
        random_weights: Go without a checkpoint, to try things out.
        tower: Both encoders, or one.
        precision: Of weights and arithmetic; inputs and outputs are float32 either way.
        num_inputs: Inputs of each encoder to compare.
        overwrite: Replace an export of something else.
        seed: Of the compared inputs.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least

    from mobileclip.evaluation.embedding import load_trained_encoders
    from mobileclip.export.onnx import export_onnx as export

    require_at_least(1, num_inputs=num_inputs)
    require_at_least(0, seed=seed)
    encoders = load_trained_encoders(model, checkpoint=checkpoint, random_weights=random_weights)
    report = export(
        encoders.model,
        out,
        name=model,
        weights=encoders.fingerprint,
        towers=("image", "text") if tower == "both" else (tower,),
        precision=precision,
        num_inputs=num_inputs,
        seed=seed,
        overwrite=overwrite,
    )
    emit(report.as_dict(), report.to_text(), as_json=json)
    return 0 if report.passed else 1
