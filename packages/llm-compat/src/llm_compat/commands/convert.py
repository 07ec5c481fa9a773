"""The command that writes a run as one table."""

from pathlib import Path

from llm_compat.settings.reading import ReadSettings, RunFormat


def convert(
    run: Path,
    /,
    *,
    out: Path,
    task: tuple[str, ...] = (),
    filter: tuple[str, ...] = (),
    metric: tuple[str, ...] = (),
    by: tuple[str, ...] = (),
    format: RunFormat | None = None,
    workers: int = 1,
    json: bool = False,
    read: ReadSettings = ReadSettings(),
) -> None:
    """Write a run as one table that every command reads in place of the logs.

    Args:
        run: Folder or file of logs (lm-evaluation-harness with --log_samples, HELM, Inspect, lighteval, CSV,
            JSONL, parquet).
        out: File to write; its name ends in .jsonl, .jsonl.gz, .jsonl.zst, .csv or .parquet.
        task: Only these tasks; patterns such as mmlu_* are good. May be repeated.
        filter: Only these answer filters.
        metric: Only these metrics.
        by: Field of the documents to keep as a column. May be repeated.
        format: Format of the logs; unset: told by the files.
        workers: Reading processes.
        json: Print one JSON document.
        read: How logs are read.
    """
    from dataclasses import asdict, replace

    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from llm_compat.data.convert import write_table
    from llm_compat.data.runs import read_run

    settings = replace(
        read,
        tasks=(*read.tasks, *task),
        filters=(*read.filters, *filter),
        metrics=(*read.metrics, *metric),
        fields=(*read.fields, *by),
        format=read.format if format is None else format,
    )
    with progress_bar(None, "read", "bytes") as progress:
        outcomes = read_run(run, settings, workers=workers, progress=progress)
    written = write_table(outcomes, out)
    notes = [f"{one.name}: {note}" for one in outcomes for note in one.notes]
    text = "\n".join([f"{out}: {written.rows:,} rows, {len(written.tasks):,} tasks and filters", *notes])
    emit({**asdict(written), "notes": notes}, text, as_json=json)
