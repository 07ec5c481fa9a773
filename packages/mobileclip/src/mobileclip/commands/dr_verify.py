"""The command that looks for faults in reinforced data."""

from pathlib import Path
from typing import Literal


def dr_verify(
    path: Path,
    /,
    *,
    pairs: str | None = None,
    teacher: tuple[str, ...] = (),
    stored_teacher: tuple[str, ...] = (),
    rows: int = 64,
    seed: int = 0,
    tolerance: float = 2e-5,
    geometry: Literal["official", "corrected"] | None = None,
    hashes: bool = True,
    image_field: str | None = None,
    caption_field: str | None = None,
    batch_size: int = 32,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    json: bool = False,
) -> int:
    """Check stored reinforcements, and embed random ones again; exit code 1 when a fault is found.

    Without --pairs only what the files say of themselves is checked, without --teacher no row is embedded.

    Args:
        path: Store, or folder of official tars.
        pairs: What it was built from.
        teacher: Of the build, in its order, as in dr build; may be repeated.
        stored_teacher: Of tars without a manifest: datacompdr, dfndr, or NAME:WIDTH:SCALE for each.
        rows: Samples that are compared with their pairs and embedded again.
        seed: Of their choice.
        tolerance: By how much the cosine of a good row may be below 1; 1e-3 for half-precision teachers.
        geometry: Of the replay; unset: the manifest's, or the published one.
        hashes: Compare files with the manifest's hashes, which reads them whole.
        image_field: Column or extension of the images, where it is not a usual one.
        caption_field: Column, field or extension of the captions, where it is not a usual one.
        batch_size: Images, or captions, that a teacher is given at once.
        device: Where to run the teachers.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from mobileclip.models.teachers import load_teachers
    from mobileclip.reinforcement.build import Pairs
    from mobileclip.reinforcement.sample import parse_teachers
    from mobileclip.reinforcement.verify import verify_reinforced

    require_at_least(0, rows=rows, seed=seed)
    require_at_least(1, batch_size=batch_size)
    if not 0 < tolerance < 1:
        raise InputError(f"--tolerance: {tolerance:g} is no difference of cosines; give one between 0 and 1")
    if not path.exists() and not any(sign in path.name for sign in "*?[{"):
        raise InputError(f"{path}: no such file or folder; check the path")
    source = None
    if pairs is not None:
        source = Pairs(path=pairs, image_field=image_field, caption_field=caption_field)
    with progress_bar(None, "verify", "samples") as progress:
        report = verify_reinforced(
            path,
            source,
            teachers=load_teachers(teacher, device) if teacher else (),
            stored_teachers=parse_teachers(stored_teacher) if stored_teacher else (),
            rows=rows,
            seed=seed,
            tolerance=tolerance,
            geometry=geometry,
            batch_size=batch_size,
            hashes=hashes,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
    return 0 if report.clean else 1
