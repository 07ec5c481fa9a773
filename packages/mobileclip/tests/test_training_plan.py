"""Which pairs a run trains on, and which it names and leaves out."""

import struct
import zlib

import numpy as np
import pytest
from mobileclip.settings import CheckSettings, ReinforcementSettings
from mobileclip.training.plan import Plan, Sources, make_plan
from PIL import Image
from reinforced_pairs import SIZE, changed, reinforcement, write_pairs, write_store
from toolkit_shared.errors import InputError


@pytest.fixture
def folder(tmp_path):
    return write_pairs(tmp_path / "pairs", count=8)


def store_of(tmp_path, samples):
    return write_store(tmp_path / "store", samples)


def samples(count=8):
    return [reinforcement(number) for number in range(count)]


def huge_png(width, height):
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def reasons(plan):
    return {one.key: one.reason for one in plan.dropped}


def test_pairs_that_belong_together_are_all_used(folder, tmp_path):
    plan = make_plan(Sources(folder, store_of(tmp_path, samples()[::-1])), CheckSettings())
    assert plan.pairs.tolist() == list(range(8))
    assert plan.stored.tolist() == list(range(8))[::-1]
    assert (plan.counts, plan.without_image, plan.several_captioners) == ({}, 0, False)


@pytest.mark.parametrize("images", ["decode", "header"])
def test_each_fault_is_named_and_counted_and_the_rest_is_used(folder, tmp_path, images):
    (folder / "0001.png").write_bytes(b"")
    (folder / "0002.png").write_bytes(b"no image at all")
    whole = (folder / "0003.png").read_bytes()
    (folder / "0003.png").write_bytes(whole[: len(whole) - 30])
    Image.new("RGB", (80, 64)).save(folder / "0004.png")
    stored = samples()
    del stored[5]
    stored += [reinforcement(9, key="9999")]
    plan = make_plan(Sources(folder, store_of(tmp_path, stored)), CheckSettings(images=images))
    expected = {
        "0001": "image: empty",
        "0002": "image: not an image",
        "0003": "image: truncated",
        "0004": "image of another size than the stored crops",
        "0005": "not in the store",
    }
    if images == "header":
        del expected["0003"]  # which only decoding shows
    assert reasons(plan) == expected
    assert plan.counts["not in the store"] == 1
    assert [f"{number:04d}" for number in plan.pairs] == [
        f"{number:04d}" for number in range(8) if f"{number:04d}" not in expected
    ]
    assert plan.without_image == 1
    assert "80 x 64" in next(one.detail for one in plan.dropped if one.key == "0004")


def test_an_image_of_another_resolution_can_be_kept_and_one_of_another_aspect_not(folder, tmp_path):
    Image.new("RGB", (SIZE[0] * 2, SIZE[1] * 2)).save(folder / "0004.png")
    Image.new("RGB", (SIZE[0] * 2, SIZE[1])).save(folder / "0005.png")
    plan = make_plan(Sources(folder, store_of(tmp_path, samples())), CheckSettings(mismatched_sizes="scale"))
    assert reasons(plan) == {"0005": "image of another aspect than the stored crops"}


def test_where_no_size_was_stored_a_crop_outside_the_image_betrays_it(folder, tmp_path):
    stored = [changed(sample, image_size=None) for sample in samples()]
    Image.new("RGB", (8, 8)).save(folder / "0006.png")
    plan = make_plan(Sources(folder, store_of(tmp_path, stored)), CheckSettings())
    assert reasons(plan) == {"0006": "crop outside the image"}


def test_the_store_of_other_pairs_with_the_same_keys_is_betrayed_by_its_captions(folder, tmp_path):
    for number in (2, 5):
        (folder / f"{number:04d}.txt").write_text("something else\n")
    (folder / "0003.txt").write_text("  white ground \n")  # the second of the stored ones
    sources = Sources(folder, store_of(tmp_path, samples()))
    plan = make_plan(sources, CheckSettings())
    assert reasons(plan) == dict.fromkeys(("0002", "0005"), "other captions than the stored ones")
    assert "'something else', stored 'a blue field with a bar'" in plan.dropped[0].detail
    assert make_plan(sources, CheckSettings(mismatched_captions="keep")).counts == {}
    for number in range(8):
        (folder / f"{number:04d}.txt").write_text("something else\n")
    with pytest.raises(InputError, match=r"other captions .*: 8\); .*--checks\.mismatched-captions keep"):
        make_plan(sources, CheckSettings())


