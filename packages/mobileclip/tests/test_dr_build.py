"""Building reinforced data: what is stored, that it is the same however it is built, and what is dropped."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_teachers
from mobileclip.models.teachers import load_teacher
from mobileclip.reinforcement.build import BuildReport, Pairs, build_reinforced
from mobileclip.reinforcement.build_part import Recipe
from mobileclip.reinforcement.captioner import FileCaptioner, NoCaptioner
from mobileclip.reinforcement.official import read_official
from mobileclip.reinforcement.precision import to_float32
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.reinforcement.verify import verify_reinforced
from mobileclip.replay import AugmentationSettings, draw_augmentations, replay
from PIL import Image
from tiny_teachers import (
    EchoCaptioner,
    ProjectionTeacher,
    echo_captioner,
    generated_image,
    generated_pairs,
    png,
    projection_teachers,
    tiny_open_clip_config,
    write_pairs,
    write_tiny_open_clip,
)
from toolkit_shared.errors import InputError

RECIPE = Recipe(
    num_augmentations=3,
    num_synthetic_captions=2,
    precision="float32",
    batch_size=4,
    augmentation=AugmentationSettings(size=16),
)


def build(pairs: Path, out: Path, **options: Any) -> BuildReport:
    """Build with the quick teachers and a part size of 4, unless the options say otherwise."""
    chosen = {
        "load_teachers": projection_teachers,
        "load_captioner": echo_captioner,
        "recipe": RECIPE,
        "part_size": 4,
    } | options
    return build_reinforced(Pairs(path=str(pairs)), out, **chosen)


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file by its name in the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.parquet", generated_pairs(10))


@pytest.fixture(scope="module")
def built(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "store"
    build(pairs, out)
    return out


def test_each_row_is_the_teachers_unit_vectors_of_the_replayed_image(built: Path) -> None:
    store = ReinforcedStore.open(built)

    for index, (key, data, _) in enumerate(generated_pairs(10)):
        sample = store[index]
        image = Image.open(io.BytesIO(data)).convert("RGB")
        expected = draw_augmentations(key, 3, image.size, seed=0, settings=RECIPE.augmentation)
        assert (sample.key, sample.augmentations, sample.image_size) == (key, expected, image.size)
        for row, augmentation in zip(to_float32(sample.image_embeddings, "float32"), expected, strict=True):
            parts = [
                t.embed_images([replay(image, augmentation, size=t.image_size)])[0]
                for t in projection_teachers()
            ]
            np.testing.assert_allclose(row, np.concatenate(parts), atol=1e-6)


def test_each_caption_row_is_the_teachers_unit_vectors_of_that_caption(built: Path) -> None:
    store = ReinforcedStore.open(built)

    for index, (key, data, captions) in enumerate(generated_pairs(10)):
        sample = store[index]
        width = Image.open(io.BytesIO(data)).width
        assert sample.captions == tuple(captions)
        assert [text.split(" of ")[1] for text in sample.synthetic_captions] == [f"{key} {width}"] * 2
        for texts, rows in (
            (sample.captions, sample.text_embeddings),
            (sample.synthetic_captions, sample.synthetic_embeddings),
        ):
            expected = np.concatenate([t.embed_texts(texts) for t in projection_teachers()], axis=1)
            np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_a_part_of_many_batches_keeps_every_embedding(pairs: Path, tmp_path: Path) -> None:
    # ml-mobileclip-dr, issue 3: samples of a shard beyond the first batch got no embeddings
    one_part = Recipe(**{**vars(RECIPE), "batch_size": 2})
    build(pairs, tmp_path / "store", recipe=one_part, part_size=100)

    store = ReinforcedStore.open(tmp_path / "store")

    assert len(store) == 10
    for sample in store:
        rows = [
            len(r) for r in (sample.image_embeddings, sample.text_embeddings, sample.synthetic_embeddings)
        ]
        assert rows == [3, len(sample.captions), 2]
        norms = np.linalg.norm(sample.image_embeddings[:, :24], axis=1)
        np.testing.assert_allclose(norms, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("bfloat16", 2**-8), ("float16", 2**-10), ("float32", 0)]
)
def test_a_precision_rounds_the_same_numbers(
    pairs: Path, built: Path, tmp_path: Path, precision: Any, tolerance: float
) -> None:
    build(pairs, tmp_path / "store", recipe=Recipe(**{**vars(RECIPE), "precision": precision}))

    for exact, rounded in zip(
        ReinforcedStore.open(built), ReinforcedStore.open(tmp_path / "store"), strict=True
    ):
        values = to_float32(rounded.image_embeddings, precision)
        assert np.all(
            np.abs(values - exact.image_embeddings) <= tolerance * np.abs(exact.image_embeddings) + 1e-7
        )


@pytest.mark.slow
def test_two_workers_write_the_bytes_of_one(pairs: Path, built: Path, tmp_path: Path) -> None:
    build(pairs, tmp_path / "store", workers=2)

    assert contents(tmp_path / "store") == contents(built)


@pytest.mark.slow
def test_ray_writes_the_bytes_of_one_process(pairs: Path, built: Path, tmp_path: Path) -> None:
    build(pairs, tmp_path / "store", workers=2, engine="ray")

    assert contents(tmp_path / "store") == contents(built)


def test_another_seed_draws_other_augmentations_and_captions(
    pairs: Path, built: Path, tmp_path: Path
) -> None:
    build(pairs, tmp_path / "store", recipe=Recipe(**{**vars(RECIPE), "seed": 1}))

    first, other = ReinforcedStore.open(built)[0], ReinforcedStore.open(tmp_path / "store")[0]
    assert first.augmentations != other.augmentations
    assert first.synthetic_captions != other.synthetic_captions


def test_a_pairs_augmentations_and_captions_do_not_depend_on_the_pairs_beside_it(
    tmp_path: Path, built: Path
) -> None:
    build(write_pairs(tmp_path / "few.parquet", generated_pairs(2, start=5)), tmp_path / "store")

    alone, among = ReinforcedStore.open(tmp_path / "store")[1], ReinforcedStore.open(built)[6]
    assert alone.key == among.key
    assert alone.augmentations == among.augmentations
    assert alone.synthetic_captions == among.synthetic_captions
    np.testing.assert_allclose(alone.image_embeddings, among.image_embeddings, atol=1e-6)


def test_official_tars_hold_what_the_store_holds(pairs: Path, built: Path, tmp_path: Path) -> None:
    build(pairs, tmp_path / "tars", form="official")

    store = ReinforcedStore.open(built)
    tars = sorted((tmp_path / "tars").glob("*.tar"))
    samples = [sample for tar in tars for sample in read_official(tar, store.teachers)]
    assert [path.name for path in tars] == ["00000.tar", "00001.tar", "00002.tar"]
    for ours, theirs in zip(store, samples, strict=True):
        assert (ours.key, ours.captions, ours.synthetic_captions) == (
            theirs.key,
            theirs.captions,
            theirs.synthetic_captions,
        )
        assert ours.augmentations == theirs.augmentations
        np.testing.assert_array_equal(ours.image_embeddings, theirs.image_embeddings)
        np.testing.assert_array_equal(ours.synthetic_embeddings, theirs.synthetic_embeddings)


@pytest.mark.parametrize("form", ["store", "official"])
def test_images_are_carried_along_byte_for_byte_when_asked_for(
    pairs: Path, tmp_path: Path, form: Any
) -> None:
    build(pairs, tmp_path / "out", recipe=Recipe(**{**vars(RECIPE), "with_images": True}), form=form)

    if form == "store":
        store = ReinforcedStore.open(tmp_path / "out")
        carried = [store[index].members["png"] for index in range(len(store))]
    else:
        teachers = stored_teachers()
        tars = sorted((tmp_path / "out").glob("*.tar"))
        carried = [sample.members["png"] for tar in tars for sample in read_official(tar, teachers)]
    assert carried == [data for _, data, _ in generated_pairs(10)]


def stored_teachers() -> tuple[Any, ...]:
    from mobileclip.reinforcement.sample import TeacherInfo

    return tuple(TeacherInfo(t.name, t.width, t.logit_scale) for t in projection_teachers())


def bad_pairs() -> list[tuple[str, bytes, Sequence[str]]]:
    """Four good pairs, and one of each kind that cannot be used."""
    good = generated_pairs(5)
    jpeg = io.BytesIO()
    generated_image(3, (64, 64)).save(jpeg, "JPEG")
    return [
        *good[:2],
        ("cut", jpeg.getvalue()[: len(jpeg.getvalue()) // 2], ["cut off"]),
        ("junk", b"GIF89a no image", ["junk"]),
        ("nothing", b"", ["no bytes"]),
        ("bomb", png(Image.new("RGB", (3000, 2000))), ["many pixels"]),
        ("silent", png(generated_image(9)), ["", "  "]),
        ("k001", png(generated_image(8)), ["the key again"]),
        *good[2:4],
    ]


def test_what_cannot_be_used_is_counted_and_named(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.parquet", bad_pairs())

    report = build(pairs, tmp_path / "store", recipe=Recipe(**{**vars(RECIPE), "max_pixels": 1_000_000}))

    found = {reason: entry["names"] for reason, entry in report.dropped.items()}
    assert found == {
        "duplicate key": ["k001"],
        "image: not an image": ["junk"],
        "image: too many pixels": ["bomb"],
        "image: truncated": ["cut"],
        "no caption": found["no caption"],
        "no image": found["no image"],
    }
    assert len(found["no caption"]) == len(found["no image"]) == 1
    assert report.num_samples == 4
    assert list(ReinforcedStore.open(tmp_path / "store").keys()) == ["k000", "k001", "k002", "k003"]
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["build"]["dropped"] == report.dropped
    lines = [json.loads(line) for line in (tmp_path / "store" / "dropped.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert "4 of 10 pairs" in report.to_text()


ODD_CAPTIONS = {
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "long": "word " * 2000,
    "long word": "a" * 10_000,
    "with NUL": "a\0cat",
    "joined emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 30,
    "invisible": "\u200b",
    "tokens": "<|endoftext|> &lt;|startoftext|&gt;",
}
ODD_SIZES = [(1, 1), (1, 500), (500, 1), (2, 3)]


@pytest.mark.parametrize("form", ["store", "official"])
def test_odd_pairs_are_reinforced_and_none_is_lost_without_a_count(tmp_path: Path, form: Any) -> None:
    # given odd captions, odd images, odd keys, and pairs without a caption
    image = png(generated_image(0))
    odd = [(f"text {name}", image, [text]) for name, text in ODD_CAPTIONS.items()]
    odd += [(f"{width}x{height}", png(Image.new("L", (width, height))), ["x"]) for width, height in ODD_SIZES]
    odd += [(key, image, ["x"]) for key in ("../../up", "/root", "a/b.c", "nul\0", "new\nline", "")]
    odd += [("without", image, []), ("blank", image, ["  ", "\n"])]
    pairs = write_pairs(tmp_path / "pairs.parquet", odd)
    spec = write_tiny_open_clip(tmp_path, "odd", tiny_open_clip_config())

    recipe = Recipe(**{**vars(RECIPE), "num_synthetic_captions": 0})
    report = build(
        pairs,
        tmp_path / "out",
        load_teachers=lambda: (load_teacher(f"open_clip:{spec}", "cpu"),),
        load_captioner=NoCaptioner,
        recipe=recipe,
        form=form,
    )

    assert {reason: found["count"] for reason, found in report.dropped.items()} == {"no caption": 2}
    assert (report.num_samples, report.num_pairs) == (len(odd) - 2, len(odd))
    verified = verify_reinforced(tmp_path / "out", Pairs(path=str(pairs)))
    assert verified.faults == ()
    assert verified.num_structure == len(odd) - 2


def test_one_pair_is_enough_and_none_is_refused(tmp_path: Path) -> None:
    one = write_pairs(tmp_path / "one.parquet", generated_pairs(1))
    assert build(one, tmp_path / "one").num_samples == 1
    empty = tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(one).slice(0, 0), empty)

    with pytest.raises(InputError, match=r"empty\.parquet: holds no pairs; "):
        build(empty, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_under_strict_the_first_pair_that_cannot_be_used_stops_the_build(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.parquet", bad_pairs())

    with pytest.raises(InputError, match=re.escape("pair cut: image: truncated")):
        build(pairs, tmp_path / "store", strict=True)


def test_pairs_that_a_file_of_captions_lacks_are_counted(pairs: Path, tmp_path: Path) -> None:
    captions = {f"k{index:03d}": ["one", "two"][: 1 + (index > 3)] for index in range(9)}

    report = build(pairs, tmp_path / "store", load_captioner=lambda: FileCaptioner("file", captions))

    assert report.dropped == {
        "too few synthetic captions": {"count": 5, "names": ["k000", "k001", "k002", "k003", "k009"]}
    }


def test_without_a_captioner_there_are_no_synthetic_captions(pairs: Path, tmp_path: Path) -> None:
    none = Recipe(**{**vars(RECIPE), "num_synthetic_captions": 0})
    build(pairs, tmp_path / "store", load_captioner=NoCaptioner, recipe=none)

    sample = ReinforcedStore.open(tmp_path / "store")[1]
    assert (sample.synthetic_captions, len(sample.text_embeddings)) == ((), 2)
    with pytest.raises(InputError, match="needs a --captioner"):
        build(pairs, tmp_path / "other", load_captioner=NoCaptioner)


class BrokenTeacher(ProjectionTeacher):
    """Gives NaN for one caption."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = super().embed_texts(texts)
        rows[[text.endswith("number 4") for text in texts]] = np.nan
        return rows


