"""The command that brings stored reinforcement and its images together."""

from pathlib import Path
from typing import Literal


def dr_join(
    reinforcement: Path,
    images: Path,
    /,
    *,
    out: Path,
    teacher: tuple[str, ...] = (),
    form: Literal["npz", "pth.gz"] | None = None,
    resized: Literal["refuse", "fit"] = "refuse",
    strict: bool = False,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Join reinforcement with the images that it was made for, by key.

    The published sets hold no images. Samples without an image, with a broken one or with one of another
    size are left out and counted; the manifest names the first of each.

    Args:
        reinforcement: A store, or official tars (a tar, a folder or a pattern).
        images: Images by key: tars, Parquet, a table or a folder.
        out: Folder of the shards.
        teacher: Of the vectors in official tars: datacompdr, dfndr, or NAME:WIDTH:SCALE for each.
        form: Container of the embeddings; unset: pth.gz for bfloat16, else npz.
        resized: Of an image resized with its aspect kept: leave it out, or scale the crop boxes.
        strict: Stop at the first sample that has no usable image.
        workers: Processes; the shards are the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.pairs import open_pairs
    from toolkit_shared.progress import progress_bar

    from mobileclip.reinforcement.join import join_images
    from mobileclip.reinforcement.sample import parse_teachers

    require_at_least(1, workers=workers)
    with progress_bar(None, "join", "shards") as progress:
        report = join_images(
            reinforcement,
            open_pairs(images, require_captions=False),
            out,
            teachers=parse_teachers(teacher) if teacher else (),
            form=form,
            resized=resized,
            strict=strict,
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    emit(asdict(report), report.to_text(), as_json=json)
