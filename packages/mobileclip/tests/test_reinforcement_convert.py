"""Conversion both ways without loss; everything left out is counted."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mobileclip.commands.dr_convert import dr_convert
from mobileclip.reinforcement.convert import official_to_store, store_to_official
from mobileclip.reinforcement.official import official_members, read_official
from mobileclip.reinforcement.store import ReinforcedStore
from reinforced_samples import TEACHERS, equal, jpeg, plain_members, reinforcement, unit_rows, write_tar
from toolkit_shared.errors import InputError
from toolkit_shared.shards import read_samples

NAMED = ("first:12:100", "second:4:60")


def official_set(folder: Path, form: str = "npz", **members: bytes) -> list[Path]:
    """Two tars of three samples as the released generator writes them, with images."""
    folder.mkdir(exist_ok=True)
    return [
        write_tar(
            folder / f"{tar:05d}.tar",
            {f"k{n:03d}": {**plain_members(n, form=form), "jpg": jpeg(n), **members} for n in numbers},
        )
        for tar, numbers in enumerate(([0, 1, 2], [3, 4, 5]))
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", ["npz", "pth.gz"])
def test_official_to_store_and_back_loses_nothing(tmp_path: Path, form: str) -> None:
    tars = official_set(tmp_path / "in", form, **{"seg.png": b"mask"})

    report = official_to_store(tmp_path / "in", tmp_path / "store", teachers=TEACHERS, carry="all")
    back = store_to_official(tmp_path / "store", tmp_path / "back")

    assert (report.num_samples, report.num_parts, report.dropped) == (6, 2, {})
    assert report.precision == {"npz": "float32", "pth.gz": "bfloat16"}[form]
    assert (back.num_samples, back.num_parts) == (6, 2)
    for tar in tars:
        before, after = list(read_samples(tar)), list(read_samples(tmp_path / "back" / tar.name))
        assert [sample.key for sample in before] == [sample.key for sample in after]
        for one, two in zip(before, after, strict=True):
            assert set(one.members) == set(two.members)
            for name in ("txt", "url.txt", "json", "jpg", "seg.png"):
                assert one.members[name] == two.members[name]
            for name in ("syn.json", "paug.json"):
                assert json.loads(one.members[name]) == json.loads(two.members[name])
        pairs = zip(
            read_official(tar, TEACHERS), read_official(tmp_path / "back" / tar.name, TEACHERS), strict=True
        )
        assert all(equal(one, two) for one, two in pairs)


def test_the_store_of_the_way_back_is_the_first_one_to_the_byte(tmp_path: Path) -> None:
    samples = {
        "a": reinforcement(1, key="a", captions=3, joined=False),
        "b": reinforcement(2, key="b", image_size=None, synthetic=0),
        "c": reinforcement(
            3, key="c", other_fields={"syn.json": {"x_captions": ["y"]}, "paug.json": {"v": 1}}
        ),
    }
    write_tar(tmp_path / "x.tar", {key: official_members(sample) for key, sample in samples.items()})

    official_to_store(tmp_path / "x.tar", tmp_path / "s1", teachers=TEACHERS)
    store_to_official(tmp_path / "s1", tmp_path / "tars", form="pth.gz")
    official_to_store(tmp_path / "tars", tmp_path / "s2", teachers=TEACHERS)

    first, second = ReinforcedStore.open(tmp_path / "s1"), ReinforcedStore.open(tmp_path / "s2")
    assert first.fingerprint == second.fingerprint
    assert all(equal(one, samples[one.key], members=False) for one in first)


@pytest.mark.slow
def test_the_store_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    official_set(tmp_path / "in")

    for workers in (1, 2):
        official_to_store(tmp_path / "in", tmp_path / f"s{workers}", teachers=TEACHERS, workers=workers)
        store_to_official(tmp_path / f"s{workers}", tmp_path / f"t{workers}", workers=workers)

    assert contents(tmp_path / "s1") == contents(tmp_path / "s2")
    assert contents(tmp_path / "t1") == contents(tmp_path / "t2")


def test_bad_samples_members_and_double_keys_are_counted_by_name(tmp_path: Path) -> None:
    official_set(tmp_path / "in")
    bad = {f"w{n:02d}": plain_members(n, image_emb=unit_rows(n, "image", 2)) for n in range(25)}
    bad["half"] = plain_members(1, form="pth.gz")
    write_tar(tmp_path / "in" / "more.tar", {**bad, "k001": plain_members(1)})
    whole = (tmp_path / "in" / "00001.tar").read_bytes()
    (tmp_path / "in" / "00001.tar").write_bytes(whole[: len(whole) // 2])

    report = official_to_store(tmp_path / "in", tmp_path / "s", teachers=TEACHERS)

    assert report.dropped["wrong row count"] == {"count": 25, "names": [f"w{n:02d}" for n in range(20)]}
    assert report.dropped["another precision"] == {"count": 1, "names": ["half"]}
    assert report.dropped["damaged archive"]["count"] >= 1
    assert "00001.tar, " in report.dropped["damaged archive"]["names"][0]
    assert report.members_left_out == {"jpg": report.num_samples - 1}
    assert report.duplicate_keys == ["k001"]
    text = report.to_text()
    assert "25 wrong row count: w00, w01" in text
    assert "keys that come again (the first is found): k001" in text
    with pytest.raises(InputError, match=r"sample w00: wrong row count|has no end mark"):
        official_to_store(tmp_path / "in", tmp_path / "s2", teachers=TEACHERS, strict=True)


def test_a_set_without_one_usable_sample_says_what_is_wrong_with_the_first(tmp_path: Path) -> None:
    official_set(tmp_path / "in")

    with pytest.raises(InputError, match=r"sample k000: wrong width \(image: shape \[3, 16\], .* = 12\)"):
        official_to_store(tmp_path / "in", tmp_path / "s", teachers=TEACHERS[:1])


def test_members_go_along_as_asked(tmp_path: Path) -> None:
    official_set(tmp_path / "in")

    found = {}
    for carry in ("all", "metadata", "none"):
        official_to_store(tmp_path / "in", tmp_path / carry, teachers=TEACHERS, carry=carry)
        store_to_official(tmp_path / carry, tmp_path / f"{carry}-tars")
        found[carry] = next(iter(read_samples(tmp_path / f"{carry}-tars" / "00000.tar"))).members

    assert set(found["all"]) - set(found["metadata"]) == {"jpg"}
    assert json.loads(found["metadata"]["json"])["uid"] == "k000"
    assert "url.txt" not in found["none"]
    # the stored size is needed to replay the crops, so it is kept without its file
    assert json.loads(found["none"]["json"]) == {"width": 64, "height": 48}


def test_npz_of_bfloat16_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    official_set(tmp_path / "in", "pth.gz")
    official_to_store(tmp_path / "in", tmp_path / "s", teachers=TEACHERS)

    with pytest.raises(InputError, match="npz: cannot hold the bfloat16"):
        store_to_official(tmp_path / "s", tmp_path / "back", form="npz")
    assert not (tmp_path / "back").exists()


def test_the_command_reports_as_text_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    official_set(tmp_path / "in")

    dr_convert(tmp_path / "in", out=tmp_path / "s", teacher=NAMED)
    assert "6 samples in 2 parts, rows of 16 float32" in capsys.readouterr().out
    dr_convert(tmp_path / "in", out=tmp_path / "s", teacher=NAMED, json=True)
    assert json.loads(capsys.readouterr().out)["members_left_out"] == {"jpg": 6}
    dr_convert(tmp_path / "s", out=tmp_path / "t", to="official", json=True)
    assert json.loads(capsys.readouterr().out)["num_parts"] == 2
    for wrong in ({"path": ()}, {"path": (tmp_path / "in",), "operations": 0}, {"path": (tmp_path / "in",)}):
        with pytest.raises(InputError):
            dr_convert(*wrong.pop("path"), out=tmp_path / "w", **wrong)


KILLED = """
import sys, time
from pathlib import Path
from mobileclip.reinforcement import convert
from mobileclip.reinforcement.sample import TeacherInfo
real = convert.without_members
def slowly(*arguments):
    time.sleep(0.05)
    return real(*arguments)
convert.without_members = slowly
teachers = (TeacherInfo("first", 12, 100.0), TeacherInfo("second", 4, 60.0))
print("ready", flush=True)
convert.official_to_store(Path(sys.argv[1]), Path(sys.argv[2]), teachers=teachers)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.3])
def test_a_killed_conversion_goes_on_to_the_same_bytes(tmp_path: Path, seconds: float) -> None:
    official_set(tmp_path / "in")
    official_to_store(tmp_path / "in", tmp_path / "whole", teachers=TEACHERS)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "in"), str(tmp_path / "s")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "s" / "manifest.json").exists()

    official_to_store(tmp_path / "in", tmp_path / "s", teachers=TEACHERS)

    assert contents(tmp_path / "s") == contents(tmp_path / "whole")
