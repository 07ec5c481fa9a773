"""The command that names what images show, among labels."""

from pathlib import Path


def classify(
    *images: str,
    model: str,
    checkpoint: str | None = None,
    labels: str | None = None,
    labels_file: Path | None = None,
    templates: str = "photo",
    top: int = 5,
    image_field: str | None = None,
    folded: bool = True,
    random_weights: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int = 2,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Name what images show, among labels, with probabilities.

    The probabilities of all labels sum to 1, whether or not one of them fits.

    Args:
        images: Images, folders, Parquet files, shards (.tar) or tables of paths.
        model: Name, JSON file or saved folder of a model.
        checkpoint: Weights: a file of any dialect, or a tag of open_clip.
        labels: What to choose from, as in: cat,dog,"red car".
        labels_file: The same, one a line.
        templates: Prompts around a label: photo ("a photo of a {}."), imagenet (OpenAI's 80), or a file.
        top: Labels shown for each image.
        image_field: Column of the image, where its name is not a usual one; in shards its extension.
        folded: Merge the branches of training first, for speed.
        random_weights: Go without a checkpoint, to try things out.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images, or prompts, given to the model at once.
        workers: Threads that decode images.
        strict: Stop at the first image that cannot be used.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.losses import Losses
    from toolkit_shared.pairs import open_pairs

    from mobileclip.evaluation.embedding import load_trained_encoders
    from mobileclip.evaluation.labelling import classify_images, named_templates, read_labels

    require_at_least(1, top=top, batch_size=batch_size, workers=workers)
    names = read_labels(labels, labels_file)
    prompts = named_templates(templates)
    losses = Losses(strict=strict)
    source = open_pairs(images, image_field=image_field, require_captions=False, losses=losses)
    encoders = load_trained_encoders(
        model, checkpoint=checkpoint, random_weights=random_weights, device=device, folded=folded
    )
    found = classify_images(
        encoders,
        source,
        names,
        templates=prompts,
        top=top,
        batch_size=batch_size,
        workers=workers,
        losses=losses,
    )
    lines = []
    for image in found:
        lines.append(image.path)
        lines += [f"  {probability:6.1%}  {label}" for label, probability in image.labels]
    if losses.lost:
        lines += ["", losses.to_text()]
        lines += [
            f"  {one['place']}: {one['reason']}" + (f" ({one['detail']})" if one["detail"] else "")
            for one in losses.examples
        ]
    document = {
        "images": [
            {**asdict(image), "labels": [{"label": name, "probability": p} for name, p in image.labels]}
            for image in found
        ],
        "losses": losses.to_json(),
    }
    emit(document, "\n".join(lines), as_json=json)
