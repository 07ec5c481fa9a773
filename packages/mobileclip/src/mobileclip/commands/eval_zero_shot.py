"""The command that classifies a dataset by the names of its classes."""

from pathlib import Path
from typing import Any


def eval_zero_shot(
    *data: Path,
    model: str,
    checkpoint: str | None = None,
    random_weights: bool = False,
    key: str | None = None,
    templates: str = "auto",
    classnames: Path | None = None,
    split: str = "test",
    out: Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int = 2,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Classify datasets without training: accuracies with intervals, and a line of a result file each.

    A dataset is a parquet file (image, label; names of the classes in its metadata), a folder with a folder
    for each class, or a folder of shards in CLIP_benchmark's layout. A dataset whose result is in --out
    already is not measured again.

    Args:
        data: Datasets.
        model: Name, JSON file or saved folder of a model.
        checkpoint: Weights: a file of any dialect, or a tag of open_clip.
        random_weights: Take random ones, to try things out.
        key: Name in the result file, as `vtab/pets`; by default that of the folder or file.
        templates: Prompts: auto (the dataset's own), photo, imagenet, or a file with one a line.
        classnames: File with the name of a class on each line.
        split: Part of a folder that is taken.
        out: Result file, to which lines are added.
        overwrite: Measure again what --out has, and replace it.
        strict: Stop at the first record that cannot be used.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images given to the model at once.
        workers: Threads that decode images.
        seed: Of the intervals.
        json: Print one JSON document.
    """
    from toolkit_shared.artifacts import require_place
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar
    from toolkit_shared.zero_shot import append_row

    from mobileclip.evaluation.datacomp_tasks import find_task
    from mobileclip.evaluation.datasets import open_labelled_images
    from mobileclip.evaluation.embedding import load_trained_encoders
    from mobileclip.evaluation.reports import classes_text, existing_row, losses_text, metrics_text
    from mobileclip.evaluation.zero_shot import (
        choose_templates,
        class_rows,
        evaluate_zero_shot,
        zero_shot_fingerprint,
        zero_shot_row,
    )

    if not data:
        raise InputError("data: none given; name a parquet file, a folder a class, or a folder of shards")
    if key is not None and len(data) > 1:
        raise InputError(f"--key: one name for {len(data)} datasets; give them one by one")
    require_at_least(1, batch_size=batch_size, workers=workers)
    require_at_least(0, seed=seed)
    if out is not None:
        require_place(out)
    datasets = [open_labelled_images(path, split=split, classnames=classnames) for path in data]
    encoders = load_trained_encoders(
        model, checkpoint=checkpoint, random_weights=random_weights, device=device
    )
    documents: list[dict[str, Any]] = []
    lines: list[str] = []
    for dataset in datasets:
        name = key or dataset.path.resolve().name.removesuffix(".parquet")
        task = find_task(name)
        prompts = choose_templates(templates, dataset)
        mark = zero_shot_fingerprint(encoders, dataset, prompts)
        row = existing_row(out, name if task is None else task.key, mark, overwrite=overwrite)
        classes = []
        if row is None:
            with progress_bar(dataset.size, f"classify {name}", "images") as advance:
                result = evaluate_zero_shot(
                    encoders,
                    dataset,
                    prompts,
                    task=task,
                    batch_size=batch_size,
                    workers=workers,
                    strict=strict,
                    seed=seed,
                    progress=advance,
                )
            row = zero_shot_row(result, encoders, name, mark, prompts)
            classes = class_rows(result, dataset.classnames)
            if out is not None:
                append_row(out, row, replace=overwrite)
        documents.append({**row.document(), "classes": classes})
        counts = f"{row.details['num_images']:,} images, {len(dataset.classnames):,} classes"
        lines += [*metrics_text(row, counts), *(classes_text(classes) if classes else [])]
        lines += losses_text(row.details["left_out"])
    if out is not None:
        lines.append(f"results: {out}")
    emit({"results": documents}, "\n".join(lines), as_json=json)
