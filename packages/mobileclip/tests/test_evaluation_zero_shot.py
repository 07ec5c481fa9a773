import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from colour_model import NAMES, array_bytes, colour_encoders, picture, write_tar
from mobileclip.architectures import ARCHITECTURES
from mobileclip.cli import ABOUT, COMMANDS
from mobileclip.evaluation.datacomp_tasks import find_task
from mobileclip.evaluation.datasets import open_labelled_images
from mobileclip.evaluation.features import (
    StoredImage,
    encode_images,
    encode_texts,
    load_encoders,
)
from mobileclip.evaluation.zero_shot import (
    choose_templates,
    class_rows,
    evaluate_zero_shot,
    zero_shot_fingerprint,
)
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.factory import save_pretrained
from toolkit_shared.cli import run
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.zero_shot import read_rows

# 10 images; the third, shown in green, is labelled red: so 9 of 10 are right
SHOWN = ("red", "red", "green", "green", "blue", "blue", "blue", "yellow", "magenta", "cyan")
LABELS = (0, 0, 0, 1, 2, 2, 2, 3, 4, 5)


def write_dataset(path: Path, images: Sequence[bytes], labels: Sequence[int]) -> Path:
    table = pa.table({"image": list(images), "label": labels})
    pq.write_table(table.replace_schema_metadata({"classes": ",".join(NAMES)}), path, row_group_size=3)
    return path


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "colours.parquet", [picture(name) for name in SHOWN], LABELS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        save_pretrained(ImageTextModel(ARCHITECTURES["MobileCLIP-Tiny"]).eval(), folder)
    return folder


def command(*argv: object) -> int:
    return run("mobileclip", ABOUT, COMMANDS, [str(part) for part in argv])


def test_a_model_that_knows_colours_has_exactly_the_planted_accuracy(colours: Path) -> None:
    dataset = open_labelled_images(colours)

    result = evaluate_zero_shot(colour_encoders(), dataset, ["a {} wall", "the colour {}"])

    # red 2 of 3, the five others all: mean (2/3 + 5) / 6; green in the place of red is among the first five
    assert result.metrics == {
        "acc1": 0.9,
        "acc5": 1.0,
        "mean_per_class_recall": pytest.approx((2 / 3 + 5) / 6),
        "main_metric": 0.9,
    }
    assert result.intervals["acc1"].low < 0.9 < result.intervals["acc1"].high
    assert result.intervals["acc5"] == (1.0, 1.0)
    assert class_rows(result, NAMES)[0] == {"class": "red", "num_images": 3, "recall": pytest.approx(2 / 3)}


def test_a_task_of_the_average_has_its_own_main_metric(colours: Path) -> None:
    dataset = open_labelled_images(colours)

    pets = evaluate_zero_shot(colour_encoders(), dataset, ["{}"], task=find_task("vtab/pets"))
    wild = evaluate_zero_shot(colour_encoders(), dataset, ["{}"], task=find_task("wilds/iwildcam"))

    assert pets.metrics["main_metric"] == pytest.approx((2 / 3 + 5) / 6)
    # F1: red 4/5 (two right, two predicted, three true), green 2/3, the others 1
    assert wild.metrics["main_metric"] == pytest.approx((4 / 5 + 2 / 3 + 4) / 6)


def test_the_worst_region_comes_from_the_metadata_of_the_shards(tmp_path: Path) -> None:
    (tmp_path / "classnames.txt").write_text("\n".join(NAMES))
    members = {}
    for number, (name, label) in enumerate(zip(SHOWN, LABELS, strict=True)):
        members[f"{number:02}.png"] = picture(name)
        members[f"{number:02}.cls"] = str(label).encode()
        members[f"{number:02}.npy"] = array_bytes([1 if number in (1, 2) else 4, 0])
    write_tar(tmp_path / "test" / "0.tar", members)
    dataset = open_labelled_images(tmp_path)

    result = evaluate_zero_shot(colour_encoders(), dataset, ["{}"], task=find_task("fairness/geode"))

    assert result.metrics["acc_region:1"] == 0.5
    assert result.metrics["main_metric"] == result.metrics["acc_wg"] == 0.5


def test_a_task_with_groups_refuses_images_without(colours: Path) -> None:
    with pytest.raises(InputError, match="wilds/fmow needs the region of every image"):
        evaluate_zero_shot(
            colour_encoders(), open_labelled_images(colours), ["{}"], task=find_task("wilds/fmow")
        )


