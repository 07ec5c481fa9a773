"""The command that shows the whole toolkit at once."""

from pathlib import Path


def demo(
    *,
    out: Path = Path("reports/demo/seqdecomp"),
    steps: int = 40,
    seed: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Decompose, plan, train and compare in a minute and a half, offline, on the Python standard library.

    Writes the library's functions as jsonl, builds and verifies a store, plans and trains a tiny model on
    variable and on fixed lengths, evaluates both by position, and writes a report with pictures.

    Args:
        out: Folder of everything that is made; the report is index.html.
        steps: Optimizer steps of each of the two trainings.
        seed: Of weights, order and curriculum.
        overwrite: Replace an earlier demonstration.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar

    require("lightning", toolkit="seqdecomp", extra="train")
    from seqdecomp.experiment.demonstration import demonstrate, finish
    from seqdecomp.experiment.demonstration_page import to_document, to_page, to_text

    if steps < 4:
        raise InputError(f"--steps: {steps} is below 4, too few to compare; give 40")
    if seed < 0:
        raise InputError(f"--seed: {seed} is negative; give 0 or more")
    with progress_bar(2 * steps, "demo", "steps") as progress:
        found = demonstrate(out, steps=steps, seed=seed, overwrite=overwrite, progress=progress)
    document = to_document(found)
    path = finish(found, to_page(found, document))
    emit(document, f"{to_text(document)}\n\nreport: {path}", as_json=json)
    return 1 if document["problems"] else 0
