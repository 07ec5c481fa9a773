"""The command that turns images or texts into unit vectors."""

from pathlib import Path
from typing import Literal


def embed(
    *inputs: str,
    model: str,
    checkpoint: str | None = None,
    out: Path = Path("emb.npy"),
    texts: Path | None = None,
    image_field: str | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    folded: bool = True,
    random_weights: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int = 2,
    strict: bool = False,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Turn images or texts into unit vectors: a .npy file, with a line a row beside it in .jsonl.

    A run that was killed goes on where it stopped. What cannot be used is left out, named and counted.

    Args:
        inputs: Images, folders, Parquet files, shards (.tar) or tables (.csv, .tsv, .jsonl) of paths.
        model: Name, JSON file or saved folder of a model.
        checkpoint: Weights: a file of any dialect, or a tag of open_clip.
        out: File of the vectors; .jsonl (keys) and .json (manifest) are written beside it.
        texts: Instead of images: a file with a text a line.
        image_field: Column of the image, where its name is not a usual one; in shards its extension.
        dtype: Of the file.
        folded: Merge the branches of training first; the vectors are the same to rounding, in less time.
        random_weights: Go without a checkpoint, to try things out.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images, or texts, given to the model at once.
        workers: Threads that decode images; the vectors are the same for any number.
        strict: Stop at the first image that cannot be used.
        resume: Go on with what an earlier run left.
        overwrite: Replace what an earlier run wrote.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import InputError
    from toolkit_shared.losses import Losses
    from toolkit_shared.pairs import open_pairs
    from toolkit_shared.progress import progress_bar

    from mobileclip.evaluation.embedding import embed_images, embed_texts, load_trained_encoders, read_texts

    if bool(inputs) == (texts is not None):
        raise InputError("give images, folders or shards, or --texts with a file of lines, and not both")
    require_at_least(1, batch_size=batch_size, workers=workers)
    losses = Losses(strict=strict)
    lines = read_texts(texts) if texts is not None else []
    source = None
    if texts is None:
        source = open_pairs(inputs, image_field=image_field, require_captions=False, losses=losses)
    encoders = load_trained_encoders(
        model, checkpoint=checkpoint, random_weights=random_weights, device=device, folded=folded
    )
    notes = {"model": model, "checkpoint": checkpoint, "random_weights": random_weights}
    with progress_bar(
        len(lines) if source is None else len(source), "embed", "texts" if source is None else "images"
    ) as advance:
        if source is None:
            report = embed_texts(
                encoders,
                lines,
                out,
                dtype=dtype,
                batch_size=batch_size,
                notes=notes,
                resume=resume,
                overwrite=overwrite,
                progress=advance,
            )
        else:
            report = embed_images(
                encoders,
                source,
                out,
                dtype=dtype,
                batch_size=batch_size,
                workers=workers,
                losses=losses,
                notes=notes,
                resume=resume,
                overwrite=overwrite,
                progress=advance,
            )
    emit({"out": out, **report.manifest, "was_complete": report.was_complete}, report.to_text(), as_json=json)