def test_pairs_without_captions_of_their_own_take_those_of_the_store(folder, tmp_path):
    for number in range(8):
        (folder / f"{number:04d}.txt").unlink()
    assert make_plan(Sources(folder, store_of(tmp_path, samples())), CheckSettings()).counts == {}


def test_a_pair_without_the_wanted_synthetic_captions_is_left_out_before_the_first_step(folder, tmp_path):
    stored = [reinforcement(number, groups=(("a", 3),) if number else (("b", 3),)) for number in range(7)]
    bare = changed(
        reinforcement(7), synthetic_captions=(), synthetic_embeddings=np.empty((0, 10), np.float32)
    )
    sources = Sources(folder, store_of(tmp_path, [*stored, bare]))

    def counts(**options):
        plan = make_plan(sources, CheckSettings(), ReinforcementSettings(**options))
        return {one.key for one in plan.dropped}

    assert counts() == {"0007"}
    assert counts(synthetic="mix", caption_groups="a") == {"0000", "0007"}
    assert counts(synthetic="none") == set()
    with pytest.raises(InputError, match=r"captioners: 8\); .* or --reinforced\.synthetic none"):
        counts(caption_groups="c")


@pytest.mark.parametrize("images", ["decode", "header"])
def test_a_decompression_bomb_is_named_and_not_opened(folder, tmp_path, images):
    (folder / "0001.png").write_bytes(huge_png(60_000, 60_000))
    sources = Sources(folder, store_of(tmp_path, samples()))
    assert reasons(make_plan(sources, CheckSettings(images=images))) == {"0001": "image: too many pixels"}


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 2.0])
def test_stored_rows_that_are_no_unit_vectors_are_not_trained_on(folder, tmp_path, value):
    # written without the check of conversion, as a file that changed on the disk is
    stored = samples()
    rows = stored[4].text_embeddings.copy()
    rows[1] *= value
    stored[4] = changed(stored[4], text_embeddings=rows)
    plan = make_plan(Sources(folder, store_of(tmp_path, stored)), CheckSettings())
    reason = "not unit vectors" if np.isfinite(value) else "not finite"
    assert reasons(plan) == {"0004": f"stored rows: {reason}"}


def test_without_a_store_a_pair_needs_a_caption(folder):
    (folder / "0002.txt").write_text(" \n")
    plan = make_plan(Sources(folder), CheckSettings())
    assert len(plan.pairs) == 7
    assert "caption" in plan.dropped[0].reason
    assert plan.stored.tolist() == [-1] * 7


def test_strict_stops_at_the_first_fault(folder, tmp_path):
    (folder / "0001.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"0001: image: empty .* leave out --checks\.strict"):
        make_plan(Sources(folder, store_of(tmp_path, samples())), CheckSettings(strict=True))


def test_a_store_for_other_pairs_is_refused_with_the_counts(folder, tmp_path):
    stored = [reinforcement(number, key=f"x{number}") for number in range(3)]
    with pytest.raises(InputError, match=r"no pair can be used \(not in the store: 8\)"):
        make_plan(Sources(folder, store_of(tmp_path, stored)), CheckSettings())


def test_the_plan_is_the_same_after_it_was_written(folder, tmp_path):
    (folder / "0001.png").write_bytes(b"")
    groups = (("a", 1), ("b", 2))
    stored = [reinforcement(number, groups=groups) for number in range(8)]
    plan = make_plan(Sources(folder, store_of(tmp_path, stored)), CheckSettings())
    plan.write(tmp_path)
    back = Plan.read(tmp_path)
    assert (back.pairs.tolist(), back.stored.tolist()) == (plan.pairs.tolist(), plan.stored.tolist())
    assert (back.dropped, back.without_image) == (plan.dropped, plan.without_image)
    assert back.several_captioners


@pytest.mark.slow
def test_the_plan_does_not_depend_on_the_number_of_processes(tmp_path):
    folder = write_pairs(tmp_path / "pairs", count=600)
    (folder / "0300.png").write_bytes(b"")
    sources = Sources(folder)
    one, two = (make_plan(sources, CheckSettings(), workers=workers) for workers in (1, 2))
    assert one.pairs.tolist() == two.pairs.tolist()
    assert one.dropped == two.dropped