def test_a_sample_for_which_a_teacher_gives_nan_is_counted_and_not_stored(
    pairs: Path, tmp_path: Path
) -> None:
    report = build(pairs, tmp_path / "store", load_teachers=lambda: (BrokenTeacher("broken"),))

    assert report.dropped == {"embeddings: not finite": {"count": 1, "names": ["k004"]}}
    assert "k004" not in set(ReinforcedStore.open(tmp_path / "store").keys())


def test_a_finished_folder_is_kept_and_one_of_other_settings_refused(pairs: Path, built: Path) -> None:
    before = contents(built)

    report = build(pairs, built)

    assert (report.num_samples, contents(built)) == (10, before)
    with pytest.raises(InputError, match="other settings"):
        build(pairs, built, recipe=Recipe(**{**vars(RECIPE), "seed": 5}))
    with pytest.raises(InputError, match="other settings"):
        build(
            pairs,
            built,
            load_teachers=lambda: (ProjectionTeacher("third"), ProjectionTeacher("second", 16, 20)),
        )


def test_the_manifest_says_what_the_bytes_depend_on(built: Path) -> None:
    config = json.loads((built / "manifest.json").read_text())["config"]

    assert [teacher["name"] for teacher in config["teachers"]] == ["first", "second"]
    assert config["teachers"][1] == {
        "name": "second",
        "width": 16,
        "image_size": 20,
        "logit_scale": 50.0,
        "fingerprint": "second",
    }
    assert config["captioner"] == {"name": "echo", "fingerprint": "echo"}
    assert config["recipe"]["seed"] == 0
    assert config["recipe"]["augmentation"]["num_operations"] == 2
    assert config["pairs"]["num_pairs"] == 10


