"""The transforms of images: equal to open_clip's to the bit, and unmixed."""

import re

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from mobileclip.architectures import ARCHITECTURES, OPENAI_MEAN, OPENAI_STD, Preprocessing
from mobileclip.preprocessing import draw_crop, evaluation_transform, image_to_tensor, training_transform
from PIL import Image
from toolkit_shared.randomness import stream

NAMES = ["MobileCLIP-S0", "MobileCLIP-B", "MobileCLIP2-S2", "MobileCLIP2-S3", "MobileCLIP2-L-14"]
SIZES = [(301, 200), (200, 301), (31, 640), (256, 256), (257, 511), (3, 2)]


def photograph(size: tuple[int, int], seed: int = 0) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_gives_open_clips_bits(name: str) -> None:
    from open_clip.transform import image_transform

    architecture = ARCHITECTURES[name]
    settings, size = architecture.preprocessing, architecture.image.image_size
    ours = evaluation_transform(size, settings)
    peer = image_transform(
        size,
        is_train=False,
        mean=settings.mean,
        std=settings.std,
        resize_mode="shortest",
        interpolation=settings.interpolation,
    )
    for image in map(photograph, SIZES):
        assert torch.equal(ours(image), peer(image))


@pytest.mark.parametrize("name", ["MobileCLIP-S0", "MobileCLIP2-S3"])
def test_training_gives_open_clips_bits_under_the_same_seed(name: str) -> None:
    from open_clip.transform import image_transform

    settings = ARCHITECTURES[name].preprocessing
    ours = training_transform(256, settings)
    peer = image_transform(256, is_train=True, mean=settings.mean, std=settings.std)
    for seed, size in enumerate(SIZES):
        torch.manual_seed(seed)
        expected = peer(photograph(size))
        torch.manual_seed(seed)
        assert torch.equal(ours(photograph(size)), expected)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "MobileCLIP-Tiny"])
def test_published_settings_are_those_of_open_clips_tags(name: str) -> None:
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    settings = ARCHITECTURES[name].preprocessing
    for tag in list_pretrained_tags_by_model(name):
        peer = get_pretrained_cfg(name, tag)
        assert peer["resize_mode"] == "shortest"
        assert tuple(peer["mean"]) == settings.mean
        assert tuple(peer["std"]) == settings.std
        assert peer["interpolation"] == settings.interpolation


def test_black_is_zero_and_white_is_one_for_s0_but_not_for_s3() -> None:
    black, white = (Image.new("RGB", (40, 40), color) for color in ("black", "white"))
    plain = evaluation_transform(32, ARCHITECTURES["MobileCLIP-S0"].preprocessing)
    assert torch.equal(plain(black), torch.zeros(3, 32, 32))
    assert torch.equal(plain(white), torch.ones(3, 32, 32))
    normalised = evaluation_transform(32, ARCHITECTURES["MobileCLIP2-S3"].preprocessing)
    expected = -torch.tensor(OPENAI_MEAN) / torch.tensor(OPENAI_STD)
    torch.testing.assert_close(normalised(black), expected[:, None, None].expand(3, 32, 32))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
def test_other_kinds_of_images_become_three_channels(mode: str) -> None:
    image = Image.new("I;16", (50, 40), 1000) if mode == "I;16" else photograph((50, 40)).convert(mode)
    tensor = evaluation_transform(32, Preprocessing())(image)
    assert tensor.shape == (3, 32, 32)
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor, evaluation_transform(32, Preprocessing())(image.convert("RGB")))


def test_the_image_itself_stays_as_it_is() -> None:
    image = photograph((40, 30))
    before = image.tobytes()
    evaluation_transform(16, Preprocessing(mean=OPENAI_MEAN, std=OPENAI_STD))(image)
    image_to_tensor(image, Preprocessing(mean=OPENAI_MEAN, std=OPENAI_STD))
    assert image.tobytes() == before


def test_a_generator_alone_decides_the_crop() -> None:
    transform, image = training_transform(32, Preprocessing(), scale=(0.1, 1.0)), photograph((90, 60))
    first, again, other = (transform(image, stream(3, "crop", index)) for index in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@hypothesis.given(
    st.integers(1, 900), st.integers(1, 900), st.integers(0, 99), st.sampled_from([(0.08, 1.0), (0.9, 1.0)])
)
def test_crops_lie_within_the_image(width: int, height: int, index: int, scale: tuple[float, float]) -> None:
    top, left, crop_height, crop_width = draw_crop((width, height), stream(0, "crop", index), scale=scale)
    assert 0 <= top <= top + crop_height <= height
    assert 0 <= left <= left + crop_width <= width
    assert crop_height > 0
    assert crop_width > 0


def test_crops_have_the_areas_and_shapes_that_are_asked_for() -> None:
    boxes = [draw_crop((1000, 1000), stream(0, "crop", index), scale=(0.2, 0.4)) for index in range(400)]
    areas = np.array([height * width for _, _, height, width in boxes]) / 1e6
    ratios = np.array([width / height for _, _, height, width in boxes])
    assert areas.min() > 0.199
    assert areas.max() < 0.401
    assert abs(areas.mean() - 0.3) < 0.01
    assert ratios.min() > 0.74
    assert ratios.max() < 1.34
    assert abs(np.log(ratios).mean()) < 0.03


def test_a_sliver_is_cropped_in_the_middle_with_an_allowed_shape() -> None:
    assert draw_crop((1000, 10), stream(0, "crop")) == (0, 493, 10, 13)
    assert draw_crop((10, 1000), stream(0, "crop")) == (493, 0, 13, 10)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("scale (0.5, 1.5) is no interval within 0 to 1")):
        training_transform(32, Preprocessing(), scale=(0.5, 1.5))
    with pytest.raises(ValueError, match=re.escape("ratio (2, 1) is no interval of positive numbers")):
        training_transform(32, Preprocessing(), ratio=(2, 1))
    with pytest.raises(ValueError, match="interpolation 'nearest' is neither bilinear nor bicubic"):
        training_transform(32, Preprocessing(), interpolation="nearest")
