"""The command that shows the whole toolkit at once."""

from pathlib import Path


def demo(
    *,
    out: Path = Path("reports/demo/dclm-bench"),
    seed: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Filter a generated crawl with known defects, audit, tokenise and score, in half a minute and offline.

    Writes WARC files, runs the DCLM-Baseline recipe over them, checks each planted defect against the
    verdicts, explains a page, tries another limit, makes training shards, compares two made-up evaluation
    files, and writes a report with pictures. Exit code 1 when a defect was not found.

    Args:
        out: Folder of everything that is made; the report is report.html.
        seed: Of the crawl and of all that follows.
        overwrite: Replace an earlier demonstration.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    if seed < 0:
        raise InputError(f"--seed: {seed} is negative; give 0 or more")
    from dclm_bench.experiment.demonstration import STEPS, demonstrate, finish
    from dclm_bench.experiment.demonstration_page import to_document, to_page, to_text

    with progress_bar(STEPS, "demo", "parts") as progress:
        found = demonstrate(out, seed=seed, overwrite=overwrite, progress=progress)
    path = finish(found, to_page(found))
    emit(to_document(found), f"{to_text(found)}\n\nreport: {path}", as_json=json)
    return 1 if found.problems else 0
