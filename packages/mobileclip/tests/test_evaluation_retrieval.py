import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from colour_model import colour_encoders, picture
from mobileclip.cli import ABOUT, COMMANDS
from mobileclip.evaluation.retrieval import evaluate_retrieval, retrieval_intervals
from toolkit_shared.cli import run
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import open_pairs
from toolkit_shared.zero_shot import RetrievalRanks, read_rows


def write_pairs(path: Path, pairs: list[tuple[bytes, list[str]]]) -> Path:
    table = pa.table(
        {
            "key": [f"p{n}" for n in range(len(pairs))],
            "image": [image for image, _ in pairs],
            "captions": [captions for _, captions in pairs],
        }
    )
    pq.write_table(table, path)
    return path


# the second caption of the second image is of another one
PAIRS = [
    (picture("red"), ["a red wall", "red"]),
    (picture("green"), ["a green wall", "blue"]),
    (picture("blue"), ["a blue wall"]),
]


def test_a_model_that_knows_colours_has_exactly_the_planted_recalls(tmp_path: Path) -> None:
    source = open_pairs(write_pairs(tmp_path / "p.parquet", PAIRS))

    result = evaluate_retrieval(colour_encoders(), source, losses=Losses())

    # by text: 4 of 5 find their image. By image: red and green; the captions of blue tie with a wrong one,
    # which counts against it.
    assert result.metrics["image_retrieval_recall@1"] == 0.8
    assert result.metrics["text_retrieval_recall@1"] == pytest.approx(2 / 3)
    assert result.metrics["text_retrieval_recall@5"] == 1.0
    assert (
        result.metrics["main_metric"] == result.metrics["mean_recall@1"] == pytest.approx((0.8 + 2 / 3) / 2)
    )
    assert (result.num_images, result.num_captions) == (3, 5)


def test_pairs_that_cannot_be_used_are_counted_and_take_their_captions_along(tmp_path: Path) -> None:
    pairs = [(b"broken", ["a red wall"]), *PAIRS, (picture("cyan"), [])]
    source = open_pairs(write_pairs(tmp_path / "p.parquet", pairs))
    losses = Losses()

    result = evaluate_retrieval(colour_encoders(), source, losses=losses, batch_size=2)

    assert (result.num_images, result.num_captions) == (3, 5)
    assert result.metrics["image_retrieval_recall@1"] == 0.8
    assert losses.lost == {"not an image": 1, "no caption": 1}


def test_no_usable_pair_is_an_error(tmp_path: Path) -> None:
    source = open_pairs(write_pairs(tmp_path / "p.parquet", [(b"broken", ["a red wall"])]))
    with pytest.raises(InputError, match=r"none can be used: 1 lost \(1 not an image\)"):
        evaluate_retrieval(colour_encoders(), source, losses=Losses())


def test_intervals_are_over_images_with_all_their_captions() -> None:
    # given 100 images, each with five captions that are all right or all wrong
    right = np.arange(100) % 2
    ranks = RetrievalRanks(np.repeat(1 - right, 5) * 20, (1 - right) * 20)

    found = retrieval_intervals(ranks, np.repeat(np.arange(100), 5))

    # then five captions say no more than one: standard error sqrt(0.25 / 100)
    low, high = found["image_retrieval_recall@1"]
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.05, 0.5 + 1.96 * 0.05), abs=0.02)
    assert found["image_retrieval_recall@1"] == pytest.approx(found["text_retrieval_recall@1"], abs=1e-9)


def test_a_recall_by_text_weighs_captions_and_not_images() -> None:
    # given an image with one caption, which is right, and one with three, which are wrong
    ranks = RetrievalRanks(np.array([0, 1, 1, 1]), np.array([0, 1]))

    found = retrieval_intervals(ranks, np.array([0, 1, 1, 1]))

    # then two draws of the first give 1, of the second 0
    assert found["image_retrieval_recall@1"] == (0.0, 1.0)


def test_the_command_adds_its_line_to_a_result_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write_pairs(tmp_path / "pairs.parquet", PAIRS), tmp_path / "r.jsonl"
    argv = ["eval", "retrieval", str(path), "--model", "MobileCLIP-Tiny", "--random-weights", "--json"]
    argv += ["--out", str(out)]

    assert run("mobileclip", ABOUT, COMMANDS, argv) == 0
    document = json.loads(capsys.readouterr().out)
    assert run("mobileclip", ABOUT, COMMANDS, [*argv, "--workers", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == document

    (row,) = read_rows(out)
    assert row.details["task"] == "zeroshot_retrieval"
    assert row.metrics == document["metrics"]
