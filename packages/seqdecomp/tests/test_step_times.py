"""Step times that a run measures, as plans read them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from seqdecomp.cost import StepTimes
from seqdecomp.training import StepTimesLog, step_times

CPU = SimpleNamespace(root_device=torch.device("cpu"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands until it is moved."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(step_times.time, "perf_counter", lambda: clock.now)
    return clock


def trained(log: StepTimesLog, clock: SimpleNamespace, steps: list[tuple[int, int, float]]) -> None:
    """Steps of (rows, length, seconds), each in two micro-batches of half the rows."""
    trainer: Any = SimpleNamespace(
        global_step=0, world_size=1, num_devices=1, is_global_zero=True, strategy=CPU
    )
    log.on_train_start(trainer, None)
    for rows, length, seconds in steps:
        batch: Any = {"input_ids": torch.zeros(rows // 2, length), "length": length}
        for micro in range(2):
            log.on_train_batch_start(trainer, None, batch, micro)
            clock.now += seconds / 2
            trainer.global_step += micro
            log.on_train_batch_end(trainer, None, None, batch, micro)
    log.on_train_end(trainer, None)


def test_the_time_of_a_length_is_the_median_of_its_full_steps_after_the_first(tmp_path, clock):
    steps = [(8, 4, 50.0), (8, 4, 1.0), (4, 8, 5.0), (8, 4, 2.0), (2, 4, 0.1), (8, 4, 9.0)]

    trained(StepTimesLog(tmp_path, batch_tokens=32), clock, steps)

    # Length 4: 1, 2 and 9 s, without the first step and the smaller batch; length 8 has but one.
    assert StepTimes.read(tmp_path) == StepTimes(name="1 x cpu", batch_tokens=32, seconds={4: 2.0, 8: 5.0})


def test_a_resumed_run_keeps_the_times_of_lengths_that_come_no_more(tmp_path, clock):
    trained(StepTimesLog(tmp_path, batch_tokens=32), clock, [(8, 4, 1.0), (4, 8, 5.0)])
    trained(StepTimesLog(tmp_path, batch_tokens=32), clock, [(4, 8, 3.0)])
    assert StepTimes.read(tmp_path).seconds == {4: 1.0, 8: 3.0}

    trained(StepTimesLog(tmp_path, batch_tokens=64), clock, [(8, 8, 7.0)])
    assert StepTimes.read(tmp_path) == StepTimes(name="1 x cpu", batch_tokens=64, seconds={8: 7.0})


def test_a_run_without_a_full_step_leaves_no_table(tmp_path, clock):
    trained(StepTimesLog(tmp_path, batch_tokens=32), clock, [(2, 4, 1.0)])
    assert not list(tmp_path.iterdir())
