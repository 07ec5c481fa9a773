"""The command that tries another limit on a finished run."""

from pathlib import Path


def what_if(path: Path, /, *, set: tuple[str, ...], keep_set: Path | None = None, json: bool = False) -> None:
    """Show what a run would have kept with other limits, without reading a page again.

    Args:
        path: Folder of the run.
        set: The limit to try, as STEP.RULE=VALUE; may be repeated.
        keep_set: JSON lines to write: every page's id, and whether it was and would be kept.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit

    from dclm_bench.pipeline.audited import AuditedRun
    from dclm_bench.pipeline.what_if import what_if as try_limits
    from dclm_bench.recipe import parse_limits

    found = try_limits(AuditedRun.open(path), parse_limits(set), keep_set=keep_set)
    text = found.to_text() + (f"\nkeep-set in {keep_set}" if keep_set is not None else "")
    emit(found.as_dict(), text, as_json=json)
