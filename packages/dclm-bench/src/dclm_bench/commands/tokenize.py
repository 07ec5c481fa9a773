"""The command that turns pages into shuffled training shards."""

from pathlib import Path
from typing import Literal


def tokenize(
    *inputs: str,
    tokenizer: str,
    out: Path,
    text_field: str = "text",
    context_length: int = 2049,
    shard_contexts: int = 8192,
    num_cells: int = 512,
    seed: int = 0,
    name: str = "",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Tokenise pages and shuffle them into training shards.

    Args:
        inputs: JSON lines or Parquet files of pages, folders or patterns.
        tokenizer: Ranks of GPT-NeoX (a .tiktoken file), a tokenizer.json, or bytes.
        out: Folder of the shards, with manifest.jsonl and the reference dataset.json.
        text_field: Field that holds the text.
        context_length: Tokens of a context; one more than the sequence to train on.
        shard_contexts: Contexts of a shard.
        num_cells: Cells of the coarse shuffle.
        seed: Of the shuffle.
        name: Of the dataset in its reference; unset: the folder's.
        workers: Processes; the shards are the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        strict: Stop at the first record that cannot be used.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from dclm_bench.tokenization.dataset import tokenize_dataset

    with progress_bar(None, "tokenize", "files and shards") as progress:
        report = tokenize_dataset(
            inputs,
            out,
            tokenizer=tokenizer,
            text_field=text_field,
            context_length=context_length,
            shard_contexts=shard_contexts,
            num_cells=num_cells,
            seed=seed,
            name=name,
            strict=strict,
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    emit(asdict(report), report.to_text(), as_json=json)
