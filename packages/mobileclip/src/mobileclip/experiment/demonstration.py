"""The whole way once: pairs, teachers, a reinforced store, its check, two trainings, export and search."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import claim_folder, finish_folder, write_text
from toolkit_shared.errors import MissingExtra
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import open_pairs
from toolkit_shared.randomness import stream
from toolkit_shared.threads import one_thread

from mobileclip import __version__
from mobileclip.architectures import ARCHITECTURES
from mobileclip.data.generated import (
    GROUNDS,
    GeneratedPair,
    all_scenes,
    described,
    generate_pairs,
    write_labelled_parquet,
    write_parquet,
    write_tar,
)
from mobileclip.experiment.small_teachers import AUGMENTATION, SmallTeacher, train_teachers
from mobileclip.models.architecture_file import architecture_to_json
from mobileclip.reinforcement.build import BuildReport, Pairs, build_reinforced
from mobileclip.reinforcement.build_part import Recipe
from mobileclip.reinforcement.captioner import read_file_captioner
from mobileclip.reinforcement.verify import verify_reinforced
from mobileclip.reinforcement.verify_report import VerifyReport

KIND = "mobileclip demo"
STEPS = 8
"""How often `demonstrate` calls its progress."""
PLAIN, REINFORCED = "plain", "reinforced"
TEACHERS = ("first", "second")
EXCHANGED = 8
QUERIES = ("a red circle on grass", "a blue cross on sand", "a yellow triangle on water")
TOP = 6
# captions always have a ground, so a prompt without one would be new to the student
TEMPLATES = tuple(f"a {{}} on {ground}" for ground in GROUNDS)
STUDENT = "student.json"


@dataclass(frozen=True, kw_only=True)
class DemoSizes:
    """Sizes of the demonstration.

    Attributes:
        num_pairs: Training pairs.
        teacher_pairs: Pairs of the teachers, others than those.
        teacher_steps: Optimizer steps of a teacher.
        steps: Optimizer steps of a student.
        batch_size: Pairs of a step.
        num_augmentations: Stored for each image.
        num_synthetic: Synthetic captions of each image.
        caption_error_ratio: How often the captioner has a word of the scene wrong.
        noise_ratio: Fraction of the real captions that are wrong or say little.
        lr: Highest learning rate of a student.
        image_size: Side of the student's images; half of MobileCLIP-Tiny's, which halves the time.
        context_length: Tokens of the student's captions.
        latency_repeats: Rounds in which the encoders are timed.
    """

    num_pairs: int = 432
    teacher_pairs: int = 720
    teacher_steps: int = 300
    steps: int = 110
    batch_size: int = 32
    lr: float = 4e-3
    num_augmentations: int = 4
    num_synthetic: int = 3
    caption_error_ratio: float = 0.15
    noise_ratio: float = 0.7
    image_size: int = 32
    context_length: int = 16
    latency_repeats: int = 5


@dataclass(kw_only=True)
class Demonstration:
    """What the demonstration found; the figures of the report.

    Attributes:
        out: Its folder.
        sizes: As they were.
        build: What `dr build` reported.
        clean: What `dr verify` said of the store.
        planted: What it said with some images exchanged in the pairs.
        exchanged: Keys of those images.
        losses: By arm, the training loss of every step.
        scores: By arm and teacher, zero-shot accuracy and recalls, 0..1.
        num_test: Images of the tests.
        folding: Largest relative difference that folding makes, by encoder.
        parity: By encoder, the largest relative difference of ONNX from the model; empty without the extra.
        latencies: Rows of `evaluation.latency`, as JSON values.
        missing_extra: Why there is no export; "" where there is one.
        found: By query, the keys that the reinforced student found, the nearest first.
        problems: What was not as it should be.
    """

    out: Path
    sizes: DemoSizes
    build: BuildReport
    clean: VerifyReport
    planted: VerifyReport
    exchanged: tuple[str, ...]
    losses: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    num_test: int = 0
    folding: dict[str, float] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)
    latencies: list[dict[str, Any]] = field(default_factory=list)
    missing_extra: str = ""
    found: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def demonstrate(
    out: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    sizes: DemoSizes | None = None,
    progress: Callable[[int], None] | None = None,
) -> Demonstration:
    """Run the demonstration in the folder `out`; nothing is downloaded.

    Args:
        out: Folder to fill: train.parquet, test.tar, zero-shot.parquet, captions.jsonl, student.json, store/,
            runs/, onnx/.
        seed: Of the pairs, the teachers and the students.
        overwrite: Begin anew in the folder of an earlier demonstration.
        sizes: How large everything is.
        progress: Called with 1 after each of `STEPS` parts.

    Raises:
        InputError: the folder holds something else, or the extra `train` is not installed.
    """
    out, sizes = Path(out), sizes or DemoSizes()

    def advance() -> None:
        if progress is not None:
            progress(1)

    claim_folder(out, kind=KIND, config={"seed": seed, "sizes": vars(sizes)}, overwrite=overwrite)
    # layers this small gain nothing from a second thread, which on a busy machine costs ten times the time
    with one_thread():
        return _demonstrate(out, seed, sizes, overwrite, advance)


def _demonstrate(
    out: Path, seed: int, sizes: DemoSizes, overwrite: bool, advance: Callable[[], None]
) -> Demonstration:
    train, test = write_data(out, sizes, seed)
    write_student(out / STUDENT, sizes)
    advance()
    teachers = train_teachers(
        generate_pairs(sizes.teacher_pairs, seed=seed, prefix="t"),
        TEACHERS,
        seed=seed,
        steps=sizes.teacher_steps,
    )
    advance()
    report = build_reinforced(
        Pairs(path=str(out / "train.parquet")),
        out / "store",
        load_teachers=lambda: teachers,
        load_captioner=lambda: read_file_captioner(out / "captions.jsonl"),
        recipe=Recipe(
            num_augmentations=sizes.num_augmentations,
            num_synthetic_captions=sizes.num_synthetic,
            seed=seed,
            augmentation=AUGMENTATION,
        ),
        overwrite=overwrite,
    )
    advance()
    found = _verified(out, report, train, teachers, sizes)
    advance()
    for arm in (PLAIN, REINFORCED):
        found.losses[arm] = train_student(out, arm, sizes, seed, overwrite=overwrite)
        advance()
    _evaluate(found, test, teachers)
    advance()
    _export(found, overwrite=overwrite)
    advance()
    found.problems += problems_of(found)
    return found


def finish(found: Demonstration, page: str) -> Path:
    """Write the report's page and seal the folder; the page's path."""
    path = found.out / "index.html"
    write_text(path, page)
    if (found.out / "job.json").exists():
        finish_folder(found.out, {"schema": 1, "toolkit_version": __version__})
    return path


def write_data(out: Path, sizes: DemoSizes, seed: int) -> tuple[list[GeneratedPair], list[GeneratedPair]]:
    """The training pairs with noisy captions, and two tests, in the real formats; train and test."""
    train = generate_pairs(sizes.num_pairs, seed=seed, noise_ratio=sizes.noise_ratio, prefix="p")
    test = generate_pairs(2 * len(all_scenes()), seed=seed, prefix="e")
    write_parquet(out / "train.parquet", train)
    # every scene once, for with two images of a scene a caption has two right answers
    write_tar(out / "test.tar", test[: len(all_scenes())])
    write_labelled_parquet(out / "zero-shot.parquet", test)
    lines = []
    for pair in train:
        rng = stream(seed, f"captioner of {pair.key}")
        texts = described(pair.scene, sizes.num_synthetic, sizes.caption_error_ratio, rng)
        lines.append(json.dumps({"key": pair.key, "captions": texts}))
    write_text(out / "captions.jsonl", "\n".join([*lines, ""]))
    return train, test


def write_student(path: Path, sizes: DemoSizes) -> None:
    """The architecture of both students as a JSON file: MobileCLIP-Tiny, smaller still."""
    tiny = ARCHITECTURES["MobileCLIP-Tiny"]
    student = replace(
        tiny,
        image=replace(tiny.image, image_size=sizes.image_size),
        text=replace(tiny.text, layers=1, context_length=sizes.context_length),
    )
    write_text(path, json.dumps(architecture_to_json(student), indent=1) + "\n")


def train_student(out: Path, arm: str, sizes: DemoSizes, seed: int, *, overwrite: bool) -> list[float]:
    """Train a student in runs/ARM, with the store or without; the loss of every step."""
    from toolkit_shared.errors import require

    require("lightning", toolkit="mobileclip", extra="train")
    from mobileclip.settings import OptimizationSettings
    from mobileclip.training.fit import RunSettings, fit

    folder = out / "runs" / arm
    fit(
        out / "train.parquet",
        folder,
        RunSettings(
            model=str(out / STUDENT),
            optimization=OptimizationSettings(
                steps=sizes.steps,
                batch_size=sizes.batch_size,
                lr=sizes.lr,
                warmup_steps=max(1, sizes.steps // 10),
                seed=seed,
            ),
        ),
        reinforcement=out / "store" if arm == REINFORCED else None,
        device="cpu",
        overwrite=overwrite,
    )
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [float(json.loads(line)["loss"]) for line in lines]


def problems_of(found: Demonstration) -> list[str]:
    """What was not as it should be."""
    problems = []
    if not found.clean.clean:
        names = ", ".join(fault.name for fault in found.clean.faults)
        problems.append(f"dr verify found faults in a clean store: {names}")
    # an image whose partner was not among the rows that could be compared is known as a stranger only
    named = [
        fault for fault in found.planted.faults if fault.name in ("exchanged images", "unmatched images")
    ]
    if {key for fault in named for key in fault.keys} != set(found.exchanged):
        problems.append("dr verify did not name exactly the images that were exchanged")
    problems += [
        f"folding changes the {tower} features by {difference:.1e}"
        for tower, difference in found.folding.items()
        if difference > 1e-4
    ]
    problems += [
        f"the ONNX {tower} encoder differs by {difference:.1e}"
        for tower, difference in found.parity.items()
        if difference > 1e-3
    ]
    return problems


def _verified(
    out: Path,
    report: BuildReport,
    train: Sequence[GeneratedPair],
    teachers: Sequence[SmallTeacher],
    sizes: DemoSizes,
) -> Demonstration:
    """The store looked at beside its pairs, and beside pairs in which a few images were exchanged."""
    moved = list(train)
    # images of one size and another scene, so that sizes alone would not tell
    for place in range(0, 3 * EXCHANGED, 6):
        first, second = train[place], train[place + 3]
        moved[place] = GeneratedPair(first.key, second.image, first.captions, second.scene)
        moved[place + 3] = GeneratedPair(second.key, first.image, second.captions, first.scene)
    exchanged = tuple(a.key for a, b in zip(train, moved, strict=True) if a.image != b.image)
    write_parquet(out / "exchanged.parquet", moved)
    clean, planted = (
        verify_reinforced(out / "store", Pairs(path=str(out / name)), teachers=teachers, rows=rows)
        for name, rows in (("train.parquet", 64), ("exchanged.parquet", len(train)))
    )
    return Demonstration(
        out=out, sizes=sizes, build=report, clean=clean, planted=planted, exchanged=exchanged
    )


def _evaluate(found: Demonstration, test: Sequence[GeneratedPair], teachers: Sequence[SmallTeacher]) -> None:
    """Scores of both students, and what the reinforced one finds for a few queries."""
    from mobileclip.embedding.searching import top_matches
    from mobileclip.evaluation.datasets import open_labelled_images
    from mobileclip.evaluation.features import StoredImage, encode_images, encode_texts, load_encoders
    from mobileclip.evaluation.retrieval import evaluate_retrieval
    from mobileclip.evaluation.zero_shot import evaluate_zero_shot

    dataset = open_labelled_images(found.out / "zero-shot.parquet")
    found.num_test = len(test)
    for arm in (PLAIN, REINFORCED):
        encoders = load_encoders(str(found.out / "runs" / arm / "model"))
        losses = Losses()
        retrieval = evaluate_retrieval(encoders, open_pairs(found.out / "test.tar"), losses=losses)
        zero_shot = evaluate_zero_shot(encoders, dataset, TEMPLATES)
        found.scores[arm] = {
            "zero-shot top-1": float(zero_shot.metrics["acc1"] or 0),
            "image recall@1": float(retrieval.metrics["image_retrieval_recall@1"] or 0),
            "image recall@5": float(retrieval.metrics["image_retrieval_recall@5"] or 0),
        }
    stored = [StoredImage(pair.image, pair.key, pair.key) for pair in test]
    keys, rows = encode_images(encoders, stored, losses=Losses())
    places, _ = top_matches(rows, encode_texts(encoders, QUERIES), top=TOP)
    found.found = {
        query: [keys[place] for place in row] for query, row in zip(QUERIES, places.tolist(), strict=True)
    }


def _export(found: Demonstration, *, overwrite: bool) -> None:
    """Fold the reinforced student, write it as ONNX where the extra is installed, and time the encoders."""
    from mobileclip.evaluation.latency import measure_latency
    from mobileclip.export.onnx import export_onnx
    from mobileclip.models.difference import relative_differences
    from mobileclip.models.factory import create_model
    from mobileclip.models.folding import fold

    model = create_model(found.out / "runs" / REINFORCED / "model")
    found.folding = {
        str(name): float(value) for name, value in relative_differences(model, fold(model)).items()
    }
    runtimes: list[Any] = ["torch", "torch-folded"]
    try:
        export = export_onnx(
            model, found.out / "onnx", name=STUDENT.removesuffix(".json"), weights="demo", overwrite=overwrite
        )
    except MissingExtra as error:
        found.missing_extra = str(error)
    else:
        found.parity = parity_by_tower(export.as_dict())
        runtimes.append("onnx")
    rows = measure_latency(model, runtimes=runtimes, repeats=found.sizes.latency_repeats)
    found.latencies = [row.as_dict() for row in rows]


def parity_by_tower(export: Mapping[str, Any]) -> dict[str, float]:
    """The largest relative difference of each exported encoder."""
    return {row["tower"]: float(row["relative_error"]) for row in export["parity"]}
