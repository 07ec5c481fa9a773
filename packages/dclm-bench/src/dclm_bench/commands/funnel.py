"""The command that shows what each step of a run dropped."""

from pathlib import Path


def funnel(path: Path, /, *, json: bool = False) -> int:
    """Show how many pages each rule of a run dropped, first and alone; 1 when the numbers do not add up.

    Args:
        path: Folder of the run.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit

    from dclm_bench.pipeline.audited import AuditedRun
    from dclm_bench.pipeline.funnel import Funnel

    found = Funnel.of(AuditedRun.open(path), alone=True)
    gaps = found.gaps()
    text = "\n".join([found.to_text(), *(f"does not add up: {gap}" for gap in gaps)])
    emit({**found.as_dict(), "gaps": gaps}, text, as_json=json)
    return 1 if gaps else 0
