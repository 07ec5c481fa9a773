"""The image encoders: the released sizes and names, the official classes' numbers, timm's, and training."""

import importlib.util
import itertools
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mobileclip.architectures import (
    ARCHITECTURES,
    Architecture,
    ConvolutionalTower,
    TextTower,
    VisionTransformer,
)
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.difference import relative_difference
from mobileclip.models.folding import fold
from mobileclip.models.image_encoder import build_image_encoder
from mobileclip.models.scrambling import scramble
from mobileclip.models.weights import to_open_clip_state_dict
from torch import nn

TESTS = Path(__file__).parent
GOLDENS = json.loads((TESTS / "goldens" / "image_encoder.json").read_text(encoding="utf-8"))["models"]
WORKER = TESTS.parents[2] / "benchmarks" / "mobileclip" / "workers" / "official_models.py"
TINY = ARCHITECTURES["MobileCLIP-Tiny"].image
assert isinstance(TINY, ConvolutionalTower)

FIVE_STAGES = ConvolutionalTower(
    depths=(1, 2, 1, 1, 2),
    widths=(16, 32, 64, 128, 256),
    mlp_ratio=4,
    mixers=("rep", "rep", "rep", "attention", "attention"),
    downsample_squeeze_excite=(False,) * 5,
    attention_norm="layer",
    stem_scale_branches=False,
    image_size=64,
)
CONV_STEM = VisionTransformer(width=64, layers=2, heads=2, patch_size=16, stem="conv", image_size=64)
PATCH_STEM = VisionTransformer(width=64, layers=2, heads=2, patch_size=14, stem="patch", image_size=56)
SMALL_TEXT = TextTower(width=32, layers=1, heads=1, causal=False, vocabulary=50)


def small(image: ConvolutionalTower | VisionTransformer, compat: str = "official") -> ImageTextModel:
    architecture = Architecture(embed_dim=24, image=image, text=SMALL_TEXT)
    model = ImageTextModel(architecture, compat=compat, head_bias=True).eval()  # type: ignore[arg-type]
    scramble(model)
    return model


def trunk_weights(model: ImageTextModel) -> dict[str, torch.Tensor]:
    state = to_open_clip_state_dict(model)
    prefix = "visual.trunk."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def difference(model: nn.Module, peer: nn.Module, size: int) -> float:
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return relative_difference(model(images), peer.eval()(images))


