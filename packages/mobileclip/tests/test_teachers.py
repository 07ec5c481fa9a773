"""Teachers: what they are named by, what their rows are, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mobileclip.models.devices import usable_device
from mobileclip.models.teachers import expand_teachers, load_teacher, load_teachers
from mobileclip.reinforcement.teacher import (
    ensemble_rows,
    equal_batches,
    split_teachers,
    unit_rows,
)
from tiny_teachers import SIDE, generated_image, tiny_open_clip_config, write_tiny_open_clip
from toolkit_shared.errors import InputError


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("teachers")
    return "open_clip:" + write_tiny_open_clip(folder, "tiny-teacher-a", tiny_open_clip_config())


def test_an_open_clip_teacher_gives_the_rows_of_open_clips_own_transform_and_model(spec: str) -> None:
    import open_clip

    config, file = spec.removeprefix("open_clip:").split("@")
    model, _, transform = open_clip.create_model_and_transforms(Path(config).stem, pretrained=file)
    tokenize = open_clip.get_tokenizer(Path(config).stem)
    images = [generated_image(index, (SIDE, SIDE)) for index in range(3)]
    texts = ["a red square", "two dogs run over a green field", ""]

    teacher = load_teacher(spec)

    model.eval()
    with torch.no_grad():
        pixels = torch.stack([transform(image) for image in images])
        expected_images = model.encode_image(pixels, normalize=True).numpy()
        expected_texts = model.encode_text(tokenize(texts), normalize=True).numpy()
        scale = float(model.logit_scale.exp())
    np.testing.assert_allclose(teacher.embed_images(images), expected_images, atol=1e-6)
    np.testing.assert_allclose(teacher.embed_texts(texts), expected_texts, atol=1e-6)
    assert (teacher.width, teacher.image_size) == (64, SIDE)
    assert teacher.logit_scale == pytest.approx(scale)
    assert teacher.name == "tiny-teacher-a@tiny-teacher-a.pt"


def test_a_scale_that_is_given_stands_in_for_the_models_own(spec: str) -> None:
    assert [teacher.logit_scale for teacher in load_teachers([spec, spec], logit_scales=[70, 60])] == [
        70.0,
        60.0,
    ]


def test_a_published_set_names_teachers_that_open_clip_has_and_their_scales() -> None:
    import open_clip

    assert expand_teachers(["datacompdr"], [])[1] == [100.0, 100.0]
    specs, scales = expand_teachers(["dfndr"], [])
    assert scales == [70.0, 60.0]
    for spec in specs + expand_teachers(["datacompdr"], [])[0]:
        name, tag = spec.removeprefix("open_clip:").split("/")
        assert tag in open_clip.list_pretrained_tags_by_model(name)
    assert expand_teachers(["dfndr"], [1.0, 2.0])[1] == [1.0, 2.0]
    assert expand_teachers(["open_clip:a/b"], [5.0]) == (["open_clip:a/b"], [5.0])


def test_the_fingerprint_changes_with_one_weight_and_not_from_load_to_load(tmp_path: Path, spec: str) -> None:
    config, file = spec.removeprefix("open_clip:").split("@")
    weights = torch.load(file, weights_only=True)
    weights["ln_final.bias"][3] += 1e-3
    torch.save(weights, tmp_path / "changed.pt")

    first, again = load_teacher(spec), load_teacher(spec)
    changed = load_teacher(f"open_clip:{config}@{tmp_path / 'changed.pt'}")

    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != changed.fingerprint


def test_a_folder_of_this_toolkit_teaches_with_its_own_preprocessing(tmp_path: Path) -> None:
    from mobileclip.models.factory import create_model, save_pretrained

    torch.manual_seed(3)
    model = create_model("MobileCLIP-Tiny").eval()
    save_pretrained(model, tmp_path / "tiny")
    images = [generated_image(index, (64, 64)) for index in range(2)]

    teacher = load_teacher(f"mobileclip:{tmp_path / 'tiny'}")

    pixels = np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2) / 255.0
    with torch.no_grad():  # no normalisation beyond the division, as in S0
        expected = model.encode_image(torch.from_numpy(pixels).float(), normalize=True).numpy()
    np.testing.assert_allclose(teacher.embed_images(images), expected, atol=1e-5)
    assert (teacher.name, teacher.width, teacher.image_size) == ("tiny", 64, 64)
    assert teacher.embed_texts(["a cat"]).shape == (1, 64)


def test_an_image_of_another_size_is_refused_instead_of_resized(spec: str) -> None:
    with pytest.raises(ValueError, match="takes RGB images of 32x32"):
        load_teacher(spec).embed_images([generated_image(0, (48, 32))])


def test_no_images_and_no_texts_give_no_rows(spec: str) -> None:
    teacher = load_teacher(spec)

    assert teacher.embed_images([]).shape == (0, 64)
    assert teacher.embed_texts([]).shape == (0, 64)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("clip:ViT-B-32/openai", "names no teacher"),
        ("open_clip:", "names no teacher"),
        ("open_clip:ViT-B-32", "names no weights"),
        ("open_clip:ViT-B-33/openai", "has no model ViT-B-33; did you mean"),
        ("open_clip:ViT-B-32/openia", "has no weights openia; it has"),
        ("open_clip:ViT-B-32@absent.pt", "there is no file absent.pt"),
        ("open_clip:local-dir:absent", "there is no such folder"),
        ("open_clip:ViT-L-14-quickgelu/laion2b_s32b_b82k", "has no weights laion2b_s32b_b82k"),
        ("mobileclip:absent", "there is no such folder"),
    ],
)
def test_a_spec_that_names_nothing_is_one_line(wrong: str, line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        load_teacher(wrong)


def test_weights_that_do_not_fit_the_model_are_one_line(tmp_path: Path, spec: str) -> None:
    config = spec.removeprefix("open_clip:").split("@")[0]
    torch.save({"text_projection": torch.zeros(3, 3)}, tmp_path / "other.pt")

    with pytest.raises(InputError, match="open_clip cannot load it") as error:
        load_teacher(f"open_clip:{config}@{tmp_path / 'other.pt'}")
    assert "\n" not in str(error.value)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, spec: str) -> None:
    import pickle

    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)  # type: ignore[return-value]

    config = spec.removeprefix("open_clip:").split("@")[0]
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Touch()))

    with pytest.raises(InputError, match="open_clip cannot load it"):
        load_teacher(f"open_clip:{config}@{tmp_path / 'evil.pt'}")
    assert not (tmp_path / "ran").exists()


def test_there_is_one_scale_a_teacher_and_at_least_one_teacher(spec: str) -> None:
    with pytest.raises(InputError, match="1 given for 2 teachers"):
        load_teachers([spec, spec], logit_scales=[100.0])
    with pytest.raises(InputError, match="none is named"):
        load_teachers([])


def test_a_device_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert usable_device("auto") == usable_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match=r"^--device gpu7: torch knows no such device; give auto, cpu, cuda"):
        usable_device("gpu7")
    with pytest.raises(InputError, match=r"^--device hpu: cannot be used here \(.+\); pass --device cpu$"):
        usable_device("hpu")


def test_each_teachers_rows_have_length_one_in_the_ensemble() -> None:
    first = np.array([[3.0, 4.0]], np.float32)  # by hand: 0.6, 0.8
    second = np.array([[0.0, 0.0, 20.0]], np.float32)

    rows = ensemble_rows([first, second])

    np.testing.assert_allclose(rows, [[0.6, 0.8, 0.0, 0.0, 1.0]], rtol=1e-7)


def test_a_row_of_zeros_stays_one() -> None:
    assert unit_rows(np.zeros((1, 3), np.float32)).tolist() == [[0.0, 0.0, 0.0]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 4))
def test_an_ensembles_rows_split_into_those_of_its_teachers(widths: list[int], count: int) -> None:
    generator = np.random.default_rng(0)
    parts = [unit_rows(generator.normal(size=(count, width)).astype(np.float32)) for width in widths]

    again = split_teachers(ensemble_rows(parts), widths)

    for part, rows in zip(parts, again, strict=True):
        np.testing.assert_allclose(part, rows, atol=1e-6)


def test_widths_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="do not make rows of 5 numbers"):
        split_teachers(np.zeros((2, 5), np.float32), [2, 2])


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_batches_keep_every_item_in_order_and_have_one_length(items: list[int], batch_size: int) -> None:
    batches = equal_batches(items, batch_size)

    assert [item for batch, count in batches for item in batch[:count]] == items
    assert all(len(batch) == batch_size for batch, _ in batches)
