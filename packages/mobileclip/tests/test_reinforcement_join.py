"""Joining stored reinforcement with images: only the right image, and everything else by name."""

import json
from pathlib import Path

import pytest
from mobileclip.commands.dr_join import dr_join
from mobileclip.reinforcement.convert import official_to_store
from mobileclip.reinforcement.join import join_images
from mobileclip.reinforcement.official import read_official
from reinforced_samples import SIZE, TEACHERS, jpeg, plain_members, reinforcement, write_tar
from toolkit_shared.errors import InputError
from toolkit_shared.pairs import open_pairs
from toolkit_shared.shards import read_samples


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Two official tars without images, as the published sets are: k000..k003 and k003..k005."""
    (tmp_path / "dr").mkdir()
    for tar, numbers in enumerate(([0, 1, 2, 3], [3, 4, 5])):
        write_tar(tmp_path / "dr" / f"{tar}.tar", {f"k{n:03d}": plain_members(n) for n in numbers})
    return tmp_path / "dr"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images k001..k006: k002 resized with its aspect kept, k004 cropped, k005 no image."""
    odd = {2: jpeg(2, (32, 24)), 4: jpeg(4, (48, 48)), 5: b"\xff\xd8 broken"}
    folder = tmp_path / "images"
    folder.mkdir()
    write_tar(folder / "a.tar", {f"k{n:03d}": {"jpg": odd.get(n, jpeg(n))} for n in range(1, 7)})
    return folder


def pairs(folder: Path):
    return open_pairs(folder, require_captions=False)


@pytest.mark.parametrize("kind", ["tars", "store"])
def test_only_samples_with_their_own_image_are_joined(
    tmp_path: Path, tars: Path, images: Path, kind: str
) -> None:
    source = tars
    if kind == "store":
        source = tmp_path / "store"
        official_to_store(tars, source, teachers=TEACHERS)

    report = join_images(source, pairs(images), tmp_path / "out", teachers=TEACHERS)

    assert report.num_joined == 2
    assert {reason: found["names"] for reason, found in report.dropped.items()} == {
        "no image of this key": ["k000"],
        "image of another size": ["k002", "k004"],
        "image: not an image": ["k005"],
        "key that comes again": ["k003"],
    }
    assert report.images["image without reinforcement"]["names"] == ["k002", "k004", "k005", "k006"]
    found = {sample.key: sample for sample in read_samples(tmp_path / "out" / "0.tar")}
    assert list(found) == ["k001", "k003"]
    assert found["k001"].members["jpg"] == jpeg(1)
    assert found["k001"].members["json"] == plain_members(1)["json"]
    assert list(read_samples(tmp_path / "out" / "1.tar")) == []
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["dropped"] == report.dropped


def test_resized_images_fit_when_asked_with_scaled_crops(tmp_path: Path, tars: Path, images: Path) -> None:
    report = join_images(tars, pairs(images), tmp_path / "out", teachers=TEACHERS, resized="fit")

    assert (report.num_joined, report.num_fitted) == (3, 1)
    assert report.dropped["image of another size"]["names"] == ["k004"]
    fitted = {sample.key: sample for sample in read_official(tmp_path / "out" / "0.tar", TEACHERS)}["k002"]
    assert fitted.image_size == (32, 24)
    expected = tuple(one.fit_to(SIZE, (32, 24)) for one in reinforcement(2).augmentations)
    assert fitted.augmentations == expected
    assert json.loads(fitted.members["json"]) == {"uid": "k002", "width": 32, "height": 24}


def test_an_image_of_unknown_stored_size_must_hold_the_crops(tmp_path: Path) -> None:
    members = {n: {**plain_members(n), "json": b"{}"} for n in (0, 1)}
    write_tar(tmp_path / "dr.tar", {f"k{n:03d}": value for n, value in members.items()})
    write_tar(tmp_path / "images.tar", {"k000": {"jpg": jpeg(0)}, "k001": {"jpg": jpeg(1, (20, 15))}})

    report = join_images(
        tmp_path / "dr.tar", pairs(tmp_path / "images.tar"), tmp_path / "out", teachers=TEACHERS
    )

    assert report.num_joined == 1
    assert report.dropped["image of another size"]["names"] == ["k001"]


def test_strict_stops_at_the_first(tmp_path: Path, tars: Path, images: Path) -> None:
    with pytest.raises(InputError, match="sample k000: no image of this key"):
        join_images(tars, pairs(images), tmp_path / "out", teachers=TEACHERS, strict=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_join_that_broke_off_goes_on_to_the_same_bytes(tmp_path: Path, tars: Path, images: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    join_images(tars, pairs(images), tmp_path / "whole", teachers=TEACHERS)
    with pytest.raises(KeyboardInterrupt):
        join_images(tars, pairs(images), tmp_path / "out", teachers=TEACHERS, progress=stop)
    assert (tmp_path / "out" / "0.tar").exists()
    assert not (tmp_path / "out" / "1.tar").exists()

    join_images(tars, pairs(images), tmp_path / "out", teachers=TEACHERS)

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_the_shards_are_the_same_for_any_number_of_workers(tmp_path: Path, tars: Path, images: Path) -> None:
    for workers in (1, 2):
        join_images(tars, pairs(images), tmp_path / str(workers), teachers=TEACHERS, workers=workers)

    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_the_command_joins_and_reports(
    tmp_path: Path, tars: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = ("first:12:100", "second:4:60")

    dr_join(tars, images, out=tmp_path / "out", teacher=teacher)
    assert "2 samples joined in 2 shards" in capsys.readouterr().out
    dr_join(tars, images, out=tmp_path / "out", teacher=teacher, json=True)
    assert json.loads(capsys.readouterr().out)["num_joined"] == 2
    with pytest.raises(InputError, match="official tars do not name their teachers; pass --teacher"):
        dr_join(tars, images, out=tmp_path / "o2")