@pytest.fixture(scope="module")
def official_inputs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("official_models", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden_differences(name: str, inputs: ModuleType, *, folded: bool) -> tuple[float, float]:
    architecture, golden = ARCHITECTURES[name], GOLDENS[name.replace("-", "_").lower()]
    encoder = build_image_encoder(architecture.image, architecture.embed_dim).eval()
    scramble(encoder, prefix="image_encoder.")
    if folded:
        encoder = fold(encoder)
    with torch.inference_mode():
        features = encoder(torch.from_numpy(inputs.inputs_for(encoder.image_size)[0]))
    expected = torch.tensor(golden["features"])
    norms = torch.tensor(golden["norms"])
    return (
        relative_difference(features[:, : expected.shape[1]], expected),
        relative_difference(features.norm(dim=1), norms),
    )


# the official code


@pytest.mark.parametrize(
    "name",
    [
        "MobileCLIP-S0",
        pytest.param("MobileCLIP-S1", marks=pytest.mark.slow),
        pytest.param("MobileCLIP-S2", marks=pytest.mark.slow),
        "MobileCLIP-B",
    ],
)
def test_features_equal_those_that_the_official_classes_computed(
    name: str, official_inputs: ModuleType
) -> None:
    first, norms = golden_differences(name, official_inputs, folded=False)
    assert first < 3e-6  # of eight numbers out of 512, some of them small
    assert norms < 2e-6


def test_the_folded_features_of_s0_equal_those_that_the_official_classes_computed(
    official_inputs: ModuleType,
) -> None:
    first, norms = golden_differences("MobileCLIP-S0", official_inputs, folded=True)
    assert first < 3e-6
    assert norms < 2e-6


@pytest.mark.parametrize(
    "name",
    [
        "MobileCLIP-S0",
        pytest.param("MobileCLIP-S1", marks=pytest.mark.slow),
        pytest.param("MobileCLIP-S2", marks=pytest.mark.slow),
        "MobileCLIP-B",
    ],
)
def test_a_model_has_as_many_tensors_as_the_official_checkpoint(name: str) -> None:
    golden = GOLDENS[name.replace("-", "_").lower()]
    with torch.device("meta"):
        model = ImageTextModel(ARCHITECTURES[name])
    assert len(model.state_dict()) == golden["weights tensors"]
    assert len(fold(model, form="official").state_dict()) == golden["folded tensors"]


# timm


def test_four_stages_equal_timm() -> None:
    from timm.models.fastvit import FastVit, RepConditionalPosEnc

    model = small(TINY)
    peer = FastVit(
        layers=TINY.depths,
        embed_dims=TINY.widths,
        mlp_ratios=(TINY.mlp_ratio,) * 4,
        se_downsamples=TINY.downsample_squeeze_excite,
        pos_embs=(None, None, None, RepConditionalPosEnc),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention"),
        num_classes=24,
        lkc_use_act=True,
    )
    peer.load_state_dict(trunk_weights(model))
    assert difference(model.image_encoder, peer, 64) < 2e-6


def test_five_stages_equal_timm() -> None:
    from functools import partial

    from timm.layers import LayerNorm2d
    from timm.models.fastvit import FastVit, RepConditionalPosEnc

    model = small(FIVE_STAGES)
    peer = FastVit(
        layers=FIVE_STAGES.depths,
        embed_dims=FIVE_STAGES.widths,
        mlp_ratios=(FIVE_STAGES.mlp_ratio,) * 5,
        se_downsamples=FIVE_STAGES.downsample_squeeze_excite,
        downsamples=(False, True, True, True, True),
        pos_embs=(None, None, None, RepConditionalPosEnc, RepConditionalPosEnc),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention", "attention"),
        num_classes=24,
        lkc_use_act=True,
        stem_use_scale_branch=False,
        norm_layer=partial(LayerNorm2d, eps=1e-5),
    )
    peer.load_state_dict(trunk_weights(model))
    assert difference(model.image_encoder, peer, 64) < 2e-6


def timm_conv_stem() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer as TimmTransformer
    from timm.models.vision_transformer_hybrid import ConvStem, HybridEmbed

    stem = ConvStem(
        channels=(32, 32, 64), stride=(4, 2, 2), kernel_size=(4, 2, 2), padding=0, act_layer=nn.GELU
    )
    peer = TimmTransformer(
        img_size=64,
        embed_dim=64,
        depth=2,
        num_heads=2,
        no_embed_class=True,
        num_classes=24,
        embed_layer=lambda **given: HybridEmbed(
            stem, img_size=64, embed_dim=64, proj=False, dynamic_img_pad=given.get("dynamic_img_pad", False)
        ),
    )
    assert isinstance(peer, nn.Module)
    return peer


def test_the_conv_stem_equals_timm_in_the_compatible_form() -> None:
    model, peer = small(CONV_STEM, compat="open_clip"), timm_conv_stem()
    peer.load_state_dict(trunk_weights(model))
    assert difference(model.image_encoder, peer, 64) < 2e-6


def test_the_official_conv_stem_is_shifted_against_timm() -> None:
    model, peer = small(CONV_STEM), timm_conv_stem()
    peer.load_state_dict(trunk_weights(model))
    assert difference(model.image_encoder, peer, 64) > 5e-3


def test_the_patch_stem_equals_timm() -> None:
    from functools import partial

    from timm.models.vision_transformer import VisionTransformer as TimmTransformer

    model = small(PATCH_STEM)
    peer = TimmTransformer(
        img_size=56,
        patch_size=14,
        embed_dim=64,
        depth=2,
        num_heads=2,
        pre_norm=True,
        num_classes=24,
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
    )
    peer.load_state_dict(trunk_weights(model))
    assert difference(model.image_encoder, peer, 56) < 2e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("MobileCLIP2-S0", "fastvit_mci0"),
        ("MobileCLIP-S1", "fastvit_mci1"),
        ("MobileCLIP2-S2", "fastvit_mci2"),
        ("MobileCLIP2-S3", "fastvit_mci3"),
        ("MobileCLIP2-S4", "fastvit_mci4"),
        ("MobileCLIP2-B", "vit_base_mci_224"),
        ("MobileCLIP2-L-14", "vit_large_patch14_clip_224"),
    ],
)
def test_the_published_encoders_equal_timm(name: str, peer: str) -> None:
    import timm

    published = ARCHITECTURES[name]
    architecture = Architecture(embed_dim=published.embed_dim, image=published.image, text=SMALL_TEXT)
    model = ImageTextModel(architecture, compat="open_clip", head_bias=True).eval()
    scramble(model)
    theirs = timm.create_model(peer, num_classes=published.embed_dim)
    theirs.load_state_dict(trunk_weights(model))
    assert difference(model.image_encoder, theirs, published.image.image_size) < 2e-6


