"""Replay: bit-exact with the released code, drawn with torchvision's distribution, safe at other sizes."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_photographs import photograph
from hypothesis import given
from hypothesis import strategies as st
from mobileclip.replay import (
    OPERATIONS,
    Augmentation,
    AugmentationSettings,
    CropOutside,
    draw_augmentation,
    draw_augmentations,
    normalize_image,
    parse_augmentations,
    replay,
)
from mobileclip.replay.drawing import magnitudes
from scipy.stats import chisquare, ks_2samp
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream
from torchvision import transforms as T
from torchvision.transforms import functional as F

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
GOLDEN = json.loads((Path(__file__).parent / "goldens" / "replay.json").read_text())
WHOLE = (0, 0, 100, 100)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def test_replay_gives_the_pixels_of_the_released_code_after_json() -> None:
    operations = set()
    for case in GOLDEN["cases"]:
        augmentation = Augmentation.from_json(json.loads(json.dumps(case["augmentation"])))
        image = photograph(case["image"], tuple(case["image_size"]))
        view = replay(image, augmentation, size=case["size"])
        assert digest(np.asarray(view)) == case["pixels"], case
        assert digest(normalize_image(view, MEAN, STD).numpy()) == case["normalized"], case
        operations |= {OPERATIONS[index] for index, _ in augmentation.operations or ()}
    # a golden set that lacks an operation would not test it
    assert operations == set(OPERATIONS)
    assert any(case["augmentation"][1] is None for case in GOLDEN["cases"])


@pytest.mark.parametrize("index", range(len(OPERATIONS)))
def test_each_operation_is_torchvisions_at_either_sign(index: int) -> None:
    size, signed = magnitudes(AugmentationSettings())[index]
    image = photograph(index, (100, 100))
    for magnitude in {size, -size} if signed else {size}:
        view = replay(image, Augmentation(WHOLE, ((index, magnitude),)), size=224)
        plain = F.resized_crop(image, *WHOLE, [224, 224], T.InterpolationMode.BICUBIC, antialias=True)
        policy = T.RandAugment(num_ops=1, magnitude=9)
        policy._augmentation_space = lambda *_, i=index, m=magnitude: {
            OPERATIONS[i]: (torch.full((10,), m), False)
        }
        assert np.array_equal(np.asarray(view), np.asarray(policy(plain)))


def test_magnitudes_are_the_published_ones() -> None:
    found = dict(zip(OPERATIONS, magnitudes(AugmentationSettings()), strict=True))

    assert found["TranslateX"][0] == pytest.approx(30.453172, abs=1e-5)
    assert found["Posterize"] == (7.0, False)
    assert found["Solarize"] == (178.5, False)
    assert found["Rotate"] == (pytest.approx(9.0, rel=1e-6), True)
    assert found["Color"] == (pytest.approx(0.27, rel=1e-6), True)
    assert found["ShearY"] == (pytest.approx(0.09, rel=1e-6), True)
    wider = dict(zip(OPERATIONS, magnitudes(AugmentationSettings(size=256)), strict=True))
    assert wider["TranslateY"][0] == pytest.approx(34.80, abs=5e-3)


def test_magnitudes_and_order_are_torchvisions_to_the_bit() -> None:
    for size in (224, 256):
        space = T.RandAugment()._augmentation_space(31, (size, size))
        expected = [(v[9].item() if v.ndim else 0.0, signed) for v, signed in space.values()]
        assert tuple(space) == OPERATIONS
        assert list(magnitudes(AugmentationSettings(size=size))) == expected


def test_a_list_and_a_json_string_of_augmentations_are_the_same() -> None:
    entries = [[[1, 2, 30, 40], [[3, -30.453172], [0, 0.0]]], [[0, 0, 5, 5], None]]

    assert parse_augmentations(json.dumps(entries)) == parse_augmentations(entries)
    assert [augmentation.to_json() for augmentation in parse_augmentations(entries)] == entries


def test_a_skipped_randaugment_is_the_crop_alone() -> None:
    image = photograph(1, (100, 100))

    view = replay(image, Augmentation((10, 20, 50, 60), None), size=32)

    expected = F.resized_crop(image, 10, 20, 50, 60, [32, 32], T.InterpolationMode.BICUBIC)
    assert np.array_equal(np.asarray(view), np.asarray(expected))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (5, "is not [crop, operations]"),
        ([[0, 0, 1, 1], None, True], "only a random resized crop with RandAugment can be read"),
        ([None, None], "is not [top, left, height, width]"),
        ([[0, 0, 0, 4], None], "no box with an area"),
        ([[0, 0.5, 4, 4], None], "0.5 is no whole number"),
        ([[0, 0, 4, 1e300], None], "no whole number"),
        ([[0, 0, 4, 4], [[14, 0.0]]], "14 is no index of the 14 operations"),
        ([[0, 0, 4, 4], [["Rotate", 9]]], "'Rotate' is no index"),
        ([[0, 0, 4, 4], [[5, float("nan")]]], "nan is no magnitude"),
        ([[0, 0, 4, 4], [[5]]], "is not [operation, magnitude]"),
    ],
)
def test_a_wrong_augmentation_is_refused_with_what_is_wrong(entry: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Augmentation.from_json(entry)
    assert words in str(caught.value)


def test_a_crop_that_leaves_the_image_is_refused_because_it_was_resized() -> None:
    with pytest.raises(CropOutside, match="leaves the image of 100 x 100 pixels; the image was resized"):
        replay(photograph(0, (100, 100)), Augmentation((0, 60, 50, 60), None))


def test_drawing_depends_on_seed_key_and_number_alone() -> None:
    torch.manual_seed(1)
    first = draw_augmentations("a", 5, (320, 240), seed=3)
    torch.manual_seed(2)
    np.random.seed(9)

    assert draw_augmentations("a", 8, (320, 240), seed=3)[:5] == first
    assert draw_augmentations("b", 5, (320, 240), seed=3) != first
    assert draw_augmentations("a", 5, (320, 240), seed=4) != first
    assert len(set(first)) == 5


@pytest.mark.parametrize("size", [(320, 240), (90, 400), (7, 5)])
def test_crops_have_torchvisions_distribution(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    width, height = size
    blank = torch.zeros(3, height, width)
    theirs = np.array(
        [T.RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)]
    )
    generator = stream(0, "crops")
    ours = np.array([draw_augmentation(size, generator).crop for _ in range(3000)])

    for column in range(4):
        assert ks_2samp(theirs[:, column], ours[:, column]).pvalue > 0.001, column
    for measure in (lambda c: c[:, 2] * c[:, 3], lambda c: c[:, 3] / c[:, 2]):
        assert ks_2samp(measure(theirs), measure(ours)).pvalue > 0.001
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()


def test_operations_and_signs_are_uniform_and_apart() -> None:
    generator = stream(0, "operations")
    drawn = [draw_augmentation((64, 64), generator).operations for _ in range(4000)]

    counts = np.zeros((14, 14))
    for first, second in drawn:
        counts[first[0], second[0]] += 1
    assert chisquare(counts.sum(1)).pvalue > 0.001
    assert chisquare(counts.ravel()).pvalue > 0.001
    signs = Counter((index, np.sign(m)) for steps in drawn for index, m in steps if index in (1, 4, 5, 9))
    assert chisquare(list(signs.values())).pvalue > 0.001
    assert len(signs) == 8
    assert {m for steps in drawn for index, m in steps if index == 10} == {7.0}


def test_randaugment_is_skipped_as_often_as_asked() -> None:
    settings = AugmentationSettings(probability=0.25)
    drawn = draw_augmentations("k", 2000, (64, 64), settings=settings)

    assert 0.2 < np.mean([augmentation.operations is not None for augmentation in drawn]) < 0.3


def test_official_geometry_moves_by_pixels_and_corrected_by_the_same_fraction() -> None:
    image = photograph(2, (256, 256))
    augmentation = Augmentation((0, 0, 256, 256), ((3, 30.453172), (0, 0.0)))

    black = {
        geometry: int(
            (np.asarray(replay(image, augmentation, size=256, geometry=geometry)).sum((0, 2)) == 0).sum()
        )
        for geometry in ("official", "corrected")
    }

    assert black == {"official": 30, "corrected": 34}
    at_224 = [
        replay(image, augmentation, geometry=geometry).tobytes() for geometry in ("official", "corrected")
    ]
    assert at_224[0] == at_224[1]


def test_a_resized_image_is_replayed_with_a_scaled_crop() -> None:
    augmentation = Augmentation((100, 50, 200, 300), ((5, 9.0),))

    assert augmentation.fit_to((512, 384), (256, 192)) == Augmentation((50, 25, 100, 150), ((5, 9.0),))
    assert augmentation.fit_to((512, 384), (512, 384)) is augmentation
    with pytest.raises(InputError, match="256 x 256 pixels: has another aspect than the stored 512 x 384"):
        augmentation.fit_to((512, 384), (256, 256))


@given(
    st.tuples(st.integers(8, 600), st.integers(8, 600)),
    st.floats(0.1, 3),
    st.integers(0, 1000),
)
def test_a_scaled_crop_stays_inside(size: tuple[int, int], scale: float, seed: int) -> None:
    new = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    fitted = draw_augmentation(size, stream(seed, "fit")).fit_to(size, new)

    fitted.require_inside(*new)
    assert min(fitted.crop[2:]) >= 1


def test_resolution_safe_replay_is_near_the_replay_of_the_stored_image() -> None:
    ramp = np.mgrid[0:384, 0:512]
    stored = F.to_pil_image(
        np.stack([ramp[0] // 2, ramp[1] // 2, (ramp[0] + ramp[1]) // 4], 2).astype(np.uint8)
    )
    small = stored.resize((256, 192))
    augmentation = draw_augmentations("ramp", 1, (512, 384))[0]
    augmentation = Augmentation(augmentation.crop, None)

    near = np.asarray(replay(small, augmentation.fit_to((512, 384), (256, 192)))).astype(int)

    assert np.abs(near - np.asarray(replay(stored, augmentation)).astype(int)).max() <= 4


@pytest.mark.parametrize(("mean", "std"), [(MEAN, STD), ((0.0,) * 3, (1.0,) * 3)])
def test_normalising_by_table_is_to_tensor_and_normalize_to_the_bit(mean: tuple, std: tuple) -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    image = F.to_pil_image(pixels)

    expected = F.normalize(F.to_tensor(image), mean, std)

    assert torch.equal(normalize_image(image, mean, std), expected)
    assert normalize_image(photograph(0, (30, 20)), mean, std).shape == (3, 20, 30)


def test_impossible_settings_are_refused() -> None:
    for wrong in ({"scale": (0.5, 0.1)}, {"ratio": (0.0, 1.0)}, {"magnitude": 31}, {"probability": 2.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AugmentationSettings(**wrong)
