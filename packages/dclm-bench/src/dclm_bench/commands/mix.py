"""The command that mixes tokenised datasets."""

from pathlib import Path
from typing import Literal


def mix(
    *,
    out: Path,
    source: dict[str, Path],
    weight: dict[str, float],
    by: Literal["tokens", "documents"] = "tokens",
    tokens: int | None = None,
    repeat: bool = False,
    shard_contexts: int = 8192,
    seed: int = 0,
    name: str = "",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Mix tokenised datasets into one.

    Args:
        out: Folder of the mixture; train takes it like any tokenised dataset.
        source: Folder of each dataset, as --source.NAME FOLDER.
        weight: Weight of each, as --weight.NAME NUMBER, or from the recipe mix-redpajama.
        by: What the weights are shares of.
        tokens: Size of the mixture; unset: the largest in which nothing is repeated.
        repeat: Let a source be seen more than once.
        shard_contexts: Contexts of a shard.
        seed: Of what is drawn, and of the order.
        name: Of the mixture in its reference; unset: the folder's.
        workers: Processes; the mixture is the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from dclm_bench.mixing.mixture import mix_datasets

    with progress_bar(None, "mix", "shards") as progress:
        report = mix_datasets(
            source,
            weight,
            out,
            by=by,
            tokens=tokens,
            repeat=repeat,
            shard_contexts=shard_contexts,
            seed=seed,
            name=name,
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    emit(asdict(report), report.to_text(), as_json=json)
