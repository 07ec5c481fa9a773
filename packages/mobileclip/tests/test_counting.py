"""Sizes of the published models: every parameter, and every published digit of their multiply-adds."""

import functools

import pytest
import torch
from mobileclip.architectures import ARCHITECTURES
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.counting import MultiplyAdds, count_multiply_adds, count_parameters
from mobileclip.models.folding import fold
from mobileclip.models.image_encoder import ImageEncoder, build_image_encoder
from torch import Tensor, nn
from torch.nn import functional

# image parameters in training, folded; text, folded (counted independently)
PARAMETERS = {
    "MobileCLIP-S0": (11_406_464, 11_356_992, 42_441_216, 42_435_072),
    "MobileCLIP-S1": (21_541_120, 21_460_544, 63_428_096, 63_428_096),
    "MobileCLIP-S2": (35_814_720, 35_702_480, 63_428_096, 63_428_096),
    "MobileCLIP-B": (86_348_544, 86_348_544, 63_428_096, 63_428_096),
    "MobileCLIP2-S0": (11_406_464, 11_356_992, 63_428_096, 63_428_096),
    "MobileCLIP2-S2": (35_814_720, 35_702_480, 63_428_096, 63_428_096),
    "MobileCLIP2-B": (86_348_544, 86_348_544, 63_428_096, 63_428_096),
    "MobileCLIP2-S3": (125_235_648, 125_074_272, 123_650_304, 123_650_304),
    "MobileCLIP2-S4": (321_784_832, 321_569_664, 123_650_304, 123_650_304),
    "MobileCLIP2-L-14": (303_966_976, 303_966_976, 123_650_304, 123_650_304),
}

# in 1e9, norms counted; the last three without the products inside attention (counted independently)
IMAGE_MULTIPLY_ADDS = {
    "MobileCLIP-S0": "2.389",
    "MobileCLIP-S1": "4.667",
    "MobileCLIP-S2": "7.845",
    "MobileCLIP-B": "17.728",
    "MobileCLIP2-S3": "14.80",
    "MobileCLIP2-S4": "27.74",
    "MobileCLIP2-L-14": "77.83",
}
TEXT_MULTIPLY_ADDS = {"MobileCLIP-S0": "1.320", "MobileCLIP-S1": "2.985", "MobileCLIP-B": "2.985"}


@functools.cache
def on_meta(name: str) -> ImageTextModel:
    with torch.device("meta"):
        return ImageTextModel(ARCHITECTURES[name]).eval()


@functools.cache
def folded_image_encoder(name: str) -> ImageEncoder:
    return fold(on_meta(name).image_encoder, form="official")


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_published_encoders_have_the_published_number_of_parameters(name: str) -> None:
    model = on_meta(name)
    image, _, text, text_folded = PARAMETERS[name]
    assert count_parameters(model.image_encoder) == image
    assert count_parameters(model.text_encoder) == text
    assert count_parameters(fold(model.text_encoder, form="official")) == text_folded


@pytest.mark.parametrize("name", IMAGE_MULTIPLY_ADDS)
def test_folded_image_encoders_have_the_published_number_of_parameters(name: str) -> None:
    assert count_parameters(folded_image_encoder(name)) == PARAMETERS[name][1]


@pytest.mark.parametrize("name", ["MobileCLIP-S0", "MobileCLIP-B"])
def test_the_form_of_open_clip_has_a_bias_more(name: str) -> None:
    architecture = ARCHITECTURES[name]
    with torch.device("meta"):
        encoder = build_image_encoder(architecture.image, architecture.embed_dim, head_bias=True)
    assert count_parameters(encoder) == PARAMETERS[name][0] + 512


@pytest.mark.parametrize("name", IMAGE_MULTIPLY_ADDS)
def test_folded_image_encoders_have_the_published_multiply_adds(name: str) -> None:
    encoder = folded_image_encoder(name)
    size = encoder.image_size
    found = count_multiply_adds(encoder, torch.empty(1, 3, size, size, device="meta"))
    fused = name in ("MobileCLIP2-S3", "MobileCLIP2-S4", "MobileCLIP2-L-14")
    value = found.with_norms_without_attention if fused else found.with_norms
    digits = len(IMAGE_MULTIPLY_ADDS[name].split(".")[1])
    assert f"{value / 1e9:.{digits}f}" == IMAGE_MULTIPLY_ADDS[name]


@pytest.mark.parametrize("name", TEXT_MULTIPLY_ADDS)
def test_text_encoders_have_the_published_multiply_adds(name: str) -> None:
    encoder = fold(on_meta(name).text_encoder, form="official")
    found = count_multiply_adds(encoder, torch.zeros(1, 77, dtype=torch.int64, device="meta"))
    assert f"{found.with_norms / 1e9:.3f}" == TEXT_MULTIPLY_ADDS[name]


class Hand(nn.Module):
    """A depthwise and a dense convolution, a linear layer, a product, an attention and both norms."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, (3, 5), padding=(1, 2), groups=4)
        self.norm = nn.BatchNorm2d(4)
        self.dense = nn.Conv2d(4, 6, 2, stride=2)
        self.layer_norm = nn.LayerNorm(6)
        self.linear = nn.Linear(6, 10)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.dense(self.norm(self.depthwise(images)))
        tokens = self.linear(self.layer_norm(maps.flatten(2).transpose(1, 2)))
        mixed = functional.scaled_dot_product_attention(tokens, tokens[:, :3], tokens[:, :3])
        return mixed @ torch.ones(10, 2, device=images.device)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_multiply_adds_equal_those_counted_by_hand(device: str) -> None:
    # given: 2 images of 8 x 6, so 4 x 3 = 12 tokens
    module = Hand().eval().to(device)
    images = torch.ones(2, 4, 8, 6, device=device)

    # when
    found = count_multiply_adds(module, images)

    # then
    assert found == MultiplyAdds(
        convolutions=2 * (4 * 8 * 6 * 15 + 6 * 12 * 4 * 4),
        linear=2 * (12 * 6 * 10 + 12 * 10 * 2),
        attention=2 * (12 * 3 * 10) * 2,
        norms=2 * (2 * 4 * 8 * 6 + 5 * 12 * 6),
    )
    assert found.total == found.convolutions + found.linear + found.attention
    assert found.with_norms == found.total + found.norms
    assert found.with_norms_without_attention == found.with_norms - found.attention


def test_multiply_adds_do_not_depend_on_how_attention_is_fused() -> None:
    architecture = ARCHITECTURES["MobileCLIP-Tiny"]
    encoder = build_image_encoder(architecture.image, architecture.embed_dim).eval()
    images = torch.rand(2, 3, 64, 64)
    on_cpu = count_multiply_adds(encoder, images)
    assert on_cpu == count_multiply_adds(encoder.to("meta"), images.to("meta"))
    # two images, 2 x 2 places, 128 channels, two products
    assert on_cpu.attention == 2 * 4 * 4 * 128 * 2


def test_a_product_that_is_not_counted_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"multiply-adds of .*einsum.* are not counted"):
        count_multiply_adds(lambda rows: torch.einsum("ij,kj->ik", rows, rows), torch.ones(2, 3))