def test_images_that_cannot_be_decoded_are_counted_and_named(tmp_path: Path) -> None:
    good = picture("red", kind="JPEG", size=(200, 200))
    images = [picture("red"), b"", b"no image", good[: len(good) // 2], picture("green")]
    path = write_dataset(tmp_path / "a.parquet", images, [0, 0, 0, 0, 1])

    result = evaluate_zero_shot(colour_encoders(), open_labelled_images(path), ["{}"], batch_size=2)

    assert result.num_images == 2
    assert result.metrics["acc1"] == 1.0
    assert result.losses.lost == {"empty": 1, "not an image": 1, "truncated": 1}
    assert [example["place"] for example in result.losses.examples] == [f"{path}, row {n}" for n in (1, 2, 3)]
    with pytest.raises(InputError, match="row 1: empty; mend or remove it, or leave out --strict"):
        evaluate_zero_shot(colour_encoders(), open_labelled_images(path), ["{}"], strict=True)


def test_a_dataset_without_a_usable_image_has_no_accuracy(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "a.parquet", [b"", b""], [0, 1])
    with pytest.raises(InputError, match=r"no image can be used: 2 lost \(2 empty\)"):
        evaluate_zero_shot(colour_encoders(), open_labelled_images(path), ["{}"])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_features_do_not_depend_on_the_workers(workers: int, tiny: Path) -> None:
    generator = np.random.default_rng(0)
    encoders = load_encoders(str(tiny))
    images = [StoredImage(picture(NAMES[generator.integers(6)]), f"{n}", n) for n in range(11)]
    images[4] = StoredImage(b"broken", "4", 4)

    kept, features = encode_images(encoders, images, losses=Losses(), batch_size=3, workers=workers)
    _, alone = encode_images(encoders, images, losses=Losses(), batch_size=3, workers=1)

    assert kept == [n for n in range(11) if n != 4]
    assert features.tobytes() == alone.tobytes()
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-6)


def test_other_batches_change_features_by_rounding_only(tiny: Path) -> None:
    encoders = load_encoders(str(tiny))
    images = [StoredImage(picture(name), name, name) for name in NAMES]

    one = encode_images(encoders, images, losses=Losses(), batch_size=1)[1]
    all_at_once = encode_images(encoders, images, losses=Losses(), batch_size=6)[1]

    np.testing.assert_allclose(one, all_at_once, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_prompts_of_a_causal_model_are_cut_and_those_of_another_are_not(causal: bool, tiny: Path) -> None:
    architecture = ARCHITECTURES["MobileCLIP-Tiny"]
    text = replace(architecture.text, causal=causal, rep_blocks=not causal)
    model = ImageTextModel(replace(architecture, text=text)).eval()
    encoders = replace(load_encoders(str(tiny)), model=model)
    lengths: list[int] = []
    model.text_encoder.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))

    found = encode_texts(encoders, ["a cat", "a photo of a cat"])

    assert lengths == [7 if causal else 77]  # start, five words, end
    with torch.inference_mode():
        tokens = encoders.tokenizer(["a cat", "a photo of a cat"])
        whole = model.encode_text(tokens, normalize=True, truncate=False)
    np.testing.assert_allclose(found, whole.numpy(), atol=2e-6)


def test_random_weights_depend_on_the_seed_alone() -> None:
    marks = [load_encoders("MobileCLIP-Tiny", seed=seed).fingerprint for seed in (0, 0, 1)]

    assert marks[0] == marks[1] != marks[2]


def test_what_a_result_depends_on_changes_its_fingerprint(colours: Path) -> None:
    encoders, dataset = colour_encoders(), open_labelled_images(colours)
    mark = zero_shot_fingerprint(encoders, dataset, ["{}"])

    assert mark == zero_shot_fingerprint(replace(encoders, name="other"), dataset, ["{}"])
    assert mark != zero_shot_fingerprint(replace(encoders, fingerprint="x"), dataset, ["{}"])
    assert mark != zero_shot_fingerprint(encoders, replace(dataset, classnames=NAMES[:5]), ["{}"])
    assert mark != zero_shot_fingerprint(encoders, dataset, ["a {}"])


def test_templates_by_name_and_by_file(colours: Path, tmp_path: Path) -> None:
    dataset = open_labelled_images(colours)
    (tmp_path / "t.txt").write_text("one {}\n")

    assert choose_templates("auto", dataset) == ("a photo of a {}.",)
    assert choose_templates("auto", replace(dataset, templates=("own {}",))) == ("own {}",)
    assert choose_templates(str(tmp_path / "t.txt"), dataset) == ("one {}",)
    imagenet = choose_templates("imagenet", dataset)
    assert (len(imagenet), imagenet[0]) == (80, "a bad photo of a {}.")
    with pytest.raises(InputError, match="is no file, nor auto, photo or imagenet"):
        choose_templates("all", dataset)


def test_the_command_writes_a_line_and_does_not_measure_twice(
    colours: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results" / "r.jsonl"
    argv = ("eval", "zero-shot", colours, "--model", tiny, "--out", out)

    assert command(*argv, "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)["results"]
    written = out.read_bytes()
    assert command(*argv, "--json") == 0
    (again,) = json.loads(capsys.readouterr().out)["results"]

    (row,) = read_rows(out)
    assert row.key == "colours"
    assert row.metrics == document["metrics"] == again["metrics"]
    assert out.read_bytes() == written
    assert len(document["classes"]) == 6
    assert again["classes"] == []  # nothing was classified the second time
    # other prompts are another result, which does not silently take the place of the first
    assert command(*argv, "--templates", "imagenet") == 2
    assert "from another model, other data or other prompts" in capsys.readouterr().err
    assert out.read_bytes() == written
    (tmp_path / "t.txt").write_text("{}\n")
    assert command(*argv, "--templates", tmp_path / "t.txt", "--overwrite") == 0
    assert len(read_rows(out)) == 1
    assert out.read_bytes() != written


def test_the_command_refuses_in_one_line(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("eval", "zero-shot", colours, "--model", "MobileCLIP-S9") == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), "MobileCLIP-S9" in error) == (1, True)
    assert command("eval", "zero-shot", colours, "--model", "MobileCLIP-Tiny") == 2
    assert "MobileCLIP-Tiny: no weights are given; pass --checkpoint" in capsys.readouterr().err
    assert command("eval", "zero-shot", "--model", "MobileCLIP-Tiny") == 2
    assert "data: none given" in capsys.readouterr().err
    assert command("eval", "zero-shot", colours, colours, "--model", "MobileCLIP-Tiny", "--key", "a") == 2
    assert "one name for 2 datasets" in capsys.readouterr().err
