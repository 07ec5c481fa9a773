"""The command that shows what decomposition makes of a corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from toolkit_shared.cli import Flat

from seqdecomp.settings import DecompositionSettings, InputFormat, ReadSettings

if TYPE_CHECKING:
    from seqdecomp.documents import Documents


def stats(
    *inputs: str,
    settings: Annotated[DecompositionSettings, Flat] = DecompositionSettings(),
    format: InputFormat | None = None,
    text_field: str | None = None,
    lengths: Path | None = None,
    tokenizer: str | None = None,
    arm: tuple[str, ...] = ("concat", "best-fit+mask"),
    step_times: str | None = None,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    strict: bool = False,
    json: bool = False,
    read: ReadSettings = ReadSettings(),
) -> None:
    """Show the buckets, what is lost and the predicted time of a corpus, before building anything.

    Args:
        inputs: Files, folders or globs (jsonl, parquet, arrow, text, OLMo, Megatron, datatrove, nanoGPT, the
            released layout), or a store.
        settings: How documents are cut.
        format: Format of the inputs, where it is not that of their names; goes before read.format.
        text_field: Field or column that holds the text; goes before read.text-field.
        lengths: In place of inputs, a .npy file with the length of every document in tokens.
        tokenizer: "bytes", a tokenizer.json, a folder that holds one, or a name on the Hugging Face hub.
        arm: Baseline to show beside decomposition; may be repeated.
        step_times: Measured step times: the folder of a seqdecomp train run, a JSON table, or paper-1b-h100.
        workers: Processes that tokenise.
        engine: Where the processes run.
        strict: Stop at the first corrupt record instead of counting and skipping it.
        json: Print one JSON document.
        read: How the inputs are read.
    """
    from dataclasses import asdict, replace

    from toolkit_shared.cli import emit

    from seqdecomp.corpus_statistics import corpus_statistics
    from seqdecomp.cost import PAPER_MODELS, StepTimes

    read = read if format is None else replace(read, format=format)
    read = read if text_field is None else replace(read, text_field=text_field)
    documents, notes, examples = _documents(
        inputs, lengths, tokenizer=tokenizer, read=read, workers=workers, engine=engine, strict=strict
    )
    found = corpus_statistics(
        documents,
        arms=arm,
        models=PAPER_MODELS,
        step_times=None if step_times is None else StepTimes.read(step_times),
        **asdict(settings),
    )
    remarks = "; ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in notes.items() if number)
    text = "\n".join([found.to_text(), *([remarks] if remarks else []), *(f"  {line}" for line in examples)])
    document = {**found.as_dict(), **notes, "examples": examples, "settings": asdict(settings)}
    emit(document, text, as_json=json)


def _documents(
    inputs: Sequence[str], lengths: Path | None, **options: Any
) -> "tuple[Documents, dict[str, int], list[str]]":
    """The documents of a lengths file or of inputs, what reading them had to remark, and corrupt records."""
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from seqdecomp.data.document_lengths import read_document_lengths
    from seqdecomp.documents import Documents

    if lengths is not None:
        if inputs:
            raise InputError("--lengths: inputs are given as well; give only one of them")
        return Documents.from_lengths_file(lengths), {}, []
    with progress_bar(None, "read", "units") as progress:
        found = read_document_lengths(inputs, progress=progress, **options)
    notes = {
        "documents_without_eos": found.documents_without_eos,
        "skipped_records": found.skipped_records,
        "empty_documents": found.empty_documents,
    }
    examples = [f"{place}: {reason}" for place, reason in found.examples]
    return Documents.of_lengths(found.lengths), notes, examples
