"""The command that turns text or token files into a store."""

from pathlib import Path
from typing import Annotated, Literal

from toolkit_shared.cli import Flat

from seqdecomp.settings import DecompositionSettings, InputFormat, ReadSettings


def build(
    *inputs: str,
    settings: Annotated[DecompositionSettings, Flat] = DecompositionSettings(),
    format: InputFormat | None = None,
    text_field: str | None = None,
    out: Path,
    tokenizer: str | None = None,
    source: tuple[str, ...] = (),
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    json: bool = False,
    read: ReadSettings = ReadSettings(),
) -> None:
    """Tokenise documents and index their pieces by length.

    Args:
        inputs: Files, folders or globs (jsonl, parquet, arrow, text, OLMo, Megatron, datatrove, nanoGPT, the
            released layout), each a source of its own; or one store, to index it with other settings.
        settings: How documents are cut.
        format: Format of the inputs, where it is not that of their names; goes before read.format.
        text_field: Field or column that holds the text; goes before read.text-field.
        out: Folder of the store.
        tokenizer: "bytes", a tokenizer.json, a folder that holds one, or a name on the Hugging Face hub.
        source: A further input as NAME=PATH, with its source's name; may be repeated.
        workers: Processes; the store is the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished build.
        overwrite: Replace a store of another configuration.
        strict: Stop at the first corrupt record instead of counting and skipping it.
        json: Print one JSON document.
        read: How the inputs are read.
    """
    from dataclasses import asdict, replace

    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from seqdecomp.build import build_store

    read = read if format is None else replace(read, format=format)
    read = read if text_field is None else replace(read, text_field=text_field)
    with progress_bar(None, "build", "units") as progress:
        report = build_store(
            inputs,
            out,
            tokenizer=tokenizer,
            settings=settings,
            read=read,
            sources=parse_sources(source),
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            strict=strict,
            progress=progress,
        )
    emit(asdict(report), report.to_text(), as_json=json)


def parse_sources(given: tuple[str, ...]) -> dict[str, str]:
    """Source name to path, out of NAME=PATH texts.

    Raises:
        InputError: a text is not of that form, or a name comes twice.
    """
    from toolkit_shared.errors import InputError

    sources: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise InputError(
                f"--source: '{text}' is not of the form NAME=PATH; write for example web=web.jsonl"
            )
        if name in sources:
            raise InputError(f"--source: the name '{name}' is given twice; give a folder or a glob instead")
        sources[name] = path
    return sources
