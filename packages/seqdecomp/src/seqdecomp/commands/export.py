"""The command that writes a store in another project's format."""

from pathlib import Path
from typing import Literal


def export(
    store: Path,
    /,
    *,
    out: Path,
    format: Literal["released", "olmo", "megatron", "datatrove", "nanogpt", "parquet", "jsonl"],
    shuffle: bool = True,
    seed: int = 0,
    file_tokens: int = 1 << 30,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Write a store in another project's format; nothing is left out.

    Args:
        store: Folder of the store.
        out: Folder to write.
        format: "released" writes the sequences of each bucket (tars); the others write whole documents.
        shuffle: Shuffle the sequences of the released layout; otherwise they keep the store's order.
        seed: Seed of that order.
        file_tokens: Close a file once it holds this many tokens (not in the released layout).
        workers: Processes; the files are the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished export.
        overwrite: Replace an export of another configuration.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from seqdecomp.exporting import export_store

    for name, value, least in (
        ("--seed", seed, 0),
        ("--file-tokens", file_tokens, 1),
        ("--workers", workers, 1),
    ):
        if value < least:
            raise InputError(f"{name}: {value} is too small; give {least} or more")
    with progress_bar(None, "export", "files") as progress:
        report = export_store(
            store,
            out,
            format=format,
            seed=seed if shuffle else None,
            file_tokens=file_tokens,
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    kind = "sequences" if format == "released" else "documents"
    text = (
        f"{out}: {report.items:,} {kind}, {report.tokens:,} tokens in {len(report.files):,} files ({format})"
    )
    emit(asdict(report), text, as_json=json)