class DyingTeacher(ProjectionTeacher):
    """Ends the process, as far as Python can, at one of its calls."""

    def __init__(self, calls: int) -> None:
        super().__init__("first", 24, 16)
        self.calls = calls

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.calls -= 1
        if self.calls == 0:
            raise KeyboardInterrupt
        return super().embed_texts(texts)


@pytest.mark.parametrize("form", ["store", "official"])
def test_a_build_that_was_interrupted_goes_on_to_the_same_bytes(
    pairs: Path, tmp_path: Path, form: Any
) -> None:
    out = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        build(pairs, out, form=form, load_teachers=lambda: (DyingTeacher(6), projection_teachers()[1]))
    parts = [path.name for path in sorted(out.glob("parts/*.json"))]
    told: list[int] = []

    build(pairs, out, form=form, progress=told.append)

    build(pairs, tmp_path / "whole", form=form)
    assert parts == ["00000.json"]
    assert told == [4, 4, 2]
    assert contents(out) == contents(tmp_path / "whole")


SCRIPT = """
import sys
from functools import partial
sys.path.insert(0, {tests!r})
from test_dr_build import build
from tiny_teachers import projection_teachers
if __name__ == "__main__":
    slowly = partial(projection_teachers, 0.1)
    build({pairs!r}, {out!r}, load_teachers=slowly, part_size=2, form={form!r}, workers={workers})
"""


