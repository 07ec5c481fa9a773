"""The command that lets a release pass, or not."""

from pathlib import Path

from llm_compat.settings.comparing import CompareSettings
from llm_compat.settings.reading import ReadSettings, RunFormat


def gate(
    old: Path,
    new: Path,
    /,
    *,
    max_nfr: float,
    confidence: float = 0.95,
    task: tuple[str, ...] = (),
    filter: tuple[str, ...] = (),
    metric: tuple[str, ...] = (),
    format: RunFormat | None = None,
    workers: int = 1,
    json: bool = False,
    markdown: bool = False,
    junit: Path | None = None,
    read: ReadSettings = ReadSettings(),
    allow_unpaired: bool = False,
) -> int:
    """Pass only when the negative flip rate of every task is certified to be below a limit.

    A task is certified when the exact one-sided upper confidence bound of its rate is at most the limit. Exit
    code 1 when one is not; then it says how many items would be needed. All tasks must pass, each at the same
    confidence, which needs no correction for their number.

    Args:
        old: Folder or file of the old model's logs.
        new: Logs of the new model.
        max_nfr: Limit of the negative flip rate, a share of 1, such as 0.02.
        confidence: Of the bound.
        task: Only these tasks; patterns are good. May be repeated.
        filter: Only these answer filters.
        metric: Only these metrics; unset: the main one of each task.
        format: Format of the logs; unset: told by the files.
        workers: Reading processes.
        json: Print one JSON document.
        markdown: Print Markdown.
        junit: Also write JUnit XML, a test case a task.
        read: How logs are read.
        allow_unpaired: Compare the items that both runs have.
    """
    from toolkit_shared.artifacts import require_place, write_text
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from llm_compat.comparison.compare import compare_paths
    from llm_compat.reporting.release_gate import gate_document, gate_report, gate_tasks, gate_text

    for name, value in (("--max-nfr", max_nfr), ("--confidence", confidence)):
        if not 0 < value < 1:
            raise InputError(f"{name}: {value:g} is not between 0 and 1; give a share such as 0.02")
    if json and markdown:
        raise InputError("--markdown: --json is given as well; give only one of them")
    if junit is not None:
        require_place(junit)
    with progress_bar(None, "read", "bytes") as progress:
        comparison = compare_paths(
            {"old": old, "new": new},
            read.narrowed(format=format, tasks=task, filters=filter, metrics=metric),
            CompareSettings(allow_unpaired=allow_unpaired, draws=100),
            workers=workers,
            progress=progress,
        )
    gated = gate_tasks(comparison, max_rate=max_nfr, confidence=confidence, all_metrics=bool(metric))
    if junit is not None:
        write_text(junit, gate_report(gated))
    emit(gate_document(comparison, gated), gate_text(gated, markdown=markdown), as_json=json)
    return 0 if all(found.certificate.certified for found in gated) else 1
