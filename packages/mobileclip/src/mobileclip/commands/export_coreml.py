"""The command that writes both encoders as Core ML packages."""

from pathlib import Path
from typing import Literal


def export_coreml(
    model: str,
    /,
    *,
    out: Path,
    checkpoint: str | None = None,
    random_weights: bool = False,
    tower: Literal["both", "image", "text"] = "both",
    precision: Literal["fp32", "fp16"] = "fp16",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write image and text encoder as Core ML packages for iOS 16 and later, folded.

    The image encoder takes an RGB image and does scaling and normalisation itself; the text encoder takes
    tokens, which tokenizer.json beside it makes. The packages are written on any machine; on macOS they are
    also compared with the model, and the exit code is 1 when one differs.

    Args:
        model: Name, JSON file or saved folder of a model.
        out: Folder to write.
        checkpoint: Weights: a file of any dialect, or a tag of open_clip.
        random_weights: Go without a checkpoint, to try things out.
        tower: Both encoders, or one.
        precision: Of weights and arithmetic.
        overwrite: Replace an export of something else.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit

    from mobileclip.evaluation.embedding import load_trained_encoders
    from mobileclip.export.coreml import export_coreml as export

    encoders = load_trained_encoders(model, checkpoint=checkpoint, random_weights=random_weights)
    report = export(
        encoders.model,
        out,
        name=model,
        weights=encoders.fingerprint,
        towers=("image", "text") if tower == "both" else (tower,),
        precision=precision,
        overwrite=overwrite,
    )
    emit(report.as_dict(), report.to_text(), as_json=json)
    return 0 if report.passed else 1