@pytest.mark.slow
@pytest.mark.parametrize(("form", "workers"), [("store", 1), ("official", 2)])
def test_a_build_that_was_killed_goes_on_to_the_same_bytes(
    pairs: Path, tmp_path: Path, form: Any, workers: int
) -> None:
    out = tmp_path / "killed"
    script = tmp_path / "script.py"
    tests = str(Path(__file__).parent)
    script.write_text(SCRIPT.format(tests=tests, pairs=str(pairs), out=str(out), form=form, workers=workers))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    try:
        while len(list(out.glob("parts/*.json"))) < 2:
            assert process.poll() is None, "the build ended before it could be killed"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (out / "manifest.json").exists()

    options = {"form": form, "part_size": 2, "load_teachers": partial(projection_teachers, 0.0)}
    build(pairs, out, **options)

    build(pairs, tmp_path / "whole", **options)
    assert contents(out) == contents(tmp_path / "whole")


def test_progress_counts_every_pair_once(pairs: Path, tmp_path: Path) -> None:
    told: list[int] = []

    build(pairs, tmp_path / "store", progress=told.append)

    assert told == [4, 4, 2]


@pytest.mark.slow
def test_open_clip_teachers_of_two_sizes_and_a_coca_captioner_build_together(
    pairs: Path, tmp_path: Path
) -> None:
    from mobileclip.models.captioners import load_captioner
    from mobileclip.models.teachers import load_teachers

    small = tiny_teachers.tiny_open_clip_config(32, 16)
    specs = [
        "open_clip:"
        + tiny_teachers.write_tiny_open_clip(tmp_path, "tiny-build-a", tiny_teachers.tiny_open_clip_config()),
        "open_clip:" + tiny_teachers.write_tiny_open_clip(tmp_path, "tiny-build-b", small, seed=1),
    ]
    coca = "open_clip:" + tiny_teachers.write_tiny_open_clip(
        tmp_path, "tiny-build-coca", tiny_teachers.tiny_coca_config()
    )

    for name, workers in (("one", 1), ("two", 2)):
        build(
            pairs,
            tmp_path / name,
            load_teachers=partial(load_teachers, specs, "cpu", (70.0, 60.0)),
            load_captioner=partial(load_captioner, coca),
            recipe=Recipe(**{**vars(RECIPE), "num_synthetic_captions": 1, "num_augmentations": 2}),
            workers=workers,
        )

    store = ReinforcedStore.open(tmp_path / "one")
    assert (store.width, [teacher.logit_scale for teacher in store.teachers]) == (96, [70.0, 60.0])
    assert len({sample.synthetic_captions for sample in store}) == 10
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_numbers_below_one_are_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are 1 or more"):
        build(pairs, tmp_path / "store", part_size=0)


def test_the_echo_captioner_is_a_captioner_and_the_projection_a_teacher() -> None:
    from mobileclip.reinforcement.captioner import Captioner
    from mobileclip.reinforcement.teacher import Teacher

    assert isinstance(EchoCaptioner(), Captioner)
    assert all(isinstance(teacher, Teacher) for teacher in projection_teachers())
