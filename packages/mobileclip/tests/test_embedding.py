"""Rows on disk and the search over them, with stand-ins for the model."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileclip.embedding import EmbeddingReport, open_embeddings, top_matches, write_embeddings
from toolkit_shared.artifacts import sha256_file
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses

WIDTH = 4
NUM = 23
BAD = 5


class Encoder:
    """Rows that follow from the item's number; item 5 is lost, and a run may die before a block."""

    def __init__(self, dies_at: int = NUM) -> None:
        self.dies_at, self.blocks = dies_at, list[range]()

    def __call__(
        self, block: range, losses: Losses
    ) -> tuple[Sequence[Mapping[str, Any]], npt.NDArray[np.floating]]:
        if self.dies_at in block:
            raise KeyboardInterrupt
        self.blocks.append(block)
        if BAD in block:
            losses.lose("truncated", f"image {BAD}")
        kept = [number for number in block if number != BAD]
        rows = np.random.default_rng(0).normal(size=(NUM, WIDTH)).astype(np.float32)
        return [{"key": str(number)} for number in kept], rows[kept]


def write(out: Path, encode: Encoder, **options: Any) -> EmbeddingReport:
    options = {"config": {"model": "m"}, "notes": {"model": "tiny"}} | options
    return write_embeddings(out, num_items=NUM, block_items=4, encode_block=encode, width=WIDTH, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_rows_sidecar_and_manifest_belong_together(tmp_path: Path) -> None:
    done: list[int] = []

    report = write(tmp_path / "e.npy", Encoder(), progress=done.append)

    rows = np.load(tmp_path / "e.npy")
    kept = [number for number in range(NUM) if number != BAD]
    assert np.array_equal(rows, np.random.default_rng(0).normal(size=(NUM, WIDTH)).astype(np.float32)[kept])
    lines = (tmp_path / "e.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == [str(number) for number in kept]
    manifest = json.loads((tmp_path / "e.json").read_text())
    assert (manifest["rows"], manifest["items"], manifest["width"], manifest["model"]) == (22, 23, 4, "tiny")
    assert manifest["losses"]["lost"] == {"truncated": 1}
    assert manifest["sha256"]["e.npy"] == sha256_file(tmp_path / "e.npy")
    assert sum(done) == NUM
    assert sorted(contents(tmp_path)) == ["e.json", "e.jsonl", "e.npy"]
    assert report.to_text().splitlines()[0] == f"{tmp_path}/e.npy: 22 rows of 4, float32"
    assert report.to_text().splitlines()[-1] == f"  image {BAD}: truncated"


@pytest.mark.parametrize("dies_at", [0, 9, 22])
def test_a_run_that_died_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, dies_at: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a" / "e.npy", Encoder())
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "b" / "e.npy", Encoder(dies_at))

    encoder = Encoder()
    write(tmp_path / "b" / "e.npy", encoder)

    assert contents(tmp_path / "b") == contents(tmp_path / "a")
    assert encoder.blocks[0].start == dies_at // 4 * 4


def test_a_run_that_died_between_its_last_files_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(path: Path) -> str:
        raise KeyboardInterrupt

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a" / "e.npy", Encoder())
    with monkeypatch.context() as patch:
        patch.setattr("mobileclip.embedding.writing.sha256_file", die)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "b" / "e.npy", Encoder())
    assert (tmp_path / "b" / "e.npy").exists()

    write(tmp_path / "b" / "e.npy", Encoder())

    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    write(tmp_path / "e.npy", Encoder())
    before = contents(tmp_path)

    report = write(tmp_path / "e.npy", Encoder(dies_at=0))

    assert report.was_complete
    assert contents(tmp_path) == before
    with pytest.raises(InputError, match="drop --no-resume"):
        write(tmp_path / "e.npy", Encoder(), resume=False)


def test_another_configuration_is_refused_with_the_difference(tmp_path: Path) -> None:
    write(tmp_path / "e.npy", Encoder())

    with pytest.raises(InputError, match=re.escape("was made otherwise (model m there, n here)")):
        write(tmp_path / "e.npy", Encoder(), config={"model": "n"})
    report = write(tmp_path / "e.npy", Encoder(), config={"model": "n"}, dtype="float16", overwrite=True)

    assert report.manifest["config"] == {"model": "n", "dtype": "float16", "block_items": 4}
    assert open_embeddings(tmp_path / "e.npy").rows.dtype == np.float16


def test_files_of_something_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text('{"mine": 1}')

    with pytest.raises(InputError, match="is there and belongs to something else"):
        write(tmp_path / "e.npy", Encoder(), overwrite=True)
    with pytest.raises(InputError, match=re.escape(f"is no .npy name; write {tmp_path}/e.npy")):
        write(tmp_path / "e.txt", Encoder())


