"""The command that shows the whole toolkit at once."""

from pathlib import Path


def demo(
    *,
    out: Path = Path("reports/demo/mobileclip"),
    seed: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Reinforce generated pairs, check them, train with and without, export and search: in a minute, offline.

    Two small teachers are trained, their store is built and verified, clean and with images exchanged; a tiny
    student is trained on the noisy pairs alone and with the store, folded, written as ONNX (where the extra
    export is installed), timed and searched with. Exit code 1 when something was not as it should be.

    Args:
        out: Folder of everything that is made; the report is index.html.
        seed: Of pairs, teachers and students.
        overwrite: Replace an earlier demonstration.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import require
    from toolkit_shared.progress import progress_bar

    require_at_least(0, seed=seed)
    require("lightning", toolkit="mobileclip", extra="train")
    from mobileclip.experiment.demonstration import STEPS, demonstrate, finish
    from mobileclip.experiment.demonstration_page import to_document, to_page, to_text

    with progress_bar(STEPS, "demo", "parts") as progress:
        found = demonstrate(out, seed=seed, overwrite=overwrite, progress=progress)
    path = finish(found, to_page(found, seed))
    emit(to_document(found), f"{to_text(found)}\n\nreport: {path}", as_json=json)
    return 1 if found.problems else 0
