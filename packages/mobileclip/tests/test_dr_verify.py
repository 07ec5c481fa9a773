"""Verifying reinforced data: each class of fault is planted alone and named alone, and clean data pass."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_teachers
from mobileclip.reinforcement.build import Pairs, build_reinforced
from mobileclip.reinforcement.build_part import Recipe
from mobileclip.reinforcement.convert import official_to_store
from mobileclip.reinforcement.official import official_members
from mobileclip.reinforcement.precision import from_float32, to_float32
from mobileclip.reinforcement.sample import Reinforcement, TeacherInfo
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.reinforcement.store_format import STORE_KIND
from mobileclip.reinforcement.store_writer import StoreWriter
from mobileclip.reinforcement.verify import verify_reinforced
from mobileclip.reinforcement.verify_report import FAULTS, Fault, VerifyReport, merge_faults
from mobileclip.replay import AugmentationSettings
from PIL import Image
from tiny_teachers import (
    ProjectionTeacher,
    echo_captioner,
    generated_image,
    generated_pairs,
    png,
    write_pairs,
)
from toolkit_shared.artifacts import claim_folder
from toolkit_shared.errors import InputError
from toolkit_shared.shards import TarWriter

COUNT = 9
RECIPE = Recipe(
    num_augmentations=3,
    num_synthetic_captions=2,
    precision="float32",
    batch_size=8,
    augmentation=AugmentationSettings(size=16),
)
Change = Callable[[list[Reinforcement]], Sequence[Reinforcement]]


def equal_teachers() -> tuple[ProjectionTeacher, ...]:
    """Two teachers of one width, so that one may stand in the other's place."""
    return ProjectionTeacher("first", 24, 16), ProjectionTeacher("second", 24, 20)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.parquet", generated_pairs(COUNT))