def test_strict_stops_at_the_first_loss_even_if_an_earlier_run_had_counted_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image 5: truncated; mend or remove it"):
        write(tmp_path / "a.npy", Encoder(), losses=Losses(strict=True))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "b.npy", Encoder(dies_at=20))
    with pytest.raises(InputError, match="image 5: truncated; mend or remove it"):
        write(tmp_path / "b.npy", Encoder(), losses=Losses(strict=True))


def test_a_file_without_a_row_is_not_written(tmp_path: Path) -> None:
    def lose_all(block: range, losses: Losses) -> tuple[list[dict[str, Any]], npt.NDArray[np.float32]]:
        for number in block:
            losses.lose("empty", f"image {number}")
        return [], np.empty((0, WIDTH), np.float32)

    with pytest.raises(InputError, match=re.escape("none of 2 items could be used: 2 lost (2 empty)")):
        write_embeddings(
            tmp_path / "e.npy",
            num_items=2,
            block_items=1,
            encode_block=lose_all,
            config={},
            notes={},
            width=WIDTH,
        )
    assert contents(tmp_path) == {}


def test_what_is_no_matrix_of_numbers_is_refused_in_a_line(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "whole.npy", np.zeros((2, 2), np.int64))
    np.savez(tmp_path / "archive.npz", a=np.zeros(2))
    (tmp_path / "text.npy").write_text("x")
    for name, said in (
        ("objects.npy", "is no .npy file that can be read"),
        ("whole.npy", r"holds int64 of shape \(2, 2\)"),
        ("archive.npz", "holds an archive"),
        ("text.npy", "is no .npy file that can be read"),
        ("absent.npy", "no such file"),
    ):
        with pytest.raises(InputError, match=said):
            open_embeddings(tmp_path / name)


def test_rows_of_another_origin_can_be_read_and_a_wrong_manifest_cannot(tmp_path: Path) -> None:
    write(tmp_path / "e.npy", Encoder())
    assert open_embeddings(tmp_path / "e.npy").describe([21, 0]) == {21: {"key": "22"}, 0: {"key": "0"}}

    np.save(tmp_path / "e.npy", np.zeros((3, WIDTH), np.float32))
    with pytest.raises(InputError, match="the files do not belong together"):
        open_embeddings(tmp_path / "e.npy")
    (tmp_path / "e.json").unlink()
    (tmp_path / "e.jsonl").write_text("{}\n")
    foreign = open_embeddings(tmp_path / "e.npy")
    assert foreign.manifest is None
    with pytest.raises(InputError, match="line 3: no JSON object for row 2"):
        foreign.describe([2])


@given(
    st.integers(0, 40), st.integers(1, 3), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**32 - 1)
)
@settings(max_examples=40)
def test_the_search_finds_what_a_full_sort_finds(
    num_rows: int, num_queries: int, top: int, block_rows: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    # whole numbers of few values: many rows are equal
    rows = generator.integers(-1, 2, size=(num_rows, 3)).astype(np.float16)
    queries = generator.normal(size=(num_queries, 3)).astype(np.float32)

    numbers, cosines = top_matches(rows, queries, top=top, block_rows=block_rows)

    assert numbers.shape == cosines.shape == (num_queries, min(top, num_rows))
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    exact = queries.astype(np.float64) @ rows.astype(np.float64).T
    exact /= np.maximum(lengths, 1e-9) * np.linalg.norm(queries.astype(np.float64), axis=1)[:, None]
    for query in range(num_queries):
        best = np.sort(exact[query])[::-1][:top]
        assert np.allclose(cosines[query], best, atol=1e-6)
        assert np.allclose(exact[query, numbers[query]], best, atol=1e-6)
        assert len(set(numbers[query].tolist())) == len(best)


def test_equal_rows_are_found_in_their_order_whatever_the_block() -> None:
    rows = np.tile(
        np.array([[1.0, 0.0]], np.float32), (100, 1)
    )  # so many that sorting is not stable by itself

    for block_rows in (1, 30, 100):
        numbers, _ = top_matches(rows, np.array([[2.0, 0.0]]), top=40, block_rows=block_rows)
        assert numbers.tolist() == [list(range(40))]


def test_a_search_that_makes_no_sense_is_refused() -> None:
    rows = np.ones((3, 2), np.float32)
    with pytest.raises(InputError, match="queries have 3 numbers and the rows 2"):
        top_matches(rows, np.ones((1, 3), np.float32), top=1)
    rows[2, 1] = np.nan
    with pytest.raises(InputError, match="row 2 is not finite"):
        top_matches(rows, np.ones((1, 2), np.float32), top=1, block_rows=2)
    with pytest.raises(ValueError, match="top is 0"):
        top_matches(rows, np.ones((1, 2), np.float32), top=0)
