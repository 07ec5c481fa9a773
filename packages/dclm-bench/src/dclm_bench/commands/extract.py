"""The command that takes the text out of crawl files."""

from pathlib import Path
from typing import Literal


def extract(
    *inputs: str,
    out: Path,
    extractor: Literal["resiliparse", "resiliparse-all", "trafilatura", "wet"] = "resiliparse",
    encoding: Literal["strict", "detect"] = "strict",
    format: Literal["jsonl.gz", "jsonl.zst", "jsonl", "parquet"] = "jsonl.gz",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Take the text out of WARC or WET files, and count every page that is lost.

    Args:
        inputs: WARC files, or WET files with --extractor wet: files, folders or globs.
        out: Folder of the pages and the manifest; one file of pages an input.
        extractor: Resiliparse's main content (the paper's choice) or all its visible text, trafilatura
            (installed apart), or the text that WET files hold.
        encoding: Lose pages that are no UTF-8, as the official code does, or undo transfer and content
            encodings, detect characters and pass over what is no HTML.
        format: Format of the files of pages.
        workers: Processes; the output is the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished extraction.
        overwrite: Replace an extraction of other settings.
        strict: Stop at the first damaged file or record instead of counting it.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from dclm_bench.extraction.extract import extract_folder

    with progress_bar(None, "extract", "files") as progress:
        report = extract_folder(
            inputs,
            out,
            extractor=extractor,
            encoding=encoding,
            format=format,
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            strict=strict,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