# what training and running need


def test_scrambling_leaves_no_weight_at_its_start() -> None:
    encoder = build_image_encoder(TINY, 24)
    fresh = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    scramble(encoder)
    same = [name for name, tensor in encoder.state_dict().items() if torch.equal(tensor, fresh[name])]
    assert all(name.endswith("num_batches_tracked") for name in same)


def test_the_projection_has_a_bias_only_where_the_released_one_has() -> None:
    assert build_image_encoder(TINY, 24).model.head.bias is None
    assert build_image_encoder(FIVE_STAGES, 24).model.head.bias is not None
    assert build_image_encoder(CONV_STEM, 24).model.classifier.bias is None
    assert build_image_encoder(PATCH_STEM, 24).model.classifier.bias is not None
    assert build_image_encoder(TINY, 24, head_bias=True).model.head.bias is not None


def test_a_transformer_refuses_images_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"images are 64x48, and the positions are for 64 pixels square"):
        build_image_encoder(CONV_STEM, 24)(torch.rand(1, 3, 64, 48))


@pytest.mark.parametrize("tower", [TINY, FIVE_STAGES, CONV_STEM])
def test_the_order_of_memory_does_not_change_features(tower: ConvolutionalTower | VisionTransformer) -> None:
    encoder = build_image_encoder(tower, 24).eval()
    scramble(encoder)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = encoder(images)
        found = encoder.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    assert relative_difference(found, expected) < 2e-6


@pytest.mark.parametrize("tower", [TINY, FIVE_STAGES, CONV_STEM])
def test_blocks_are_dropped_ever_more_often(tower: ConvolutionalTower | VisionTransformer) -> None:
    encoder = build_image_encoder(tower, 24, drop_path_ratio=0.3)
    ratios = [module.drop_path.p for module in encoder.modules() if hasattr(module, "drop_path")]
    steps = [after - before for before, after in itertools.pairwise(ratios)]
    assert ratios[0] == 0
    assert ratios[-1] == pytest.approx(0.3)
    assert steps == pytest.approx([0.3 / (len(ratios) - 1)] * len(steps))


def test_no_block_is_dropped_in_evaluation() -> None:
    encoder = build_image_encoder(TINY, 24, drop_path_ratio=0.9)
    scramble(encoder)
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    encoder.eval()
    with torch.inference_mode():
        assert torch.equal(encoder(images), encoder(images))
        encoder.train()
        assert not torch.equal(encoder(images), encoder(images))


@pytest.mark.parametrize("tower", [TINY, CONV_STEM])
def test_checkpointing_changes_neither_gradients_nor_batch_statistics(
    tower: ConvolutionalTower | VisionTransformer,
) -> None:
    # given
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def step(checkpointing: bool) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        encoder = build_image_encoder(tower, 24)
        scramble(encoder)
        encoder.set_grad_checkpointing(checkpointing)
        encoder(images).square().mean().backward()
        gradients = {name: value.grad for name, value in encoder.named_parameters() if value.grad is not None}
        return gradients, dict(encoder.named_buffers())

    # when
    plain_gradients, plain_statistics = step(False)
    gradients, statistics = step(True)

    # then
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-4, atol=1e-6)
    for name, statistic in statistics.items():
        torch.testing.assert_close(statistic, plain_statistics[name])


def test_every_weight_gets_a_gradient() -> None:
    for tower in (TINY, FIVE_STAGES, CONV_STEM, PATCH_STEM):
        encoder = build_image_encoder(tower, 24)
        scramble(encoder)
        size = encoder.image_size
        encoder(torch.rand(4, 3, size, size)).square().mean().backward()
        assert [name for name, value in encoder.named_parameters() if value.grad is None] == []
