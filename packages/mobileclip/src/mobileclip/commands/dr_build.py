"""The command that runs teachers and a captioner over pairs, once."""

from pathlib import Path
from typing import Literal


def dr_build(
    pairs: str,
    /,
    *,
    out: Path,
    teacher: tuple[str, ...],
    teacher_scale: tuple[float, ...] = (),
    captioner: str = "none",
    augmentations: int = 10,
    synthetic_captions: int | None = None,
    seed: int = 0,
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16",
    form: Literal["store", "official"] = "store",
    geometry: Literal["official", "corrected"] = "official",
    with_images: bool = False,
    image_field: str | None = None,
    caption_field: str | None = None,
    batch_size: int = 32,
    part_size: int = 256,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    strict: bool = False,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Store captions, augmentations and teachers' embeddings of image-text pairs.

    Exit code 1 when no pair could be used.

    Args:
        pairs: Parquet, tars, CSV or TSV of paths, or a folder of images with captions.
        out: Folder to write.
        teacher: open_clip:NAME/TAG, open_clip:NAME@FILE, mobileclip:FOLDER; may be repeated. Or datacompdr
            or dfndr for the published pairs.
        teacher_scale: Logit scale of each teacher; unset: the published or the model's own.
        captioner: open_clip:coca_ViT-L-14/TAG, transformers:FOLDER, file:CAPTIONS.jsonl, or none.
        augmentations: Augmented views of each image.
        synthetic_captions: Captions of the captioner for each image; unset: 5, or 0 without a captioner.
        seed: Of augmentations and captions.
        dtype: Of the stored embeddings.
        form: Memory-mapped store, or tars that the published loaders read.
        geometry: Translations in pixels at any size, as published, or scaled with the teacher's size.
        with_images: Carry the image files along.
        image_field: Column or extension of the images, where it is not a usual one.
        caption_field: Column, field or extension of the captions, where it is not a usual one.
        batch_size: Images, or captions, that a teacher is given at once.
        part_size: Pairs in a part; what a killed build has to do again.
        device: Where to run the models.
        workers: Processes, each with its own models; the bytes are the same for any number.
        engine: Where the processes run.
        strict: Stop at the first pair that cannot be used instead of counting it.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
    """
    from functools import partial
    from math import inf

    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from mobileclip.models.captioners import load_captioner
    from mobileclip.models.devices import usable_device
    from mobileclip.models.teachers import load_teachers
    from mobileclip.reinforcement.build import Pairs, build_reinforced
    from mobileclip.reinforcement.build_part import PRECISIONS, Recipe

    if synthetic_captions is None:
        synthetic_captions = 0 if captioner == "none" else 5
    require_at_least(
        1, augmentations=augmentations, batch_size=batch_size, part_size=part_size, workers=workers
    )
    if any(not 0 < scale < inf for scale in teacher_scale):
        given = ", ".join(f"{scale:g}" for scale in teacher_scale)
        raise InputError(f"--teacher-scale {given}: not positive; give one such as 100 for each teacher")
    require_at_least(0, seed=seed, synthetic_captions=synthetic_captions)
    place = str(usable_device(device))
    source = Pairs(path=pairs, image_field=image_field, caption_field=caption_field)
    with progress_bar(len(source.open()), "reinforce", "pairs") as progress:
        report = build_reinforced(
            source,
            out,
            load_teachers=partial(load_teachers, teacher, place, teacher_scale),
            load_captioner=partial(load_captioner, captioner, place),
            recipe=Recipe(
                num_augmentations=augmentations,
                num_synthetic_captions=synthetic_captions,
                seed=seed,
                precision=PRECISIONS[dtype],
                batch_size=batch_size,
                geometry=geometry,
                with_images=with_images,
            ),
            form=form,
            part_size=part_size,
            workers=workers,
            engine=engine,
            device=place,
            resume=resume,
            overwrite=overwrite,
            strict=strict,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
    return 0 if report.num_samples else 1
