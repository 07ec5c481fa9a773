import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llm_compat.data.teacher_cache import TeacherCache, fill_cache
from llm_compat.data.token_rows import TokenRows
from toolkit_shared.errors import InputError

OF = {"old model": "a", "new model": "b", "data": "c"}
WIDTHS = {"old": 3, "new": 5}


def make_rows(lengths=(3, 5, 2, 4, 6)):
    pairs = []
    for start, length in enumerate(lengths):
        trained = np.ones(length, np.bool_)
        trained[-1] = False
        pairs.append((np.arange(start * 10, start * 10 + length, dtype=np.int32), trained))
    return TokenRows.from_rows(pairs)


def states(width, kind):
    """The token's number in every column, plus a fraction."""

    def words(rows, taken):
        tokens = np.concatenate([rows.row(row)[0][rows.row(row)[1]] for row in taken])
        return (tokens[:, None] + np.arange(width) / 16).astype(kind)

    return words


def fill(folder, rows=None, *, precision="float32", kind="<f4", **options):
    teachers = {name: states(width, kind) for name, width in WIDTHS.items()}
    return fill_cache(
        folder, make_rows() if rows is None else rows, teachers, widths=WIDTHS, precision=precision, of=OF,
        write_heads=lambda path, name: path.write_text(name), batch_size=2, **options,
    )  # fmt: skip


def test_each_row_gives_back_the_states_of_its_trained_tokens(tmp_path):
    rows, cache = make_rows(), fill(tmp_path / "cache")

    found = cache.states("new", rows, np.array([3, 0, -1]))

    assert found.dtype == np.float32
    assert found[:, 0].tolist() == [30, 31, 32, 0, 1]
    assert np.array_equal(found, states(5, "<f4")(rows, [3, 0]))
    assert cache.states("old", rows, np.array([-1])).shape == (0, 3)


@pytest.mark.parametrize(("precision", "kind", "size"), [("float16", "<f2", 2), ("bfloat16", "<u2", 2)])
def test_half_precision_takes_half_the_room(tmp_path, precision, kind, size):
    cache = fill(tmp_path / "cache", precision=precision, kind=kind)
    assert (tmp_path / "cache" / "new.bin").stat().st_size == make_rows().trained_tokens * 5 * size
    assert cache.states("new", make_rows(), np.array([0])).dtype == np.dtype(kind)


def test_a_finished_cache_is_taken_as_it_is(tmp_path):
    fill(tmp_path / "cache")
    before = (tmp_path / "cache" / "new.bin").stat().st_mtime_ns
    done = []
    fill(tmp_path / "cache", progress=done.append)
    assert (tmp_path / "cache" / "new.bin").stat().st_mtime_ns == before
    assert done == [5]


PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import llm_compat.data.teacher_cache as cache_module
import test_teacher_cache as tests
mark = cache_module._mark
cache_module._mark = lambda *a, every, **k: mark(*a, every=1, **k)
def slow(number):
    if tests.ROWS_DONE.append(number) or sum(tests.ROWS_DONE) >= int(sys.argv[3]):
        print("now", flush=True)
        time.sleep(60)
tests.fill(Path(sys.argv[2]), progress=slow)
"""
ROWS_DONE = []


@pytest.mark.parametrize("rows_done", [2, 4])
def test_a_killed_cache_goes_on_and_ends_byte_identical(tmp_path, rows_done):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    fill(whole)
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", PROGRAM, here, str(cut), str(rows_done)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"now\n"
        os.kill(process.pid, signal.SIGKILL)
    with (cut / "old.bin").open("ab") as file:
        file.write(b"half-written" * 1000)  # beyond what the marker counts
    done = []

    fill(cut, progress=done.append)

    assert done[0] == rows_done
    assert sum(done) == 5
    assert sorted(path.name for path in cut.iterdir()) == sorted(path.name for path in whole.iterdir())
    for path in whole.iterdir():
        assert path.read_bytes() == (cut / path.name).read_bytes()


def test_what_is_no_cache_of_this_run_is_refused(tmp_path):
    cache, path = fill(tmp_path / "cache"), tmp_path / "cache"
    cases = [
        (
            lambda: TeacherCache(tmp_path),
            f"{tmp_path}: holds no finished cache; make one with 'llm-compat cache'",
        ),
        (
            lambda: cache.check_fits({**OF, "data": "d"}, teachers=("old",)),
            f"{path}: was made for another run: data is c there and d here; make a cache with this run's "
            "models and data",
        ),
        (
            lambda: cache.check_fits(OF, teachers=("third",)),
            f"{path}: has no states of the third model; make a cache with both teachers",
        ),
        (
            lambda: fill(path, make_rows((4, 4))),
            f"{path}: was made with other settings (rows 5 there, 2 here; trained_tokens 15 there, 6 here); "
            "choose another --out, or pass --overwrite",
        ),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            call()
    cache.check_fits(OF, teachers=("old", "new"))


def test_a_cut_file_is_not_read(tmp_path):
    fill(tmp_path / "cache")
    with (tmp_path / "cache" / "new.bin").open("r+b") as file:
        file.truncate(100)
    message = f"{tmp_path / 'cache' / 'new.bin'}: is missing or not 300 bytes long; make the cache anew"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TeacherCache(tmp_path / "cache")
