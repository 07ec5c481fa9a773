"""The command that compares two evaluation runs."""

from pathlib import Path

from llm_compat.settings.comparing import CompareSettings
from llm_compat.settings.reading import ReadSettings, RunFormat


def diff(
    old: Path,
    new: Path,
    /,
    *,
    compat: Path | None = None,
    rerun: Path | None = None,
    task: tuple[str, ...] = (),
    filter: tuple[str, ...] = (),
    metric: tuple[str, ...] = (),
    by: tuple[str, ...] = (),
    cluster: str | None = None,
    allow_unpaired: bool = False,
    format: RunFormat | None = None,
    workers: int = 1,
    json: bool = False,
    markdown: bool = False,
    html: Path | None = None,
    junit: Path | None = None,
    fail_on_regression: bool = False,
    read: ReadSettings = ReadSettings(),
    compare: CompareSettings = CompareSettings(),
) -> int:
    """Compare two evaluation runs: what regressed, whether it is real, and what to do.

    Items are paired by document, never by position. Every rate has an interval, every task a test, corrected
    for the number of tasks. The raw negative flip rate stands beside the one adjusted for accuracy.

    Args:
        old: Folder or file of the old model's logs (lm-evaluation-harness with --log_samples, HELM, Inspect,
            lighteval, CSV, JSONL, parquet).
        new: Logs of the new model, in any of the formats.
        compat: Logs of a compatible new model: is it better than NEW, beyond its accuracy?
        rerun: Logs of the old model evaluated once more: how many flips are noise?
        task: Only these tasks; patterns such as mmlu_* are good. May be repeated.
        filter: Only these answer filters.
        metric: Only these metrics.
        by: Field of the documents to slice by. May be repeated.
        cluster: Field whose values group items that are not independent.
        allow_unpaired: Compare the items that all runs have, where a run lacks some.
        format: Format of the logs; unset: told by the files.
        workers: Reading processes.
        json: Print one JSON document.
        markdown: Print Markdown.
        html: Also write a page that is read offline.
        junit: Also write JUnit XML, a test case a task.
        fail_on_regression: Exit with 1 when a task regressed.
        read: How logs are read.
        compare: How runs are compared.
    """
    from dataclasses import replace

    from toolkit_shared.artifacts import require_place, write_text
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from llm_compat.comparison.compare import compare_paths
    from llm_compat.comparison.document import comparison_document
    from llm_compat.reporting.text import to_markdown, to_text

    if json and markdown:
        raise InputError("--markdown: --json is given as well; give only one of them")
    for path in (html, junit):
        if path is not None:
            require_place(path)
    paths = {"old": old, "new": new, "compat": compat, "rerun": rerun}
    with progress_bar(None, "read", "bytes") as progress:
        comparison = compare_paths(
            {model: path for model, path in paths.items() if path is not None},
            read.narrowed(format=format, tasks=task, filters=filter, metrics=metric),
            replace(
                compare,
                by=by or compare.by,
                cluster=cluster or compare.cluster,
                allow_unpaired=allow_unpaired or compare.allow_unpaired,
            ),
            workers=workers,
            progress=progress,
        )
    if html is not None:
        from llm_compat.reporting.html import to_html

        write_text(html, to_html(comparison))
    if junit is not None:
        from llm_compat.reporting.junit import regression_report

        write_text(junit, regression_report(comparison))
    text = to_markdown(comparison) if markdown else to_text(comparison)
    written = [f"{kind}: {path}" for kind, path in (("page", html), ("junit", junit)) if path is not None]
    if written and not markdown:
        text += "\n\n" + "\n".join(written)
    document = comparison_document(comparison)
    emit(document, text, as_json=json)
    return 1 if fail_on_regression and document["summary"]["regressed"] else 0
