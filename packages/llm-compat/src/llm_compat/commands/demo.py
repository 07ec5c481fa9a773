"""The command that shows the whole toolkit at once."""

from pathlib import Path


def demo(
    *,
    out: Path = Path("reports/demo/llm-compat"),
    seed: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Find planted flips, and mitigate a small update, in a minute and a half and offline.

    Writes evaluation logs of an old, a new, a compatible and a repeated model, compares them, and checks that
    the flips found are those that were planted; trains two tiny models, a compatibility adapter and its
    control on a generated task; writes a report with pictures. Exit code 1 when a planted flip is not found.

    Args:
        out: Folder of everything that is made; the report is index.html.
        seed: Of the planted flips and of all models.
        overwrite: Replace an earlier demonstration.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar

    for module in ("torch", "transformers", "peft"):
        require(module, toolkit="llm-compat", extra="train")
    if seed < 0:
        raise InputError(f"--seed: {seed} is negative; give 0 or more")
    from llm_compat.experiment.demonstration import STEPS, demonstrate, finish
    from llm_compat.experiment.demonstration_page import to_document, to_page, to_text

    with progress_bar(STEPS, "demo", "parts") as progress:
        found = demonstrate(out, seed=seed, overwrite=overwrite, progress=progress)
    path = finish(found, to_page(found))
    emit(to_document(found), f"{to_text(found)}\n\nreport: {path}", as_json=json)
    return 1 if found.problems else 0
