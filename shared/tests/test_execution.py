"""Maps over shards: the same outcomes whoever computes them, and no process left behind."""

import functools
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from toolkit_shared import execution
from toolkit_shared.errors import InputError, MissingExtra
from toolkit_shared.execution import map_shards

# What workers run must be importable by its name, there as here.
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import shard_functions  # noqa: E402


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until_dead(processes: list[int], seconds: float = 20) -> list[int]:
    """Those of the processes that still live after some time."""
    end = time.monotonic() + seconds
    while any(map(is_alive, processes)) and time.monotonic() < end:
        time.sleep(0.02)
    return [process for process in processes if is_alive(process)]


def test_outcomes_and_their_order_do_not_depend_on_the_workers() -> None:
    # given units of which the first takes longest
    expected = [(i, i * i) for i in range(12)]

    for workers in (1, 2, 4):
        assert list(map_shards(shard_functions.slow_square, range(12), workers=workers)) == expected


@pytest.mark.slow
def test_ray_gives_the_same_outcomes_and_exceptions() -> None:
    assert list(map_shards(shard_functions.slow_square, range(12), workers=2, engine="ray")) == [
        (i, i * i) for i in range(12)
    ]
    with pytest.raises(InputError) as caught:
        list(map_shards(shard_functions.refuse, range(3), workers=2, engine="ray"))
    assert str(caught.value) == "unit 0: is no good; mend it"
    assert type(caught.value) is InputError

    import ray

    assert not ray.is_initialized()


def test_one_worker_means_this_process_and_more_mean_others() -> None:
    assert set(map_shards(shard_functions.process_number, range(3))) == {os.getpid()}
    assert os.getpid() not in set(map_shards(shard_functions.process_number, range(3), workers=2))


def test_no_items_give_no_outcomes() -> None:
    assert list(map_shards(shard_functions.refuse, [])) == []
    assert list(map_shards(shard_functions.refuse, [], workers=2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_hears_of_each_outcome(workers: int) -> None:
    heard: list[int] = []

    list(map_shards(abs, range(5), workers=workers, progress=heard.append))

    assert heard == [1] * 5


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_error_comes_through_as_it_is(workers: int) -> None:
    with pytest.raises(InputError) as caught:
        list(map_shards(shard_functions.refuse, range(3), workers=workers))

    assert type(caught.value) is InputError
    assert str(caught.value) == "unit 0: is no good; mend it"


def test_a_missing_extra_keeps_its_type() -> None:
    with pytest.raises(MissingExtra, match="it comes with the extra 'plots'"):
        list(map_shards(shard_functions.need_what_is_missing, range(3), workers=2))


def test_other_exceptions_keep_type_and_traceback() -> None:
    with pytest.raises(KeyError) as caught:
        list(map_shards(shard_functions.look_up, range(3), workers=2))

    assert "in look_up" in caught.value.__notes__[0]


def test_an_exception_that_does_not_pickle_is_told_in_words() -> None:
    with pytest.raises(RuntimeError, match="Stubborn: 0 and 1"):
        list(map_shards(shard_functions.be_stubborn, range(3), workers=2))


def test_outcomes_before_an_error_are_given_out() -> None:
    outcomes = map_shards(shard_functions.refuse_the_third, range(100), workers=2)

    assert [next(outcomes) for _ in range(2)] == [0, 1]
    with pytest.raises(InputError, match="unit 2"):
        next(outcomes)


def test_a_worker_that_dies_is_one_line() -> None:
    with pytest.raises(InputError, match="a worker process died, killed or out of memory; pass fewer"):
        list(map_shards(shard_functions.die, range(3), workers=2))


def test_items_are_read_only_as_far_ahead_as_the_workers_need() -> None:
    read: list[int] = []

    def endless() -> Iterator[int]:
        for i in itertools.count():
            read.append(i)
            yield -i

    outcomes = map_shards(abs, endless(), workers=2)
    assert [next(outcomes) for _ in range(10)] == list(range(10))
    outcomes.close()  # type: ignore[attr-defined]

    assert len(read) <= 10 + 2 * execution.IN_FLIGHT_PER_WORKER


def test_an_abandoned_map_ends_its_workers_at_once() -> None:
    outcomes = map_shards(shard_functions.number_and_sleep, [0, 0, 60, 60, 60], workers=2)
    workers = [next(outcomes), next(outcomes)]
    begun = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]

    assert wait_until_dead(workers) == []
    assert time.monotonic() - begun < 20


def test_an_interrupt_is_answered_by_the_parent_alone() -> None:
    # given two workers in the middle of their work, which Ctrl-C on a terminal reaches as well
    outcomes = map_shards(shard_functions.number_and_sleep, [0, 0, 0.5, 0.5], workers=2)
    workers = {next(outcomes), next(outcomes)}
    for worker in workers:
        os.kill(worker, signal.SIGINT)

    # then they go on
    assert set(outcomes) == workers


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_interrupted_or_killed_parent(tmp_path: Path, end: signal.Signals) -> None:
    # given a program with two busy workers and an idle one
    program = f"""if True:
        import sys
        sys.path.insert(0, {str(HERE)!r})
        from shard_functions import note_and_sleep
        from toolkit_shared.execution import map_shards
        if __name__ == "__main__":
            list(map_shards(note_and_sleep, [(s, sys.argv[1]) for s in (60, 60, 0.1)], workers=3))
    """
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "notes").mkdir()
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py", tmp_path / "notes"],
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "notes").iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = [int(note.name) for note in (tmp_path / "notes").iterdir()]
    assert len(workers) == 3
    time.sleep(0.5)
    assert all(map(is_alive, workers))

    # when Ctrl-C reaches the whole group, or the out-of-memory killer the parent only
    if end is signal.SIGINT:
        os.killpg(process.pid, end)
    else:
        process.send_signal(end)
    _, errors = process.communicate(timeout=20)

    # then all are gone, and only the parent tells of it
    assert wait_until_dead(workers) == []
    assert process.returncode == -end
    assert errors.count(b"KeyboardInterrupt") == (1 if end is signal.SIGINT else 0)


def test_what_other_processes_cannot_import_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="cannot be used by other processes"):
        map_shards(lambda item: item, [1], workers=2)
    assert list(map_shards(functools.partial(pow, 2), range(3), workers=2)) == [1, 2, 4]


def test_unknown_engines_and_no_workers_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="engine is 'spark'; known are 'local' and 'ray'"):
        map_shards(abs, [1], engine="spark")
    with pytest.raises(InputError, match=r"^workers: 0 is not positive; give 1 or more$"):
        map_shards(abs, [1], workers=0)


def test_ray_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingExtra, match=r"pip install 'toolkit-shared\[ray\]'"):
        map_shards(abs, [1], engine="ray")
