"""Folding changes the form of a model and not what it computes."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mobileclip.architectures import ARCHITECTURES, ConvolutionalTower, VisionTransformer
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.difference import random_inputs, relative_difference, relative_differences
from mobileclip.models.folding import (
    FoldedConvolution,
    fold,
    fold_branches,
    fold_norm,
    folded_form,
    identity_kernel,
    is_folded,
    pad_kernel,
)
from mobileclip.models.image_encoder import build_image_encoder
from mobileclip.models.mci import AttentionBlock, ConditionalPositions, Downsampling
from mobileclip.models.mobileone import MobileOneBlock
from mobileclip.models.repmixer import RepMixer, RepMixerBlock
from mobileclip.models.scrambling import scramble
from mobileclip.models.vit import StemConvolution
from toolkit_shared.errors import InputError
from torch import Tensor, nn

# every kind of block; few words, for the table of words would take most of the time
_TINY = ARCHITECTURES["MobileCLIP-Tiny"]
VOCABULARY = 99
TINY = replace(_TINY, text=replace(_TINY.text, vocabulary=VOCABULARY))
assert isinstance(TINY.image, ConvolutionalTower)
CONV_STEM = VisionTransformer(width=64, layers=2, heads=2, patch_size=16, stem="conv", image_size=64)
PATCH_STEM = VisionTransformer(width=64, layers=2, heads=2, patch_size=16, stem="patch", image_size=64)


def tiny() -> ImageTextModel:
    model = ImageTextModel(TINY)
    scramble(model)
    return model


def images(channels: int, *, batch: int = 2, height: int = 9, width: int = 13) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64)


# the arithmetic


@pytest.mark.parametrize(("conv_bias", "bias"), [(None, -33.0), (2.0, -13.0)])
def test_a_batch_norm_folds_as_computed_by_hand(conv_bias: float | None, bias: float) -> None:
    # given: 3 x + c, then (. - 4) / sqrt(0.25) * 5 + 7, so 30 x + 10 c - 33
    conv, norm = nn.Conv2d(1, 1, 1, bias=conv_bias is not None), nn.BatchNorm2d(1, eps=0.05)
    with torch.no_grad():
        conv.weight.fill_(3.0)
        if conv.bias is not None and conv_bias is not None:
            conv.bias.fill_(conv_bias)
        for tensor, value in ((norm.running_mean, 4.0), (norm.running_var, 0.2), (norm.weight, 5.0)):
            assert tensor is not None
            tensor.fill_(value)
        norm.bias.fill_(7.0)

    # when
    folded = fold_norm(conv, norm)

    # then
    assert folded.weight.item() == pytest.approx(30.0)
    assert folded.bias.item() == pytest.approx(bias)


@given(groups=st.sampled_from([1, 2, 4]), kernel=st.sampled_from([(1, 1), (3, 3), (1, 11), (7, 7)]))
def test_the_identity_kernel_gives_back_its_input(groups: int, kernel: tuple[int, int]) -> None:
    maps = images(4)
    padding = (kernel[0] // 2, kernel[1] // 2)
    weight = identity_kernel(4, groups, kernel)
    assert torch.equal(nn.functional.conv2d(maps, weight, padding=padding, groups=groups), maps)


def test_a_padded_kernel_computes_the_same() -> None:
    maps, weight = images(3), images(3, batch=5, height=3, width=1)
    small = nn.functional.conv2d(maps, weight, padding=(1, 0))
    large = nn.functional.conv2d(maps, pad_kernel(weight, (7, 5)), padding=(3, 2))
    torch.testing.assert_close(large, small)


@given(
    kernel=st.sampled_from([(1, 1), (3, 3), (1, 11), (5, 3)]),
    stride=st.sampled_from([1, 2]),
    depthwise=st.booleans(),
    out_channels=st.sampled_from([4, 8]),
    scale_branch=st.booleans(),
)
def test_the_branches_of_a_block_are_one_convolution(
    kernel: tuple[int, int], stride: int, depthwise: bool, out_channels: int, scale_branch: bool
) -> None:
    # given
    groups = 4 if depthwise else 1
    block = MobileOneBlock(
        4, out_channels, kernel, stride=stride, groups=groups, scale_branch=scale_branch, activate=False
    )
    scramble(block)
    block = block.double().eval()
    padding = (kernel[0] // 2, kernel[1] // 2)

    # when
    weight, bias = fold_branches(block)
    found = nn.functional.conv2d(images(4), weight, bias, stride, padding, groups=groups)

    # then
    assert relative_difference(found, block(images(4))) < 1e-14


MODULES: dict[str, Callable[[], nn.Module]] = {
    "stem": lambda: MobileOneBlock(32, 16, (3, 3), stride=2),
    "expansion with gate": lambda: MobileOneBlock(32, 64, (3, 3), groups=32, squeeze_excite=True),
    "RepMixer": lambda: RepMixer(32, (3, 3)),
    "RepMixer over text": lambda: RepMixer(32, (1, 11)),
    "RepMixer block": lambda: RepMixerBlock(32, mlp_ratio=3),
    "RepMixer block over text": lambda: RepMixerBlock(
        32, mlp_ratio=4, mixer_kernel=(1, 11), feed_forward_kernel=(1, 11)
    ),
    "positions": lambda: ConditionalPositions(32),
    "downsampling": lambda: Downsampling(32, 64, squeeze_excite=False),
    "downsampling with gate": lambda: Downsampling(32, 64, squeeze_excite=True),
    "attention after batch norm": lambda: AttentionBlock(32, mlp_ratio=3, norm="batch"),
    "attention after layer norm": lambda: AttentionBlock(32, mlp_ratio=3, norm="layer"),
    "ViT stem": lambda: StemConvolution(32, 16, 4, padding=1, last=False, bias=False),
}


@pytest.mark.parametrize("form", ["official", "full"])
@pytest.mark.parametrize("name", MODULES)
def test_every_kind_of_module_folds_exactly(name: str, form: str) -> None:
    module = MODULES[name]()
    scramble(module)
    module = module.double().eval()
    maps = images(32)
    found = fold(module, form=form)(maps)  # type: ignore[type-var]
    assert relative_difference(found, module(maps)) < 1e-13


# models


@pytest.mark.parametrize("form", ["official", "full"])
def test_both_towers_of_a_model_fold_exactly(form: str) -> None:
    model = tiny()
    differences = relative_differences(model, fold(model, form=form))  # type: ignore[type-var]
    assert differences.keys() == {"image", "text"}
    assert max(differences.values()) < 2e-6


@pytest.mark.parametrize("tower", [CONV_STEM, PATCH_STEM])
def test_transformers_fold_exactly(tower: VisionTransformer) -> None:
    encoder = build_image_encoder(tower, 24)
    scramble(encoder)
    assert relative_differences(encoder, fold(encoder))["image"] < 2e-6


def test_the_full_form_has_no_batch_norm_and_no_layer_scale_left() -> None:
    folded = fold(tiny())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any("layer_scale" in name or "rbr" in name for name in folded.state_dict())


def test_the_official_form_keeps_the_norms_of_feed_forward_networks() -> None:
    folded = fold(tiny(), form="official")
    norms = [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(name.endswith(("convffn.conv.bn", ".norm")) for name in norms)
    assert len(norms) == 4 + 2 + 1  # feed-forward networks of images and of texts, and the attention's


def test_folding_further_is_folding_at_once() -> None:
    model = tiny()
    twice, once = fold(fold(model, form="official")), fold(model)
    assert_same_state(twice, once)


def test_folding_again_changes_nothing() -> None:
    for form in ("official", "full"):
        folded = fold(tiny(), form=form)  # type: ignore[type-var]
        assert_same_state(fold(folded, form=form), folded)  # type: ignore[type-var]


def test_folding_leaves_the_model_as_it_was() -> None:
    model = tiny().train()
    before = copy.deepcopy(model)
    folded = fold(model)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert_same_state(model, before)
    shared = {tensor.data_ptr() for tensor in model.state_dict().values() if tensor.numel()}
    assert not shared & {tensor.data_ptr() for tensor in folded.state_dict().values()}


def test_folding_in_training_mode_uses_the_running_statistics() -> None:
    model = tiny()
    assert_same_state(fold(model.train()), fold(model.eval()))


def test_a_folded_model_has_no_gradients_and_refuses_training_mode() -> None:
    folded = fold(tiny())
    assert not folded.training
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    with pytest.raises(InputError, match=r"^training: the model is folded, .*; load the checkpoint that it "):
        folded.train()
    with pytest.raises(InputError, match="the model is folded"):
        folded.image_encoder.train()
    folded.eval()


def test_the_form_of_a_model_is_known() -> None:
    model = tiny()
    assert folded_form(model) is None
    assert folded_form(fold(model, form="official")) == "official"
    assert folded_form(fold(model)) == "full"
    assert [is_folded(part) for part in (model, fold(model, form="official"), fold(model))] == [
        False,
        False,
        True,
    ]
    for tower in (CONV_STEM, PATCH_STEM):
        assert is_folded(fold(build_image_encoder(tower, 24)))


def test_folded_weights_load_into_a_folded_skeleton() -> None:
    model = tiny()
    folded, skeleton = fold(model), fold(ImageTextModel(TINY))
    skeleton.load_state_dict(folded.state_dict())
    assert max(relative_differences(folded, skeleton).values()) == 0


def test_a_folded_model_has_the_type_and_the_device_of_the_model() -> None:
    assert all(tensor.dtype == torch.float64 for tensor in fold(tiny().double()).state_dict().values())
    with torch.device("meta"):
        model = ImageTextModel(TINY)
    assert all(tensor.is_meta for tensor in fold(model).state_dict().values())


def test_the_features_do_not_depend_on_how_images_are_batched() -> None:
    encoder = fold(tiny()).image_encoder
    batch = random_inputs(encoder, num_inputs=5)
    with torch.inference_mode():
        together = encoder(batch)
        alone = torch.cat([encoder(image[None]) for image in batch])
    assert relative_difference(alone, together) < 2e-6


# the check


def test_the_check_passes_a_sound_model() -> None:
    assert is_folded(fold(tiny(), check=True))


def test_the_check_finds_statistics_that_are_not_finite() -> None:
    model = tiny()
    block = model.image_encoder.model.patch_embed[1]
    block.rbr_conv[0].bn.running_mean[3] = float("inf")
    with pytest.raises(
        InputError, match=r"^fold: image features differ by nan where 1e-05 is allowed; look "
    ):
        fold(model, check=True)


def test_the_check_finds_a_fold_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    from mobileclip.models import folding

    def wrong(positions: ConditionalPositions) -> FoldedConvolution:
        return FoldedConvolution("reparam_conv", positions.pe, nn.Identity(), nn.Identity())

    monkeypatch.setitem(folding._OFFICIAL, ConditionalPositions, wrong)
    with pytest.raises(InputError, match="fold: image features differ by"):
        fold(tiny(), check=True)


def test_random_texts_end_with_the_last_token() -> None:
    tokens = random_inputs(tiny().text_encoder, num_inputs=6, seed=3)
    ends = tokens.argmax(dim=1)
    assert (tokens.max(dim=1).values == VOCABULARY - 1).all()
    assert all((row[end + 1 :] == 0).all() for row, end in zip(tokens, ends, strict=True))
    assert len(set(ends.tolist())) > 1


def test_only_models_and_towers_have_features_to_compare() -> None:
    with pytest.raises(ValueError, match="Linear is no tower and has none"):
        relative_differences(nn.Linear(2, 2), nn.Linear(2, 2))


def assert_same_state(found: nn.Module, expected: nn.Module) -> None:
    ours, theirs = found.state_dict(), expected.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
