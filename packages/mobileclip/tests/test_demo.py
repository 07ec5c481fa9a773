"""The demonstration and the generated pairs that it is made of."""

import io
import json
from pathlib import Path

import pytest
from mobileclip.commands.demo import demo
from mobileclip.data.generated import (
    all_scenes,
    described,
    generate_pairs,
    write_labelled_parquet,
    write_parquet,
    write_tar,
)
from mobileclip.evaluation.datasets import open_labelled_images
from mobileclip.experiment import demonstration
from mobileclip.experiment.demonstration import STEPS, DemoSizes, demonstrate, finish
from mobileclip.experiment.demonstration_page import to_document, to_page, to_text
from mobileclip.experiment.small_teachers import WORDS, train_teachers
from mobileclip.reinforcement.teacher import Teacher
from PIL import Image
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import open_pairs
from toolkit_shared.randomness import stream

TINY = DemoSizes(
    num_pairs=24,
    teacher_pairs=24,
    teacher_steps=3,
    steps=2,
    batch_size=8,
    num_augmentations=2,
    num_synthetic=2,
    latency_repeats=1,
)


def test_parquet_and_tar_hold_the_generated_pairs(tmp_path: Path) -> None:
    pairs = generate_pairs(5, seed=3, noise_ratio=0.5)

    write_parquet(tmp_path / "pairs.parquet", pairs)
    write_tar(tmp_path / "pairs.tar", pairs)

    for name in ("pairs.parquet", "pairs.tar"):
        source = open_pairs(tmp_path / name)
        found = [source[index] for index in range(len(source))]
        assert [(one.key, one.image, one.captions) for one in found] == [
            (one.key, one.image, one.captions) for one in pairs
        ]


def test_the_first_pairs_do_not_depend_on_the_count_and_all_images_open() -> None:
    few, many = generate_pairs(3, seed=1), generate_pairs(30, seed=1)

    assert few == many[:3]
    assert generate_pairs(3, seed=2) != few
    assert {Image.open(io.BytesIO(one.image)).size for one in many} == {(96, 72), (72, 96), (88, 88)}


def test_without_noise_captions_are_the_truth_and_with_it_a_share_is_not() -> None:
    clean, noisy = generate_pairs(72, seed=0), generate_pairs(72, seed=0, noise_ratio=0.7)

    assert [pair.captions for pair in clean] == [(pair.scene.caption,) for pair in clean]
    assert {pair.scene for pair in clean} == set(all_scenes())
    wrong = sum(pair.captions != (pair.scene.caption,) for pair in noisy)
    assert 36 < wrong < 63


def test_a_captioner_without_errors_tells_the_truth_in_known_words() -> None:
    scene = all_scenes()[5]

    assert described(scene, 2, 0.0, stream(0, "here")) == [scene.caption] * 2
    assert {word for one in all_scenes() for word in one.caption.split()} <= set(WORDS)


def test_labels_of_the_zero_shot_table_are_colour_and_shape(tmp_path: Path) -> None:
    pairs = generate_pairs(10, seed=0)
    write_labelled_parquet(tmp_path / "zero-shot.parquet", pairs)

    dataset = open_labelled_images(tmp_path / "zero-shot.parquet")

    assert [dataset.classnames[one.label] for one in dataset.read(Losses())] == [
        f"{pair.scene.colour} {pair.scene.shape}" for pair in pairs
    ]


def test_small_teachers_are_teachers_and_the_seed_decides_them() -> None:
    pairs = generate_pairs(12, seed=0)

    first, again, other = (train_teachers(pairs, ["one"], seed=seed, steps=2)[0] for seed in (0, 0, 1))

    assert isinstance(first, Teacher)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    rows = first.embed_texts(["a red circle", "a blue cross on sand"])
    assert rows.shape == (2, first.width)
    assert (rows**2).sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)


@pytest.mark.slow
def test_the_demonstration_finds_what_was_planted_and_writes_its_page(tmp_path: Path) -> None:
    steps: list[int] = []

    found = demonstrate(tmp_path / "demo", sizes=TINY, progress=steps.append)
    path = finish(found, to_page(found, 0))

    assert sum(steps) == STEPS
    assert found.problems == []
    assert found.clean.clean
    assert {key for fault in found.planted.faults for key in fault.keys} == set(found.exchanged)
    assert len(found.exchanged) == demonstration.EXCHANGED
    assert set(found.parity) == {"image", "text"}
    assert max(found.folding.values()) < 1e-5
    page = path.read_text()
    assert page.count("data:image/png") == 2
    assert page.count("data:image/svg+xml") == 3
    assert (tmp_path / "demo/manifest.json").exists()
    assert "exchanged" in to_text(found)
    json.dumps(to_document(found))


def test_a_negative_seed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--seed: -1 is negative; give 0 or more$"):
        demo(out=tmp_path / "demo", seed=-1)
