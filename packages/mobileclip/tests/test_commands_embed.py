"""`embed`, `search` and `classify` as a user types them, on a small model with random weights in a folder."""

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mobileclip.cli import ABOUT, COMMANDS
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.factory import (
    create_model,
    create_model_and_transforms,
    get_tokenizer,
    save_pretrained,
)
from mobileclip.models.scrambling import scramble
from PIL import Image
from toolkit_shared.cli import run
from toolkit_shared.shards import TarWriter

Call = Callable[..., tuple[int, str, str]]
COLOURS = ["red", "green", "blue", "white", "black", "orange", "purple"]


def jpeg(colour: str, size: tuple[int, int] = (80, 70)) -> bytes:
    stream = io.BytesIO()
    picture = Image.new("RGB", size, colour)
    picture.paste("grey", (0, 0, 20, 30))
    picture.save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model whose features differ from image to image."""
    folder = tmp_path_factory.mktemp("model")
    tiny = create_model("MobileCLIP-Tiny")
    scramble(tiny)
    with torch.no_grad():
        tiny.logit_scale.fill_(2.0)
    save_pretrained(tiny, folder)
    get_tokenizer(folder)("a text")  # it imports open_clip, which takes seconds once
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Seven pictures, one of them cut off, and one that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, colour in enumerate(COLOURS):
        (folder / f"{number}-{colour}.jpg").write_bytes(jpeg(colour))
    (folder / "3-white.jpg").write_bytes(jpeg("white", (300, 300))[:900])
    (folder / "9-text.png").write_bytes(b"<html>")
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def typed(*arguments: object) -> tuple[int, str, str]:
        code = run("mobileclip", ABOUT, COMMANDS, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return typed


def expected_rows(model: Path, paths: list[Path]) -> np.ndarray:
    """Rows of the unfolded model, one image at a time."""
    network, _, transform = create_model_and_transforms(model)
    with torch.no_grad():
        rows = [network.encode_image(transform(Image.open(p))[None], normalize=True) for p in paths]
    return torch.cat(rows).numpy()


def text_rows(model: Path, texts: list[str]) -> np.ndarray:
    network: ImageTextModel = create_model_and_transforms(model)[0]
    with torch.no_grad():
        rows: np.ndarray = network.encode_text(get_tokenizer(model)(texts), normalize=True).numpy()
    return rows


def test_embed_writes_the_models_unit_rows_and_names_what_it_left_out(
    call: Call, model: Path, images: Path, tmp_path: Path
) -> None:
    code, out, err = call("embed", images, "--model", model, "--out", tmp_path / "e.npy", "--batch-size", 2)

    assert (code, err) == (0, "")
    rows = np.load(tmp_path / "e.npy")
    good = [images / f"{i}-{colour}.jpg" for i, colour in enumerate(COLOURS) if colour != "white"]
    wanted = expected_rows(model, good)
    assert np.linalg.norm(wanted[0] - wanted[1]) > 0.01  # else every row would do
    assert np.allclose(rows, wanted, atol=2e-6)
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert lines == [{"key": path.stem, "path": str(path)} for path in good]
    assert "6 rows of 64, float32" in out
    assert "2 lost (1 not an image, 1 truncated)" in out
    assert f"{images}/3-white.jpg: truncated OSError" in out


def test_bytes_depend_neither_on_workers_nor_on_the_container(
    call: Call, model: Path, images: Path, tmp_path: Path
) -> None:
    with TarWriter(tmp_path / "i.tar") as shard:
        for path in sorted(images.iterdir()):
            shard.write(path.stem, {path.suffix[1:]: path.read_bytes()})

    call("embed", images, "--model", model, "--out", tmp_path / "a.npy", "--batch-size", 2)
    for name, source, workers in (("b", images, 3), ("c", tmp_path / "i.tar", 1)):
        code, _, _ = call(
            *("embed", source, "--model", model, "--out", tmp_path / f"{name}.npy"),
            *("--batch-size", 2, "--workers", workers),
        )
        assert code == 0
        assert (tmp_path / f"{name}.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()


def test_embed_takes_lines_of_text_and_half_precision(call: Call, model: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a cat\n\n a dog \n")

    code, out, _ = call(
        *("embed", "--texts", tmp_path / "t.txt", "--model", model, "--out", tmp_path / "t.npy"),
        *("--dtype", "float16", "--json"),
    )

    assert code == 0
    document = json.loads(out)
    assert (document["rows"], document["width"], document["was_complete"]) == (2, 64, False)
    rows = np.load(tmp_path / "t.npy")
    assert rows.dtype == np.float16
    assert np.allclose(rows, text_rows(model, ["a cat", "a dog"]), atol=1e-3)
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == [
        {"text": "a cat"},
        {"text": "a dog"},
    ]


def test_search_finds_an_image_by_itself_and_by_words(
    call: Call, model: Path, images: Path, tmp_path: Path
) -> None:
    call("embed", images, "--model", model, "--out", tmp_path / "e.npy")

    code, out, _ = call(
        *("search", tmp_path / "e.npy", "a red thing", "--image-query", images / "2-blue.jpg"),
        *("--top", 3, "--json"),
    )

    assert code == 0
    by_words, by_image = json.loads(out)["results"]
    assert by_image["matches"][0] == {
        "row": 2,
        "cosine": pytest.approx(1, abs=1e-5),
        "key": "2-blue",
        "path": str(images / "2-blue.jpg"),
    }
    cosines = np.load(tmp_path / "e.npy") @ text_rows(model, ["a red thing"])[0]
    assert [match["row"] for match in by_words["matches"]] == np.argsort(-cosines)[:3].tolist()
    code, out, _ = call("search", tmp_path / "e.npy", "--image-query", images / "2-blue.jpg", "--top", 1)
    assert out.splitlines() == [str(images / "2-blue.jpg"), f"  +1.0000  {images}/2-blue.jpg"]


def test_classify_gives_the_softmax_of_scaled_cosines(call: Call, model: Path, images: Path) -> None:
    labels = ["cat", "big dog", "car"]

    code, out, err = call(
        *("classify", images / "0-red.jpg", images / "9-text.png", "--labels", 'cat,"big dog",car'),
        *("--model", model, "--json"),
    )

    assert (code, err) == (0, "")
    document = json.loads(out)
    (image,) = document["images"]
    scores = (
        expected_rows(model, [images / "0-red.jpg"])[0]
        @ text_rows(model, [f"a photo of a {label}." for label in labels]).T
    )
    odds = np.exp(np.exp(2.0) * scores)
    best = np.argsort(-odds)
    assert [entry["label"] for entry in image["labels"]] == [labels[i] for i in best]
    assert [entry["probability"] for entry in image["labels"]] == pytest.approx(
        (odds / odds.sum())[best].tolist(), abs=1e-4
    )
    assert document["losses"]["lost"] == {"not an image": 1}


def test_classify_reads_labels_and_prompts_from_files(
    call: Call, model: Path, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "prompts.txt").write_text("a drawing of a {}\n{c}\n")

    code, out, _ = call(
        *("classify", images / "0-red.jpg", "--labels-file", tmp_path / "labels.txt", "--model", model),
        *("--templates", tmp_path / "prompts.txt", "--top", 1),
    )

    assert code == 0
    assert re.fullmatch(re.escape(f"{images}/0-red.jpg\n") + r"  +\d+\.\d%  (cat|dog)\n", out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["embed", "{images}", "--model", "MobileCLIP-S0"], "MobileCLIP-S0: no weights are given; pass --ch"),
        (["embed", "{images}", "--model", "MobileCLIP-Tiny"], "MobileCLIP-Tiny: no weights are given; pass"),
        (
            ["embed", "{images}", "--model", "MobileCLIP-S9"],
            "no model of this name, no file and no folder; did",
        ),
        (["embed", "--model", "{model}"], "give images, folders or shards, or --texts"),
        (["embed", "{images}", "--model", "{model}", "--strict"], "3-white.jpg: truncated"),
        (["embed", "{images}/9-text.png", "--model", "{model}"], "none of 1 items could be used"),
        (["embed", "{images}", "--model", "{model}", "--device", "nowhere"], "--device nowhere"),
        (["search", "e.npy", "x"], "e.npy: no such file"),
        (["search", "{images}", "x"], "is a folder; name the .npy file"),
        (
            ["search", "{images}/9-text.png", "x"],
            "no .npy file that can be read (it does not begin like one)",
        ),
        (["classify", "{images}", "--model", "{model}"], "give --labels as cat,dog or a --labels-file"),
        (["classify", "{images}", "--labels", "a", "--model", "{model}"], "a choice needs two or more"),
        (["classify", "{images}", "--labels", "a,b,a", "--model", "{model}"], "'a' is there twice"),
        (["classify", "{images}", "--labels", "a,b", "--templates", "x", "--model", "{model}"], "is no file"),
        (["classify", "--labels", "a,b", "--model", "{model}"], "no input; give images"),
        (
            ["classify", "{images}/9-text.png", "--labels", "a,b", "--model", "{model}"],
            "first is {images}/9-text",
        ),
    ],
)
def test_what_the_user_can_mend_is_said_in_a_line(
    call: Call,
    model: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = call(*(part.format(images=images, model=model) for part in arguments))

    assert (code, out) == (2, "")
    assert said.format(images=images) in err
    assert err.count("\n") == 1
    assert not (tmp_path / "emb.npy").exists()


def test_random_weights_answer_on_demand_only_and_are_not_mistaken_for_others(
    call: Call, model: Path, images: Path, tmp_path: Path
) -> None:
    file = tmp_path / "e.npy"
    code, _, err = call("embed", images, "--model", "MobileCLIP-Tiny", "--random-weights", "--out", file)
    assert code == 0
    assert "random weights" in err

    code, _, err = call("search", file, "x")
    assert (code, "no weights are given" in err) == (2, True)
    code, _, err = call("search", file, "x", "--model", model)
    assert (code, "was made with other weights than" in err) == (2, True)
    code, out, _ = call("search", file, "x", "--random-weights", "--top", 1)
    assert (code, len(out.splitlines())) == (0, 2)


KILLED = """
import os, signal
from mobileclip.cli import main
import mobileclip.embedding.writing as writing

write_block, blocks = writing._write_block, []

def die_in_the_third_block(*arguments):
    blocks.append(1)
    if len(blocks) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write_block(*arguments)

writing._write_block = die_in_the_third_block
main()
"""


@pytest.mark.slow
def test_a_killed_embed_ends_with_the_same_files(
    call: Call, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(70):
        (folder / f"{number:02}.jpg").write_bytes(jpeg(COLOURS[number % 7], (64 + number, 70)))
    arguments: list[Any] = ["embed", folder, "--model", model, "--batch-size", 1, "--out"]
    call(*arguments, tmp_path / "a.npy")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments), str(tmp_path / "b.npy")], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "b.npy").exists()

    code, _, _ = call(*arguments, tmp_path / "b.npy")

    assert code == 0
    for suffix in (".npy", ".jsonl"):
        assert (tmp_path / f"b{suffix}").read_bytes() == (tmp_path / f"a{suffix}").read_bytes()
