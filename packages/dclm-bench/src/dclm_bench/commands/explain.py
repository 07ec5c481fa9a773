"""The command that says why a page was kept or dropped."""

from pathlib import Path


def explain(path: Path, /, *, doc: str, json: bool = False) -> None:
    """Show every rule's value, margin and verdict for one page of a run.

    Args:
        path: Folder of the run.
        doc: Id or URL of the page.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit

    from dclm_bench.pipeline.audited import AuditedRun
    from dclm_bench.pipeline.explain import explain as explain_page

    found = explain_page(AuditedRun.open(path), doc)
    text = "\n\n".join(page.to_text() for page in found)
    emit({"pages": [page.as_dict() for page in found]}, text, as_json=json)
