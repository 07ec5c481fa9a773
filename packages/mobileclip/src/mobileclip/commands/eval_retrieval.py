"""The command that measures the retrieval of images by captions, and of captions by images."""

from pathlib import Path


def eval_retrieval(
    pairs: Path,
    /,
    *,
    model: str,
    checkpoint: str | None = None,
    random_weights: bool = False,
    key: str | None = None,
    image_field: str | None = None,
    caption_field: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int = 2,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Recall at 1, 5 and 10 of images by captions and of captions by images, with intervals.

    Every caption is a query for its image, and every image for any of its captions. Ties count against the
    model.

    Args:
        pairs: Parquet file, shards, a table of paths, or a folder of images with captions.
        model: Name, JSON file or saved folder of a model.
        checkpoint: Weights: a file of any dialect, or a tag of open_clip.
        random_weights: Take random ones, to try things out.
        key: Name in the result file; by default that of the folder or file.
        image_field: Column of the image, where its name is not a usual one.
        caption_field: Column of the captions, where its name is not a usual one.
        out: Result file, to which a line is added.
        overwrite: Measure again what --out has, and replace it.
        strict: Stop at the first pair that cannot be used.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images, and captions, given to the model at once.
        workers: Threads that decode images.
        seed: Of the intervals.
        json: Print one JSON document.
    """
    from toolkit_shared.artifacts import require_place
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.losses import Losses
    from toolkit_shared.pairs import open_pairs
    from toolkit_shared.progress import progress_bar
    from toolkit_shared.zero_shot import append_row

    from mobileclip.evaluation.datacomp_tasks import find_task
    from mobileclip.evaluation.embedding import load_trained_encoders
    from mobileclip.evaluation.reports import existing_row, losses_text, metrics_text
    from mobileclip.evaluation.retrieval import evaluate_retrieval, retrieval_fingerprint, retrieval_row

    require_at_least(1, batch_size=batch_size, workers=workers)
    require_at_least(0, seed=seed)
    if out is not None:
        require_place(out)
    losses = Losses(strict=strict)
    source = open_pairs(pairs, image_field=image_field, caption_field=caption_field, losses=losses)
    encoders = load_trained_encoders(
        model, checkpoint=checkpoint, random_weights=random_weights, device=device
    )
    name = key or pairs.resolve().name.removesuffix(".parquet")
    task = find_task(name)
    mark = retrieval_fingerprint(encoders, source, (image_field, caption_field))
    row = existing_row(out, name if task is None else task.key, mark, overwrite=overwrite)
    if row is None:
        with progress_bar(len(source), f"search {name}", "images") as advance:
            result = evaluate_retrieval(
                encoders,
                source,
                losses=losses,
                batch_size=batch_size,
                workers=workers,
                seed=seed,
                progress=advance,
            )
        row = retrieval_row(result, encoders, name, mark)
        if out is not None:
            append_row(out, row, replace=overwrite)
    counts = f"{row.details['num_images']:,} images, {row.details['num_captions']:,} captions"
    lines = [*metrics_text(row, counts), *losses_text(row.details["left_out"])]
    if out is not None:
        lines.append(f"results: {out}")
    emit(row.document(), "\n".join(lines), as_json=json)
