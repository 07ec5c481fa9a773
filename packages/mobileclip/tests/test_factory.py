"""Models by name, file and folder, and the folder that holds one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mobileclip.architectures import ARCHITECTURES
from mobileclip.models import pretrained
from mobileclip.models.architecture_file import architecture_from_json, architecture_to_json
from mobileclip.models.factory import (
    create_model,
    create_model_and_transforms,
    from_pretrained,
    get_architecture,
    get_tokenizer,
    list_models,
    list_pretrained,
    save_pretrained,
)
from mobileclip.models.folding import folded_form
from mobileclip.models.scrambling import scramble
from PIL import Image
from toolkit_shared.errors import InputError

TINY = "MobileCLIP-Tiny"


@pytest.fixture
def tiny() -> Any:
    model = create_model(TINY)
    scramble(model)
    return model


def line(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_one_call_gives_a_model_and_both_transforms() -> None:
    model, preprocess_train, preprocess = create_model_and_transforms(TINY)
    image = Image.fromarray(np.arange(90 * 70 * 3, dtype=np.uint32).astype(np.uint8).reshape(90, 70, 3))
    images = torch.stack([preprocess(image), preprocess_train(image)])
    image_features, text_features, scale = model(images, get_tokenizer(TINY)(["a cat", "a dog", "a tree"]))
    assert image_features.shape == (2, 64)
    assert text_features.shape == (3, 64)
    torch.testing.assert_close(image_features.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(text_features.norm(dim=1), torch.ones(3))
    assert float(scale.detach()) == pytest.approx(1 / 0.07)
    assert not model.training


def test_the_scale_is_held_within_1_to_100(tiny: Any) -> None:
    for value, expected in ((9.0, 100.0), (-1.0, 1.0), (2.0, float(np.exp(2.0)))):
        with torch.no_grad():
            tiny.logit_scale.fill_(value)
        tiny.clamp_logit_scale_()
        assert float(tiny.logit_scale.detach().exp()) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["mobileclip_s0", "MobileCLIP-S0", "mobileclip-S0"])
def test_names_are_known_in_the_official_spelling_too(name: str) -> None:
    assert get_architecture(name) == ARCHITECTURES["MobileCLIP-S0"]


def test_the_models_and_weights_are_listed_with_open_clips_names() -> None:
    assert set(list_models()) == set(ARCHITECTURES)
    assert ("MobileCLIP-S0", "datacompdr") in list_pretrained()  # open_clip lacks this one
    assert ("MobileCLIP-B", "datacompdr_lt") in list_pretrained()
    assert ("MobileCLIP2-S4", "dfndr2b") in list_pretrained()


@pytest.mark.parametrize("folded", [False, True])
def test_a_saved_model_comes_back_to_the_bit(tiny: Any, folded: bool, tmp_path: Path) -> None:
    from mobileclip.models.folding import fold

    model = fold(tiny) if folded else tiny
    save_pretrained(model, tmp_path / "model")
    for again in (from_pretrained(tmp_path / "model"), create_model(tmp_path / "model")):
        assert folded_form(again) == ("full" if folded else None)
        state = again.state_dict()
        assert state.keys() == model.state_dict().keys()
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["name"] == TINY
    assert config["folding"] == ("full" if folded else None)
    assert get_tokenizer(tmp_path / "model").context_length == 77


def test_equal_models_are_saved_as_equal_bytes(tiny: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_pretrained(tiny, tmp_path / name)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_folding_on_creation_leaves_the_features(tiny: Any, tmp_path: Path) -> None:
    torch.save(tiny.state_dict(), tmp_path / "tiny.pt")
    folded = create_model(TINY, pretrained=tmp_path / "tiny.pt", folded=True)
    images, tokens = torch.rand(2, 3, 64, 64), get_tokenizer(TINY)(["a cat", "a dog"])
    with torch.no_grad():
        torch.testing.assert_close(
            folded.encode_image(images), tiny.encode_image(images), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(folded.encode_text(tokens), tiny.encode_text(tokens), rtol=1e-4, atol=1e-5)
    assert folded_form(folded) == "full"
    assert not any(weight.requires_grad for weight in folded.parameters())


def test_the_folder_says_which_stem_the_model_computes(tmp_path: Path) -> None:
    value = architecture_to_json(ARCHITECTURES["MobileCLIP-B"])
    value["image"] |= {"width": 32, "layers": 1, "heads": 1, "image_size": 32}
    value["text"] |= {"width": 32, "layers": 1, "heads": 1, "vocabulary": 99}
    (tmp_path / "small.json").write_text(json.dumps(value))
    model = create_model(tmp_path / "small.json", compat="open_clip")
    save_pretrained(model, tmp_path / "model")
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = model.encode_image(images)
        assert torch.equal(create_model(tmp_path / "model").encode_image(images), expected)
        official = create_model(tmp_path / "model", compat="official").encode_image(images)
    assert not torch.allclose(official, expected, rtol=1e-3)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_goes_through_json(name: str) -> None:
    value = json.loads(json.dumps(architecture_to_json(ARCHITECTURES[name])))
    assert architecture_from_json(value, where="test") == ARCHITECTURES[name]


def test_a_json_file_is_an_architecture(tmp_path: Path) -> None:
    value = architecture_to_json(ARCHITECTURES[TINY])
    value["embed_dim"] = 16
    (tmp_path / "mine.json").write_text(json.dumps(value))
    assert create_model(tmp_path / "mine.json").architecture.embed_dim == 16


def test_wrong_fields_of_an_architecture_are_named() -> None:
    cases: list[tuple[list[str], Any, str]] = [
        (["embed_dim"], None, "f: embed_dim is None; expected int"),
        (["embed_dim"], 0, "f: embed_dim is 0; expected at least 1"),
        (["embed_dim"], True, "f: embed_dim is True; expected int"),
        (["embeddim"], 8, "f: unknown field 'embeddim'; did you mean 'embed_dim'?"),
        (["image"], 3, "f: image: is int, not an object of fields; add it"),
        (
            ["image", "kind"],
            "resnet",
            "f: image.kind is 'resnet'; expected one of: convolutional, vision transformer",
        ),
        (
            ["image", "mixers"],
            ["rep", "rep", "rep", "conv"],
            "f: image: mixers is 'conv'; expected one of: rep, attention",
        ),
        (["image", "depths"], 4, "f: image: depths is 4; expected a list"),
        (
            ["image", "depths"],
            [1, 1],
            "f: image: one entry a stage is needed in each list "
            "(depths 2, widths 4, mixers 4, downsample_squeeze_excite 4)",
        ),
        (["preprocessing", "mean"], [0.5], "f: preprocessing: mean has 1 entries; expected 3"),
        (["text", "heads"], 5, "f: text.width 64 is no multiple of text.heads 5"),
        (["text", "causal"], True, "f: text.causal and text.rep_blocks exclude each other; turn one off"),
    ]
    for path, wrong, expected in cases:
        value = architecture_to_json(ARCHITECTURES[TINY])
        place = value
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = wrong
        assert line(architecture_from_json, value, where="f") == expected
    value = architecture_to_json(ARCHITECTURES[TINY])
    del value["text"]["causal"]
    assert line(architecture_from_json, value, where="f") == "f: text: field 'causal' is missing; add it"


def test_unknown_names_and_files_get_the_nearest_name(tmp_path: Path) -> None:
    assert line(create_model, "MobileCLIP-S9").endswith("did you mean 'MobileCLIP-S2'?")
    assert line(create_model, "resnet").startswith(
        "resnet: no model of this name, no file and no folder; known: "
    )
    (tmp_path / "weights.pt").write_bytes(b"x")
    assert line(create_model, tmp_path / "weights.pt") == (
        f"{tmp_path / 'weights.pt'}: is no JSON file; give it as the weights, and a name as the model"
    )
    assert line(create_model, TINY, pretrained="openai") == (
        "openai: no such file; give a checkpoint, or a tag (this model has none)"
    )
    assert line(create_model, "MobileCLIP-B", pretrained="datacompd") == (
        "MobileCLIP-B: no weights 'datacompd' and no such file; did you mean 'datacompdr'?"
    )
    assert line(create_model, "MobileCLIP-B", pretrained="b.pt") == (
        "b.pt: no such file; give a checkpoint, or a tag (datacompdr, datacompdr_lt)"
    )


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"kind": "seqdecomp store"}')
    assert line(create_model, tmp_path, pretrained="x.pt") == (
        f"{tmp_path}/config.json: is not of a mobileclip model; give a folder that save_pretrained wrote"
    )


@pytest.mark.parametrize(
    ("name", "tag", "place"),
    [
        ("MobileCLIP-S0", "datacompdr", "apple/MobileCLIP-S0"),
        ("MobileCLIP2-S3", "dfndr2b", "timm/MobileCLIP2-S3-OpenCLIP"),
    ],
)
def test_published_weights_that_cannot_be_fetched_give_one_line(
    name: str, tag: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = line(pretrained.checkpoint_path, name, tag)
    start = f"{name}: the weights '{tag}' could not be fetched from {place} on the Hugging Face Hub: "
    assert message.startswith(start)
    assert message.endswith("; fetch the file elsewhere and give its path")


def test_published_weights_are_fetched_once_asked_for(tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    torch.save(tiny.state_dict(), tmp_path / "fetched.pt")
    asked: list[tuple[str, str]] = []

    def fetch(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(tmp_path / "fetched.pt")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    assert pretrained.checkpoint_path("MobileCLIP-S0", "datacompdr") == tmp_path / "fetched.pt"
    assert asked == [("apple/MobileCLIP-S0", "mobileclip_s0.pt")]
