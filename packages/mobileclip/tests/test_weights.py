"""Checkpoints of every dialect: read, recognised, loaded to the bit, written back, or refused in one line."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from mobileclip.architectures import ARCHITECTURES, Architecture, ConvolutionalTower, TextTower
from mobileclip.architectures import VisionTransformer as VisionTransformerTower
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.factory import create_model
from mobileclip.models.folding import fold
from mobileclip.models.scrambling import scramble
from mobileclip.models.weights import (
    from_open_clip_state_dict,
    has_head_bias,
    load_weights,
    nearest_architecture,
    read_state_dict,
    to_official_state_dict,
    to_open_clip_state_dict,
)
from safetensors.torch import save_file
from toolkit_shared.errors import InputError
from torch import Tensor

TEXT = TextTower(width=64, layers=2, heads=1, causal=False, vocabulary=99)
FOUR_STAGES = ARCHITECTURES["MobileCLIP-Tiny"].image
assert isinstance(FOUR_STAGES, ConvolutionalTower)
FIVE_STAGES = dataclasses.replace(
    FOUR_STAGES,
    depths=(1, 1, 1, 1, 1),
    widths=(16, 32, 64, 128, 256),
    mixers=("rep", "rep", "rep", "attention", "attention"),
    downsample_squeeze_excite=(False,) * 5,
    attention_norm="layer",
    stem_scale_branches=False,
)
CONV_STEM = VisionTransformerTower(width=64, layers=2, heads=2, patch_size=16, stem="conv", image_size=64)
PATCH_STEM = dataclasses.replace(CONV_STEM, patch_size=14, stem="patch", image_size=56)

SMALL = {
    "four stages": Architecture(embed_dim=8, image=FOUR_STAGES, text=TEXT),
    "five stages": Architecture(embed_dim=8, image=FIVE_STAGES, text=TEXT),
    "conv stem": Architecture(embed_dim=8, image=CONV_STEM, text=TEXT),
    "patch stem": Architecture(embed_dim=8, image=PATCH_STEM, text=TEXT),
    "rep blocks": Architecture(
        embed_dim=8, image=FOUR_STAGES, text=dataclasses.replace(TEXT, rep_blocks=True)
    ),
}
IN_OPEN_CLIP = [name for name in SMALL if name != "rep blocks"]


def scrambled(name: str, *, head_bias: bool | None = None) -> ImageTextModel:
    model = ImageTextModel(SMALL[name], head_bias=head_bias).eval()
    scramble(model)
    return model


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("name", IN_OPEN_CLIP)
@pytest.mark.parametrize("head_bias", [True, None])
def test_open_clips_names_and_back_give_the_same_bits(name: str, head_bias: bool | None) -> None:
    model = scrambled(name, head_bias=head_bias)
    loaded = load_weights(to_open_clip_state_dict(model), SMALL[name], where="test")
    assert (loaded.dialect, loaded.folding) == ("open_clip", None)
    assert_same(loaded.model.state_dict(), model.state_dict())


@pytest.mark.parametrize("name", ["four stages", "conv stem", "rep blocks"])
def test_official_names_and_back_give_the_same_bits(name: str) -> None:
    model = scrambled(name)
    loaded = load_weights(to_official_state_dict(model), SMALL[name], where="test")
    assert (loaded.dialect, loaded.folding) == ("official", None)
    assert_same(loaded.model.state_dict(), model.state_dict())


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("form", ["official", "full"])
def test_a_folded_checkpoint_loads_into_a_model_folded_as_far(name: str, form: str) -> None:
    folded = fold(scrambled(name), form=form)  # type: ignore[arg-type]
    loaded = load_weights(folded.state_dict(), SMALL[name], where="test")
    assert_same(loaded.model.state_dict(), folded.state_dict())


def test_folded_weights_go_through_open_clips_names_as_well() -> None:
    folded = fold(scrambled("four stages"), form="official")
    state = to_open_clip_state_dict(folded)
    assert "visual.trunk.stages.1.downsample.proj.0.reparam_conv.weight" in state
    assert "visual.trunk.stages.3.pos_emb.reparam_conv.weight" in state
    loaded = load_weights(state, SMALL["four stages"], where="test")
    assert (loaded.dialect, loaded.folding) == ("open_clip", "official")
    assert_same(loaded.model.state_dict(), folded.state_dict())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("four stages", "MobileCLIP2-S0"),
        ("five stages", "MobileCLIP2-S3"),
        ("conv stem", "MobileCLIP-B"),
        ("patch stem", "MobileCLIP2-L-14"),
    ],
)
def test_published_models_have_open_clips_names_and_shapes(name: str, published: str) -> None:
    """Without the weights of either: both are built without memory for them."""
    import open_clip
    from open_clip.model import CustomTextCLIP

    configuration = open_clip.get_model_config(published)
    with torch.device("meta"):
        configuration.pop("custom_text")
        peer = CustomTextCLIP(**configuration).state_dict()
        own = to_open_clip_state_dict(ImageTextModel(ARCHITECTURES[published]))
    assert {k: tuple(v.shape) for k, v in own.items()} == {k: tuple(v.shape) for k, v in peer.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "MobileCLIP-S1",
        "MobileCLIP-B",
        "MobileCLIP2-S0",
        "MobileCLIP2-S2",
        "MobileCLIP2-S3",
        "MobileCLIP2-L-14",
    ],
)
def test_a_checkpoint_of_open_clip_gives_open_clips_features(name: str, tmp_path: Path) -> None:
    import open_clip

    peer = open_clip.create_model(name).eval()
    scramble(peer)
    torch.save(peer.state_dict(), tmp_path / "peer.pt")
    model = create_model(name, pretrained=tmp_path / "peer.pt", compat="open_clip")
    images = torch.rand(1, 3, model.architecture.image.image_size, model.architecture.image.image_size)
    tokens = open_clip.get_tokenizer(name)(["a photo of a cat", "two dogs beside a tree in the rain"])
    with torch.no_grad():
        for found, expected in (
            (model.encode_image(images), peer.encode_image(images)),
            (model.encode_text(tokens), peer.encode_text(tokens)),
        ):
            assert float((found - expected).norm() / expected.norm()) < 2e-6
        if name == "MobileCLIP-B":  # what open_clip computes is not what the weights were trained for
            faithful = create_model(name, pretrained=tmp_path / "peer.pt").encode_image(images)
            expected = peer.encode_image(images)
            assert float((faithful - expected).norm() / expected.norm()) > 5e-3
    assert_same(to_open_clip_state_dict(model), peer.state_dict())


def test_a_bias_of_zeros_in_the_image_projection_is_left_out() -> None:
    model = scrambled("four stages")
    state = to_open_clip_state_dict(model)
    assert not state["visual.trunk.head.fc.bias"].any()
    assert not has_head_bias(state, SMALL["four stages"])
    names = model.state_dict().keys()
    assert from_open_clip_state_dict(state, SMALL["four stages"], names).keys() == names
    # another one is kept under its own name, so that loading it into such a model is refused
    state["visual.trunk.head.fc.bias"] += 1
    kept = from_open_clip_state_dict(state, SMALL["four stages"], names)
    assert kept.keys() - names == {"visual.trunk.head.fc.bias"}


def test_another_bias_in_the_image_projection_is_kept_and_counts() -> None:
    model = scrambled("four stages")
    state = to_open_clip_state_dict(model)
    state["visual.trunk.head.fc.bias"] = torch.arange(8.0)
    loaded = load_weights(state, SMALL["four stages"], where="test").model
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        shift = loaded.encode_image(images) - model.encode_image(images)
    torch.testing.assert_close(shift, torch.arange(8.0).expand(2, 8), atol=1e-4, rtol=0)
    expected = "to_official_state_dict: image_encoder.model.head.bias is not zero, and the official classes"
    with pytest.raises(InputError, match=re.escape(expected)):
        to_official_state_dict(loaded)


def test_wrappers_and_prefixes_of_training_programs_are_taken_off(tmp_path: Path) -> None:
    state = scrambled("rep blocks").state_dict()
    wrapped = {"epoch": 3, "state_dict": {f"module._orig_mod.{name}": value for name, value in state.items()}}
    torch.save(wrapped, tmp_path / "wrapped.pt")
    assert_same(read_state_dict(tmp_path / "wrapped.pt"), state)


def test_safetensors_are_known_by_content_and_not_by_name(tmp_path: Path) -> None:
    state = scrambled("rep blocks").state_dict()
    save_file(state, tmp_path / "weights.pt")
    assert_same(read_state_dict(tmp_path / "weights.pt"), state)


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the checkpoint ran its code')",)


def test_files_that_hold_no_weights_are_refused_with_one_line(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "payload": _Payload()}, tmp_path / "pickled.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "noise.pt").write_bytes(b"no checkpoint at all")
    (tmp_path / "cut.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "epoch.pt")
    kinds = "a .safetensors file, or a .pt file of torch.save that holds tensors and plain values"
    weights_only = (
        "cannot be read as weights only: broken, or pickled objects beside the tensors; give " + kinds
    )
    lines = {
        "absent.pt": f"no such file; give a checkpoint: {kinds}",
        "empty.pt": f"is empty; give a checkpoint: {kinds}",
        "pickled.pt": weights_only,
        "noise.pt": weights_only,
        "cut.safetensors": "not a readable safetensors file",
        "list.pt": "holds list, not a state dict; save model.state_dict()",
        "epoch.pt": "holds no tensors; save model.state_dict()",
    }
    for name, line in lines.items():
        with pytest.raises(InputError) as caught:
            read_state_dict(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: {line}"), message
        assert "\n" not in message


def test_weights_of_something_else_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        load_weights({"conv1.weight": torch.zeros(1)}, SMALL["four stages"], where="resnet.pt")
    assert str(caught.value) == (
        "resnet.pt: no weights of a MobileCLIP model: the first name is 'conv1.weight'; expected names such "
        "as image_encoder.model... (official) or visual.trunk... (open_clip)"
    )


@pytest.mark.parametrize("dialect", ["official", "open_clip"])
def test_weights_of_another_model_are_refused_with_its_name(dialect: str) -> None:
    with torch.device("meta"):
        model = ImageTextModel(ARCHITECTURES["MobileCLIP-S1"])
    state = to_official_state_dict(model) if dialect == "official" else to_open_clip_state_dict(model)
    state = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in state.items()}
    assert nearest_architecture(state, dialect, None) == ("MobileCLIP-S1", 1.0)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        load_weights(state, SMALL["four stages"], where="s1.pt")
    message = str(caught.value)
    assert message.startswith(f"s1.pt: these {dialect} weights do not fit the architecture: ")
    assert message.endswith("nearest is MobileCLIP-S1 (100% of the names and shapes)")


def test_a_missing_an_unknown_and_a_misshapen_weight_are_named() -> None:
    state = scrambled("four stages").state_dict()
    del state["image_encoder.model.head.proj"]
    state["text_encoder.extra"] = torch.zeros(2)
    state["text_encoder.projection_layer"] = torch.zeros(64, 9)
    with pytest.raises(InputError) as caught:
        load_weights(state, SMALL["four stages"], where="broken.pt")
    assert str(caught.value) == (
        "broken.pt: these official weights do not fit the architecture: "
        "image_encoder.model.head.proj is missing; text_encoder.extra is none of the model's weights; "
        "text_encoder.projection_layer is 64 x 9 in the file and 64 x 8 in the model; "
        "the checkpoint is incomplete or altered; fetch or write it again"
    )


def test_models_without_a_form_in_the_other_dialect_are_refused() -> None:
    with pytest.raises(InputError, match="open_clip has no text encoder with rep blocks"):
        to_open_clip_state_dict(scrambled("rep blocks"))
    with pytest.raises(InputError, match="has no such image encoder"):
        to_official_state_dict(scrambled("five stages"))
    with pytest.raises(InputError, match="has no such image encoder"):
        to_official_state_dict(scrambled("patch stem"))
    folded = fold(scrambled("four stages"))
    for convert in (to_official_state_dict, to_open_clip_state_dict):
        with pytest.raises(InputError, match="convert the model before folding it"):
            convert(folded)


def test_the_causal_mask_that_old_checkpoints_hold_is_ignored() -> None:
    model = scrambled("four stages")
    state = to_open_clip_state_dict(model) | {"text.attn_mask": torch.zeros(77, 77)}
    assert_same(
        load_weights(state, SMALL["four stages"], where="test").model.state_dict(), model.state_dict()
    )