@pytest.fixture(scope="module")
def built(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(pairs, tmp_path_factory.mktemp("built") / "store")


def build(pairs: Path, out: Path, **options: Any) -> Path:
    """Build with the teachers of one width, unless the options say otherwise."""
    chosen = {"load_teachers": equal_teachers, "load_captioner": echo_captioner, "recipe": RECIPE} | options
    build_reinforced(Pairs(path=str(pairs)), out, part_size=4, **chosen)
    return out


def planted(
    built: Path,
    out: Path,
    change: Change,
    teachers: tuple[TeacherInfo, ...] | None = None,
    promised: str | None = None,
) -> Path:
    """A store of the samples of another one after `change`, whose manifest may promise a precision."""
    store = ReinforcedStore.open(built)
    samples = change([store[index] for index in range(len(store))])
    teachers = teachers or store.teachers
    config = {} if promised is None else {"recipe": {"precision": promised}}
    claim_folder(out, kind=STORE_KIND, config=config)
    writer = StoreWriter(folder=out, teachers=teachers, precision=samples[0].precision)
    writer.write_part(0, samples)
    writer.finish(1)
    return out


def verify(path: Path, pairs: Path, **options: Any) -> VerifyReport:
    return verify_reinforced(path, Pairs(path=str(pairs)), **({"teachers": equal_teachers()} | options))


def names(report: VerifyReport) -> list[str]:
    return [fault.name for fault in report.faults]


def keys(report: VerifyReport) -> tuple[str, ...]:
    [fault] = report.faults
    return fault.keys


# clean data


@pytest.mark.parametrize("form", ["store", "official"])
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_clean_data_pass(pairs: Path, tmp_path: Path, precision: Any, form: Any) -> None:
    out = build(pairs, tmp_path / "out", recipe=replace(RECIPE, precision=precision), form=form)

    report = verify(out, pairs)

    assert report.faults == ()
    assert (report.num_stored, report.num_embedded, report.clean) == (COUNT, COUNT, True)
    assert all(cosines.image_minimum > 1 - 2e-5 for cosines in report.cosines)
    assert "clean: no fault found" in report.to_text()


def test_clean_data_of_open_clip_teachers_pass(pairs: Path, tmp_path: Path) -> None:
    from mobileclip.models.teachers import load_teachers

    config = tiny_teachers.tiny_open_clip_config()
    spec = "open_clip:" + tiny_teachers.write_tiny_open_clip(tmp_path, "tiny-verify", config)
    load = partial(load_teachers, [spec])
    out = build(pairs, tmp_path / "store", load_teachers=load, recipe=replace(RECIPE, precision="bfloat16"))

    assert names(verify(out, pairs, teachers=load(), batch_size=5)) == []


def test_what_the_build_dropped_is_not_missing(tmp_path: Path) -> None:
    pairs = write_pairs(
        tmp_path / "p.parquet", [*generated_pairs(3), ("cut", b"\xff\xd8\xff\xe0junk", ["x"])]
    )
    out = build(pairs, tmp_path / "store")

    assert len(ReinforcedStore.open(out)) == 3
    assert names(verify(out, pairs)) == []


def test_without_teachers_only_the_structure_is_checked_and_the_report_says_so(
    built: Path, pairs: Path
) -> None:
    report = verify(built, pairs, teachers=())

    assert (report.clean, report.num_structure, report.num_embedded) == (True, COUNT, 0)
    assert any("no teachers were given" in note for note in report.notes)
    without_pairs = verify_reinforced(built)
    assert without_pairs.clean
    assert "no pairs were given" in without_pairs.notes[0]


def test_the_rows_that_are_looked_at_depend_on_the_seed_alone(built: Path, pairs: Path) -> None:
    looked = [verify(built, pairs, rows=2, seed=seed).as_dict() for seed in (0, 0, 4)]

    assert looked[0] == looked[1]
    assert looked[0]["cosines"] != looked[2]["cosines"]
    assert looked[0]["num_embedded"] == 2


# one fault at a time


def test_permuted_augmentations_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        samples[2] = replace(samples[2], image_embeddings=samples[2].image_embeddings[[1, 0, 2]])
        return samples

    report = verify(planted(built, tmp_path / "store", change), pairs)

    assert names(report) == ["permuted augmentations"]
    assert keys(report) == ("k002",)


def test_augmentations_permuted_in_every_sample_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        return [replace(s, image_embeddings=np.roll(s.image_embeddings, 1, axis=0)) for s in samples]

    report = verify(planted(built, tmp_path / "store", change), pairs)

    assert names(report) == ["permuted augmentations"]
    assert len(keys(report)) == COUNT


def test_images_resized_since_the_build_are_named(built: Path, tmp_path: Path) -> None:
    changed = generated_pairs(COUNT)
    image = Image.open(io.BytesIO(changed[3][1]))
    smaller = image.resize((image.width // 2, image.height // 2))
    changed[3] = (changed[3][0], png(smaller), changed[3][2])

    report = verify(built, write_pairs(tmp_path / "pairs.parquet", changed))

    assert names(report) == ["resized images"]
    assert keys(report) == ("k003",)


def test_crops_that_leave_an_image_of_unknown_stored_size_are_named(
    built: Path, pairs: Path, tmp_path: Path
) -> None:
    changed = generated_pairs(COUNT)
    changed[3] = (changed[3][0], png(Image.open(io.BytesIO(changed[3][1])).resize((6, 5))), changed[3][2])

    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        return [replace(sample, image_size=None) for sample in samples]

    report = verify(
        planted(built, tmp_path / "store", change), write_pairs(tmp_path / "pairs.parquet", changed)
    )

    assert names(report) == ["resized images"]
    assert keys(report) == ("k003",)


def test_caption_rows_permuted_between_samples_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        first, second = samples[0], samples[2]
        samples[0] = replace(first, text_embeddings=second.text_embeddings)
        samples[2] = replace(second, text_embeddings=first.text_embeddings)
        return samples

    report = verify(planted(built, tmp_path / "store", change), pairs)

    assert names(report) == ["permuted captions"]
    assert keys(report) == ("k000", "k002")


def test_captions_stored_with_another_pair_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        first, second = samples[0], samples[2]
        samples[0] = replace(first, captions=second.captions, text_embeddings=second.text_embeddings)
        samples[2] = replace(second, captions=first.captions, text_embeddings=first.text_embeddings)
        return samples

    for teachers in (equal_teachers(), ()):
        path = tmp_path / f"store-{len(teachers)}"
        assert names(verify(planted(built, path, change), pairs, teachers=teachers)) == ["permuted captions"]


def test_synthetic_captions_permuted_within_samples_are_named(
    built: Path, pairs: Path, tmp_path: Path
) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        return [replace(s, synthetic_embeddings=s.synthetic_embeddings[::-1]) for s in samples]

    assert names(verify(planted(built, tmp_path / "store", change), pairs)) == ["permuted captions"]


@pytest.mark.parametrize("moved", ["rows", "texts", "both"])
def test_real_and_synthetic_captions_that_are_swapped_are_named(
    built: Path, pairs: Path, tmp_path: Path, moved: str
) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        changed = []
        for sample in samples:
            if len(sample.captions) == 2:
                if moved in ("rows", "both"):
                    sample = replace(
                        sample,
                        text_embeddings=sample.synthetic_embeddings,
                        synthetic_embeddings=sample.text_embeddings,
                    )
                if moved in ("texts", "both"):
                    sample = replace(
                        sample, captions=sample.synthetic_captions, synthetic_captions=sample.captions
                    )
            changed.append(sample)
        return changed

    report = verify(planted(built, tmp_path / "store", change), pairs)

    assert names(report) == ["real and synthetic swapped"]
    assert set(keys(report)) == {"k001", "k003", "k005", "k007"}


def test_captions_that_the_pairs_do_not_have_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    changed = generated_pairs(COUNT)
    changed[4] = (changed[4][0], changed[4][1], ["something else altogether"])

    assert names(verify(built, write_pairs(tmp_path / "p.parquet", changed))) == ["changed captions"]


def test_rows_of_no_caption_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        rows = [teacher.embed_texts(["not here"]) for teacher in equal_teachers()]
        samples[0] = replace(samples[0], text_embeddings=np.concatenate(rows, axis=1))
        return samples

    assert names(verify(planted(built, tmp_path / "store", change), pairs)) == ["unmatched captions"]


def test_teachers_that_are_swapped_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        return [
            _with_rows(sample, lambda rows: np.concatenate([rows[:, 24:], rows[:, :24]], axis=1))
            for sample in samples
        ]

    assert names(verify(planted(built, tmp_path / "store", change), pairs)) == ["teachers swapped"]


def test_teachers_of_other_widths_that_are_swapped_are_named_without_them(
    pairs: Path, tmp_path: Path
) -> None:
    built = build(pairs, tmp_path / "built", load_teachers=tiny_teachers.projection_teachers)
    store = ReinforcedStore.open(built)

    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        return [
            _with_rows(sample, lambda rows: np.concatenate([rows[:, 24:], rows[:, :24]], axis=1))
            for sample in samples
        ]

    planted(built, tmp_path / "store", change, store.teachers)
    assert names(verify(tmp_path / "store", pairs, teachers=())) == ["teachers swapped"]


def test_a_wrong_teacher_is_named(built: Path, pairs: Path) -> None:
    others = (equal_teachers()[0], ProjectionTeacher("third", 24, 20))

    report = verify(built, pairs, teachers=others)

    assert names(report) == ["wrong teacher"]
    assert "third" in report.faults[0].detail
    assert any("the manifest names second" in note for note in report.notes)


def test_joint_normalisation_is_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        return [_with_rows(sample, lambda rows: rows / np.float32(2**0.5)) for sample in samples]

    for teachers in (equal_teachers(), ()):
        path = tmp_path / f"store-{len(teachers)}"
        assert names(verify(planted(built, path, change), pairs, teachers=teachers)) == [
            "joint normalisation"
        ]


def test_rows_of_another_length_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        samples[1] = _with_rows(samples[1], lambda rows: rows * 20)
        return samples

    assert names(verify(planted(built, tmp_path / "store", change), pairs)) == ["not normalised"]


@pytest.mark.parametrize(
    ("value", "name"), [(0.0, "empty rows"), (np.nan, "not finite"), (np.inf, "not finite")]
)
def test_rows_of_zeros_or_nan_are_named(
    built: Path, pairs: Path, tmp_path: Path, value: float, name: str
) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        rows = samples[5].image_embeddings.copy()
        rows[1] = value
        samples[5] = replace(samples[5], image_embeddings=rows)
        return samples

    report = verify(planted(built, tmp_path / "store", change), pairs)

    assert names(report) == [name]
    assert keys(report) == ("k005",)


def test_rows_of_a_wrong_width_are_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    store = ReinforcedStore.open(built)
    manifest = json.loads((built / "manifest.json").read_text())
    path = planted(built, tmp_path / "store", lambda samples: samples)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["store"]["teachers"][0]["width"] = 25  # what the manifest says is not what is stored
    (path / "manifest.json").write_text(json.dumps(manifest))

    assert len(store) == COUNT
    assert names(verify_reinforced(path)) == ["wrong width"]


def test_an_image_of_another_key_is_named_and_so_is_its_owner(built: Path, tmp_path: Path) -> None:
    changed = generated_pairs(COUNT)  # of one size: k000 and k003
    changed[0], changed[3] = (
        (changed[0][0], changed[3][1], changed[0][2]),
        (changed[3][0], changed[0][1], changed[3][2]),
    )

    report = verify(built, write_pairs(tmp_path / "pairs.parquet", changed))

    assert names(report) == ["exchanged images"]
    assert keys(report) == ("k000", "k003")
    assert "k000 was embedded from the image of k003" in report.faults[0].detail


def test_an_image_of_another_shape_under_a_key_is_named_without_a_teacher(
    built: Path, tmp_path: Path
) -> None:
    changed = generated_pairs(COUNT)
    changed[0] = (changed[0][0], changed[1][1], changed[0][2])

    assert names(verify(built, write_pairs(tmp_path / "p.parquet", changed), teachers=())) == [
        "exchanged images"
    ]


def test_a_row_of_no_augmentation_is_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        rows = samples[5].image_embeddings.copy()
        rows[1] = rows[1, ::-1]
        samples[5] = replace(samples[5], image_embeddings=rows)
        return samples

    assert names(verify(planted(built, tmp_path / "store", change), pairs)) == ["unmatched images"]


def test_a_wrong_normalisation_is_named_with_the_one_that_was_used(pairs: Path, tmp_path: Path) -> None:
    from mobileclip.models.teachers import EncoderTeacher, load_teacher

    config = tiny_teachers.tiny_open_clip_config()
    spec = "open_clip:" + tiny_teachers.write_tiny_open_clip(tmp_path, "tiny-verify", config)
    right = load_teacher(spec)
    assert isinstance(right, EncoderTeacher)
    wrong = replace(right, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    out = build(pairs, tmp_path / "store", load_teachers=lambda: (wrong,))

    report = verify(out, pairs, teachers=(right,))

    assert names(report) == ["wrong normalisation"]
    assert report.faults[0].detail == f"{right.name}: was shown pixels of no normalisation"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_rows_that_are_rounded_more_than_their_type_rounds_are_named(
    pairs: Path, tmp_path: Path, precision: Any
) -> None:
    built = build(pairs, tmp_path / "built", recipe=replace(RECIPE, precision=precision))

    def eight_levels(rows: np.ndarray) -> np.ndarray:
        rounded = np.round(rows * 8) / 8 + 1e-5 * rows  # the last bits are there
        parts = [rounded[:, :24], rounded[:, 24:]]
        return np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts], axis=1)

    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        return [_with_rows(sample, eight_levels) for sample in samples]

    assert names(verify(planted(built, tmp_path / "store", change), pairs)) == ["coarse rows"]


@pytest.mark.parametrize(
    ("stored", "rounded"), [("float32", "bfloat16"), ("float32", "float16"), ("float16", "bfloat16")]
)
def test_rows_of_a_coarser_type_than_they_were_built_in_are_named_without_a_teacher(
    pairs: Path, built: Path, tmp_path: Path, stored: Any, rounded: Any
) -> None:
    def change(samples: list[Reinforcement]) -> list[Reinforcement]:
        def coarse(rows: np.ndarray) -> np.ndarray:
            return to_float32(from_float32(rows, rounded), rounded)

        # float16 has fewer small numbers, so what is below its smallest normal one is left out
        return [
            _with_rows(sample, lambda rows: coarse(np.where(np.abs(rows) < 1e-3, 0, rows)), stored)
            for sample in samples
        ]

    report = verify(planted(built, tmp_path / "store", change, promised=stored), pairs, teachers=())

    assert names(report) == ["coarse rows"]
    assert report.faults[0].detail == f"stored as {stored}, rounded to {rounded}"
    # of rows that nobody promised to be finer it is no fault
    report = verify(planted(built, tmp_path / "converted", change), pairs, teachers=())
    assert report.clean
    assert any(f"stored as {stored}, rounded to {rounded}" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["tar", "store"])
def test_a_published_set_whose_npz_hold_bfloat16_values_is_clean(
    pairs: Path, tmp_path: Path, kind: str
) -> None:
    # given rows that teachers computed in bfloat16, in npz, which can only hold them as float32
    built = build(pairs, tmp_path / "built", recipe=replace(RECIPE, precision="bfloat16"))
    store = ReinforcedStore.open(built)
    path = tmp_path / "set" / "00000.tar"
    path.parent.mkdir()
    with TarWriter(path) as tar:
        for sample in store:
            tar.write(sample.key, official_members(_with_rows(sample, lambda rows: rows, "float32"), "npz"))
    if kind == "store":
        official_to_store(path, tmp_path / "converted", teachers=store.teachers)
        path = tmp_path / "converted"

    report = verify(path, pairs)

    assert report.faults == ()
    assert report.num_embedded == COUNT
    assert any("rounded to bfloat16" in note for note in report.notes)


def test_a_file_with_other_contents_is_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    path = planted(built, tmp_path / "store", lambda samples: samples)
    file = path / "parts" / "00000.image.bin"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1  # the sign or a high bit of one number: the rows still pass as unit vectors or not
    file.write_bytes(data)

    report = verify_reinforced(path)

    assert "damaged files" in names(report)
    assert "00000.image.bin" in report.faults[0].detail


def test_a_file_that_is_cut_off_is_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    path = planted(built, tmp_path / "store", lambda samples: samples)
    file = path / "parts" / "00000.image.bin"
    file.write_bytes(file.read_bytes()[:-100])

    report = verify(path, pairs)

    assert names(report) == ["damaged files"]
    assert "00000.image.bin" in report.faults[0].detail


def test_keys_that_are_missing_on_either_side_are_named(built: Path, tmp_path: Path) -> None:
    other = generated_pairs(COUNT)
    fewer = write_pairs(tmp_path / "fewer.parquet", other[:2] + other[3:])
    more = write_pairs(tmp_path / "more.parquet", [*other, ("new", png(generated_image(77)), ["new"])])

    report = verify(built, fewer)
    assert (names(report), keys(report)) == (["missing pairs"], ("k002",))
    report = verify(built, more)
    assert (names(report), keys(report)) == (["missing reinforcements"], ("new",))


def test_an_image_that_can_no_longer_be_read_is_named(built: Path, tmp_path: Path) -> None:
    changed = generated_pairs(COUNT)
    changed[6] = (changed[6][0], changed[6][1][:50], changed[6][2])

    report = verify(built, write_pairs(tmp_path / "pairs.parquet", changed))

    assert (names(report), keys(report)) == (["unreadable images"], ("k006",))


# the same in official tars


def official(built: Path, out: Path, change: Change) -> Path:
    """An official tar of the samples of a store after `change`."""
    from toolkit_shared.shards import TarWriter

    store = ReinforcedStore.open(built)
    out.mkdir()
    with TarWriter(out / "00000.tar") as tar:
        for sample in change([store[index] for index in range(len(store))]):
            tar.write(sample.key, official_members(sample))
    return out


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            lambda s: replace(s, image_embeddings=np.roll(s.image_embeddings, 1, axis=0)),
            "permuted augmentations",
        ),
        (lambda s: replace(s, image_embeddings=s.image_embeddings[:2]), "wrong row count"),
        (lambda s: replace(s, image_embeddings=s.image_embeddings[:, :40]), "wrong width"),
        (lambda s: replace(s, image_embeddings=s.image_embeddings[:0]), "empty rows"),
        (lambda s: replace(s, text_embeddings=s.text_embeddings * 0), "empty rows"),
        (lambda s: replace(s, text_embeddings=s.text_embeddings * np.float32("nan")), "not finite"),
        (lambda s: _with_rows(s, lambda rows: rows / np.float32(2**0.5)), "joint normalisation"),
        (lambda s: replace(s, augmentations=()), "bad augmentations"),
    ],
)
def test_faults_of_official_tars_are_named(
    built: Path, pairs: Path, tmp_path: Path, change: Callable[[Reinforcement], Reinforcement], name: str
) -> None:
    path = official(built, tmp_path / "tars", lambda samples: [change(samples[0]), *samples[1:]])

    report = verify(path, pairs)

    assert (names(report), keys(report)) == ([name], ("k000",))


