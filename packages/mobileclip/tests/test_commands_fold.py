"""The command `fold`: what it writes, what it says, and when it refuses."""

import json
from pathlib import Path

import pytest
import torch
from mobileclip.architectures import ARCHITECTURES
from mobileclip.cli import ABOUT, COMMANDS
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.difference import relative_differences
from mobileclip.models.factory import create_model, from_pretrained, save_pretrained
from mobileclip.models.folding import folded_form
from mobileclip.models.scrambling import scramble
from toolkit_shared.cli import run

NAME = "MobileCLIP-Tiny"


def mobileclip(*arguments: str | Path) -> int:
    return run("mobileclip", ABOUT, COMMANDS, [str(argument) for argument in arguments])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = ImageTextModel(ARCHITECTURES[NAME])
    scramble(model)
    path = tmp_path / "tiny.pt"
    torch.save({"state_dict": model.state_dict()}, path)
    return path


def test_a_checkpoint_becomes_a_folder_with_the_same_features(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # when
    code = mobileclip("fold", checkpoint, "--model", NAME, "--out", tmp_path / "folded")

    # then
    assert code == 0
    model, folded = create_model(NAME, pretrained=checkpoint), from_pretrained(tmp_path / "folded")
    assert folded_form(folded) == "full"
    assert max(relative_differences(model, folded).values()) < 2e-6
    printed = capsys.readouterr().out
    assert "image: 294,864 parameters, folded 288,784; relative difference of the features " in printed
    assert f"wrote {tmp_path / 'folded'}" in printed


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        assert mobileclip("fold", checkpoint, "--model", NAME, "--out", tmp_path / out) == 0
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_saved_folder_needs_no_name_and_folds_on_from_the_official_form(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    save_pretrained(create_model(NAME, pretrained=checkpoint), tmp_path / "saved")
    first, second = tmp_path / "official", tmp_path / "full"

    # when
    codes = [
        mobileclip("fold", tmp_path / "saved", "--out", first, "--form", "official", "--json"),
        mobileclip("fold", first, "--out", second, "--json"),
    ]

    # then
    assert codes == [0, 0]
    lines = capsys.readouterr().out
    decoder = json.JSONDecoder()
    one, end = decoder.raw_decode(lines)
    two, _ = decoder.raw_decode(lines[end:].lstrip())
    assert [one["form_before"], one["form"]] == [None, "official"]
    assert [two["form_before"], two["form"]] == ["official", "full"]
    assert two["passed"]
    assert two["towers"]["image"]["relative_difference"] < 2e-6
    model = create_model(NAME, pretrained=checkpoint)
    assert max(relative_differences(model, from_pretrained(second)).values()) < 2e-6


def test_features_that_are_not_finite_give_exit_code_1_and_no_folder(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    state["image_encoder.model.conv_exp.rbr_conv.0.bn.running_mean"][0] = float("inf")
    torch.save(state, checkpoint)

    # when
    code = mobileclip("fold", checkpoint, "--model", NAME, "--out", tmp_path / "folded")

    # then
    assert code == 1
    assert not (tmp_path / "folded").exists()
    printed = capsys.readouterr().out
    assert "relative difference of the features not finite" in printed
    assert "nothing was written: more than 1e-05, or not finite" in printed


def test_a_folder_that_is_there_is_replaced_only_when_told(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ("fold", checkpoint, "--model", NAME, "--out", tmp_path / "folded")
    assert mobileclip(*call) == 0
    assert mobileclip(*call) == 2
    assert "holds a model.safetensors already; give --overwrite or another --out" in capsys.readouterr().err
    assert mobileclip(*call, "--overwrite") == 0


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "--model: is missing; name the architecture of "),
        (("--model", NAME, "--tolerance", "0"), "--tolerance: 0.0 is no relative difference; give one "),
        (("--model", "MobileCLIP-Tyni"), "MobileCLIP-Tyni: no model of this name, no file and no folder"),
    ],
)
def test_wrong_usage_gives_one_line_and_exit_code_2(
    options: tuple[str, ...], line: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mobileclip("fold", checkpoint, "--out", tmp_path / "folded", *options) == 2
    error = capsys.readouterr().err
    assert line in error
    assert len(error.strip().splitlines()) == 1


def test_a_file_in_the_place_of_the_folder_is_refused(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mobileclip("fold", checkpoint, "--model", NAME, "--out", checkpoint) == 2
    assert "is a file, not a folder; choose another --out" in capsys.readouterr().err
