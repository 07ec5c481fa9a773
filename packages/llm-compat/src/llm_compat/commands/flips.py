"""The command that lists the items that flipped."""

from pathlib import Path
from typing import Literal

from llm_compat.settings.comparing import CompareSettings
from llm_compat.settings.reading import ReadSettings, RunFormat


def flips(
    old: Path,
    new: Path,
    /,
    *,
    kind: Literal["lost", "gained", "changed", "all"] = "lost",
    task: tuple[str, ...] = (),
    filter: tuple[str, ...] = (),
    metric: tuple[str, ...] = (),
    by: tuple[str, ...] = (),
    limit: int = 50,
    width: int = 60,
    allow_unpaired: bool = False,
    format: RunFormat | None = None,
    workers: int = 1,
    json: bool = False,
    markdown: bool = False,
    html: Path | None = None,
    csv: Path | None = None,
    read: ReadSettings = ReadSettings(),
    compare: CompareSettings = CompareSettings(),
) -> None:
    """List the items that flipped, with both answers.

    Args:
        old: Folder or file of the old model's logs.
        new: Logs of the new model.
        kind: lost (right before), gained, changed (wrong before and after, with another answer), or all.
        task: Only these tasks; patterns are good. May be repeated.
        filter: Only these answer filters.
        metric: Only these metrics; unset: the main one of each task and filter.
        by: Field of the documents to show slices by, on the page.
        limit: At most so many items a task, in the table and on the page; 0 is all of them.
        width: Longest text in the table.
        allow_unpaired: Compare the items that all runs have, where a run lacks some.
        format: Format of the logs; unset: told by the files.
        workers: Reading processes.
        json: Print one JSON document.
        markdown: Print Markdown.
        html: Also write a page that is read offline.
        csv: Also write all items as CSV.
        read: How logs are read.
        compare: How runs are compared.
    """
    from dataclasses import replace

    from toolkit_shared.artifacts import require_place, write_text
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from llm_compat.comparison.compare import compare_paths
    from llm_compat.reporting.flip_list import items_by_task, items_document, items_text, to_csv

    if limit < 0:
        raise InputError(f"--limit: {limit} is negative; give 0 for all items")
    if width < 8:
        raise InputError(f"--width: {width} is too narrow; give 8 or more")
    if json and markdown:
        raise InputError("--markdown: --json is given as well; give only one of them")
    for path in (html, csv):
        if path is not None:
            require_place(path)
    with progress_bar(None, "read", "bytes") as progress:
        comparison = compare_paths(
            {"old": old, "new": new},
            read.narrowed(format=format, tasks=task, filters=filter, metrics=metric),
            replace(
                compare,
                by=by or compare.by,
                allow_unpaired=allow_unpaired or compare.allow_unpaired,
                paper_pooling=False,
            ),
            workers=workers,
            progress=progress,
        )
    if csv is not None:
        everything = items_by_task(comparison, kind=kind, limit=None, all_metrics=bool(metric))
        write_text(csv, to_csv([item for found in everything for item in found.items]))
    found = items_by_task(comparison, kind=kind, limit=limit or None, all_metrics=bool(metric))
    if html is not None:
        from llm_compat.reporting.html import to_html

        write_text(html, to_html(comparison, {one.task.name: one.items for one in found}))
    text = items_text(found, kind=kind, width=width, markdown=markdown)
    written = [f"{name}: {path}" for name, path in (("page", html), ("csv", csv)) if path is not None]
    if written and not markdown:
        text += "\n\n" + "\n".join(written)
    emit(items_document(comparison, found, kind), text, as_json=json)
