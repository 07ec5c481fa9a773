import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from colour_model import array_bytes, picture, write_tar
from mobileclip.evaluation.datasets import (
    LabelledImages,
    LabelledRecord,
    open_labelled_images,
    read_templates,
)
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses


def write_parquet(
    path: Path, labels: Sequence[int | None], metadata: dict[str, str] | None = None, *, field: str = "image"
) -> Path:
    table = pa.table(
        {
            "key": [f"k{n}" for n in range(len(labels))],
            field: [picture("red")] * len(labels),
            "label": pa.array(labels, pa.int8()),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=2)
    return path


def records(dataset: LabelledImages, losses: Losses | None = None) -> list[LabelledRecord]:
    return list(dataset.read(losses or Losses(strict=True)))


def test_a_parquet_file_gives_its_rows_and_the_names_in_its_metadata(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "test.parquet", [1, 0, 1], {"classes": "cat, dog"})

    dataset = open_labelled_images(path)

    assert (dataset.classnames, dataset.size, dataset.templates) == (("cat", "dog"), 3, None)
    assert [(r.key, r.label) for r in records(dataset)] == [("k0", 1), ("k1", 0), ("k2", 1)]
    assert records(dataset)[2].where == f"{path}, row 2"


def test_the_metadata_of_the_datasets_library_is_read_too(tmp_path: Path) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    path = write_parquet(
        tmp_path / "a.parquet", [0], {"huggingface": json.dumps({"info": {"features": features}})}
    )

    assert open_labelled_images(path).classnames == ("cat", "dog")


def test_of_a_folder_of_parquet_files_those_of_the_split_are_taken(tmp_path: Path) -> None:
    for name in ("test-00000-of-00002", "test-00001-of-00002", "train"):
        write_parquet(tmp_path / f"{name}.parquet", [0], {"classes": "cat,dog"})

    assert open_labelled_images(tmp_path).size == 2
    assert open_labelled_images(tmp_path, split="train").size == 1
    with pytest.raises(InputError, match=r"has no parquet file of the split 'val' but test-0"):
        open_labelled_images(tmp_path, split="val")


def test_rows_that_cannot_be_used_are_counted_with_their_place(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [0, 2, None, -1, 1], {"classes": "cat,dog"})
    losses = Losses()

    found = records(open_labelled_images(path), losses)

    assert [record.key for record in found] == ["k0", "k4"]
    assert losses.lost == {"no label": 3}
    assert losses.examples[0] == {
        "reason": "no label",
        "place": f"{path}, row 1",
        "detail": "2 is not in 0..1",
    }


def test_a_folder_for_each_class_is_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, number in (("b_dog", 1), ("a cat", 2)):
        (tmp_path / "test" / name).mkdir(parents=True)
        for index in range(number):
            (tmp_path / "test" / name / f"{index}.PNG").write_bytes(picture("red"))
        (tmp_path / "test" / name / "notes.txt").write_text("no image")

    dataset = open_labelled_images(tmp_path)

    assert dataset.classnames == ("a cat", "b dog")
    assert [(r.key, r.label) for r in records(dataset)] == [
        ("a cat/0.PNG", 0),
        ("a cat/1.PNG", 0),
        ("b_dog/0.PNG", 1),
    ]
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    assert open_labelled_images(tmp_path).classnames == ("cat", "dog")
    (tmp_path / "classnames.txt").write_text("cat\n")
    with pytest.raises(InputError, match="1 class names for 2 folders"):
        open_labelled_images(tmp_path)


def test_shards_in_the_layout_of_clip_benchmark(tmp_path: Path) -> None:
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    (tmp_path / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\na {c}\n")
    good = {"s0.jpg": picture("red", kind="JPEG"), "s0.cls": b"1", "s0.npy": array_bytes([3, 9])}
    more = {"s1.webp": picture("red", kind="WEBP"), "s1.cls": b" 0\n"}
    bad = {"s2.cls": b"0", "s3.jpg": picture("red"), "s3.cls": b"5", "s4.jpg": picture("red"), "s4.cls": b"x"}
    bad |= {"s5.jpg": picture("red"), "s5.cls": b"0", "s5.npy": b"none"}
    write_tar(tmp_path / "test" / "0.tar", good)
    write_tar(tmp_path / "test" / "1.tar", {**more, **bad})
    losses = Losses()

    dataset = open_labelled_images(tmp_path)
    found = records(dataset, losses)

    assert dataset.templates == ("a photo of a {c}.", "a {c}")
    assert [(r.key, r.label, r.group) for r in found] == [("s0", 1, 3), ("s1", 0, None)]
    assert losses.lost == {"no image": 1, "no label": 2, "no metadata": 1}


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    (tmp_path / "classnames.txt").write_text("cat\n")
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    members = {"a.jpg": picture("red"), "a.cls": b"0", "a.npy": (tmp_path / "evil.npy").read_bytes()}
    write_tar(tmp_path / "test" / "0.tar", members)
    losses = Losses()

    assert records(open_labelled_images(tmp_path), losses) == []
    assert losses.lost == {"no metadata": 1}


def test_the_fingerprint_follows_the_contents(tmp_path: Path) -> None:
    marks = {
        open_labelled_images(
            write_parquet(tmp_path / name / "a.parquet", labels, {"classes": "cat,dog"})
        ).fingerprint
        for name, labels in (("x", [0, 1]), ("y", [0, 1]), ("z", [1, 1]))
    }

    assert len(marks) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "none", "no such file or folder"),
        (lambda p: p, "has no images in folders"),
        (lambda p: write_parquet(p / "a.parquet", [0]), "has no names of its classes; pass --classnames"),
        (
            lambda p: write_parquet(p / "a.parquet", [0], {"classes": "a"}, field="bild"),
            "has none of the columns image, jpg, img but key, bild, label",
        ),
    ],
)
def test_what_holds_no_labelled_images_is_refused(make: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        open_labelled_images(make(tmp_path))  # type: ignore[operator]


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [0] * 9, {"classes": "cat"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cannot be read as parquet"):
        open_labelled_images(path)


def test_a_template_without_a_place_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a {}\na photo\n")
    with pytest.raises(InputError, match=r"t\.txt, line 2: has no \{\} or \{c\}"):
        read_templates(path)