def test_a_tar_that_is_cut_off_is_named(built: Path, pairs: Path, tmp_path: Path) -> None:
    path = official(built, tmp_path / "tars", lambda samples: samples)
    data = (path / "00000.tar").read_bytes()
    (path / "00000.tar").write_bytes(data[: len(data) * 2 // 3])

    report = verify_reinforced(path, teachers=equal_teachers())

    assert names(report) == ["damaged files"]


def test_tars_that_nobody_describes_need_the_names_of_their_teachers(built: Path, tmp_path: Path) -> None:
    path = official(built, tmp_path / "tars", lambda samples: samples)

    with pytest.raises(InputError, match="pass --stored-teacher"):
        verify_reinforced(path)
    stored = [TeacherInfo("first", 24, 50.0), TeacherInfo("second", 24, 50.0)]
    assert verify_reinforced(path, stored_teachers=stored).clean


def test_teachers_of_other_widths_than_the_stored_ones_are_refused(built: Path, pairs: Path) -> None:
    with pytest.raises(
        InputError, match=r"widths \[24, 16\] are given, the store has first \(24\), second \(24\)"
    ):
        verify(built, pairs, teachers=tiny_teachers.projection_teachers())


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no reinforced store"):
        verify_reinforced(tmp_path)


def test_faults_are_merged_by_name_in_a_fixed_order() -> None:
    merged = merge_faults(
        [
            Fault("coarse rows", "x"),
            Fault("missing pairs", "one", ("a",)),
            Fault("missing pairs", "two", ("b", "a")),
        ]
    )

    assert merged == (Fault("missing pairs", "one; and 1 more", ("a", "b")), Fault("coarse rows", "x"))
    assert all(meaning for meaning in FAULTS.values())


def _with_rows(
    sample: Reinforcement, change: Callable[[np.ndarray], np.ndarray], precision: Any = None
) -> Reinforcement:
    """The sample with all rows changed, in its own or another precision."""
    precision = precision or sample.precision
    rows = {
        name: from_float32(
            change(to_float32(getattr(sample, name), sample.precision)).astype(np.float32), precision
        )
        for name in ("image_embeddings", "text_embeddings", "synthetic_embeddings")
    }
    return replace(sample, precision=precision, **rows)
