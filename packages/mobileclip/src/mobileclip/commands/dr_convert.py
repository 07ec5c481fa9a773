"""The command that converts reinforced data between the official tars and the store."""

from pathlib import Path
from typing import Literal


def dr_convert(
    *path: Path,
    out: Path,
    to: Literal["store", "official"] = "store",
    teacher: tuple[str, ...] = (),
    carry: Literal["all", "metadata", "none"] = "metadata",
    form: Literal["npz", "pth.gz"] | None = None,
    operations: int = 2,
    strict: bool = False,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Convert reinforced data between official tars and the memory-mapped store.

    Captions, augmentations and embeddings come back equal, the embeddings to the bit.

    Args:
        path: Official tars, folders or patterns; or, for --to official, one store.
        out: Folder to write.
        to: What to write.
        teacher: Of the vectors in the tars: datacompdr, dfndr, or NAME:WIDTH:SCALE for each in their order.
        carry: Which other members go along into a store: all, all but images, or none.
        form: Container of the embeddings in official tars; unset: pth.gz for bfloat16, else npz.
        operations: Room for the operations of one augmentation.
        strict: Stop at the first sample that cannot be used.
        workers: Processes; the output is the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from mobileclip.reinforcement.convert import official_to_store, store_to_official
    from mobileclip.reinforcement.sample import parse_teachers

    require_at_least(1, workers=workers)
    if not path:
        raise InputError("no input; name official tars, or a store with --to official")
    if not 1 <= operations <= 16:
        raise InputError(f"--operations: {operations} is not from 1 to 16; the released sets have 2")
    with progress_bar(None, "convert", "shards") as progress:
        if to == "store":
            report = official_to_store(
                list(path),
                out,
                teachers=parse_teachers(teacher),
                carry=carry,
                num_operations=operations,
                strict=strict,
                workers=workers,
                engine=engine,
                resume=resume,
                overwrite=overwrite,
                progress=progress,
            )
        else:
            if len(path) > 1:
                raise InputError("--to official: takes one store; convert each into a folder of its own")
            report = store_to_official(
                path[0],
                out,
                form=form,
                workers=workers,
                engine=engine,
                resume=resume,
                overwrite=overwrite,
                progress=progress,
            )
    emit(asdict(report), report.to_text(), as_json=json)
