"""The command that merges the branches of training into single convolutions."""

from pathlib import Path
from typing import Any, Literal


def fold(
    checkpoint: str,
    /,
    *,
    out: Path,
    model: str | None = None,
    form: Literal["full", "official"] = "full",
    tolerance: float = 1e-5,
    compat: Literal["official", "open_clip"] | None = None,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Merge the branches of training into single convolutions: the same features in less time.

    Writes a folder with model.safetensors and config.json, which every command takes as --model. Both forms
    of the model are run on random inputs; exit code 1, and nothing is written, when their features differ.

    Args:
        checkpoint: Weights: a file of any dialect, a tag of open_clip, or a saved folder.
        out: Folder of the folded model.
        model: Name or JSON file of the architecture; a saved folder knows its own.
        form: full: all that leaves the function as it is. official: what the published code merges, under
            its names.
        tolerance: Largest relative difference of features that passes.
        compat: open_clip: MobileCLIP-B as open_clip computes it; unset: as it was trained, or as the folder
            says.
        overwrite: Replace a model that is there.
        json: Print one JSON document.
    """
    from toolkit_shared.checkpoints import CONFIG, WEIGHTS
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError

    if not 0 < tolerance < 1:
        raise InputError(f"--tolerance: {tolerance} is no relative difference; give one between 0 and 1")
    if model is None and not Path(checkpoint).is_dir():
        raise InputError(f"--model: is missing; name the architecture of {checkpoint}, such as MobileCLIP-S0")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder; choose another --out")
    present = [name for name in (WEIGHTS, CONFIG) if (out / name).exists()]
    if present and not overwrite:
        raise InputError(f"{out}: holds a {present[0]} already; give --overwrite or another --out")

    from mobileclip.models.difference import relative_differences
    from mobileclip.models.factory import create_model, save_pretrained
    from mobileclip.models.folding import fold as fold_model

    if model is None:
        before = create_model(checkpoint, compat=compat)
    else:
        before = create_model(model, pretrained=checkpoint, compat=compat)
    after = fold_model(before, form=form)
    differences = relative_differences(before, after)
    passed = all(difference <= tolerance for difference in differences.values())
    if passed:
        (out / CONFIG).unlink(missing_ok=True)  # a killed run must not leave it beside other weights
        save_pretrained(after, out)
    document = _document(before, after, differences)
    document |= {"out": str(out) if passed else None, "tolerance": tolerance, "passed": passed}
    ending = f"wrote {out}" if passed else f"nothing was written: more than {tolerance:.0e}, or not finite"
    emit(document, f"{_text(document)}\n{ending}", as_json=json)
    return 0 if passed else 1


def _document(before: Any, after: Any, differences: dict[str, float]) -> dict[str, Any]:
    from mobileclip.models.counting import count_parameters
    from mobileclip.models.folding import folded_form

    towers = {
        what: {
            "parameters_before": count_parameters(before.get_submodule(f"{what}_encoder")),
            "parameters": count_parameters(after.get_submodule(f"{what}_encoder")),
            # JSON has no NaN
            "relative_difference": difference if difference == difference else None,
        }
        for what, difference in differences.items()
    }
    return {"form_before": folded_form(before), "form": folded_form(after), "towers": towers}


def _text(document: dict[str, Any]) -> str:
    lines = []
    for what, found in document["towers"].items():
        difference = found["relative_difference"]
        shown = "not finite" if difference is None else f"{difference:.1e}"
        lines.append(
            f"{what}: {found['parameters_before']:,} parameters, folded {found['parameters']:,}; "
            f"relative difference of the features {shown}"
        )
    return "\n".join(lines)
