"""Streams of samples: each once an epoch, in one order, from wherever they were left."""

from itertools import islice
from pathlib import Path

import pytest
from toolkit_shared.errors import InputError
from toolkit_shared.shards import SampleStream, TarWriter, shard_order


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Seven shards of one to seven samples, 28 in all."""
    paths = [tmp_path / f"{index}.tar" for index in range(7)]
    for index, path in enumerate(paths):
        with TarWriter(path) as shard:
            for number in range(index + 1):
                shard.write(f"{index}-{number}", {"txt": b""})
    return paths


def keys(stream: SampleStream, count: int) -> list[str]:
    return [sample.key for sample in islice(stream, count)]


@pytest.mark.parametrize("readers", [1, 2, 7])
def test_all_readers_together_give_each_sample_once_an_epoch(shards: list[Path], readers: int) -> None:
    given: list[str] = []
    for reader in range(readers):
        stream = SampleStream(shards, seed=3, reader=reader, readers=readers, shuffle_buffer=4)
        for sample in stream:
            if stream.epoch == 1:
                break
            given.append(sample.key)

    assert sorted(given) == sorted(f"{i}-{n}" for i in range(7) for n in range(i + 1))


def test_the_order_depends_on_seed_and_epoch_alone(shards: list[Path]) -> None:
    first, again = (keys(SampleStream(shards, seed=3), 56) for _ in range(2))

    assert first == again
    assert sorted(first[:28]) == sorted(first[28:])
    assert first[:28] != first[28:]
    assert keys(SampleStream(shards, seed=4), 28) != first[:28]


def test_neighbours_are_mixed_anew_each_epoch(shards: list[Path]) -> None:
    given = keys(SampleStream(shards[6:], seed=0), 21)

    assert sorted(given[:7]) == sorted(given[7:14]) == sorted(given[14:])
    assert len({tuple(given[start : start + 7]) for start in (0, 7, 14)}) == 3


def test_a_buffer_of_one_keeps_the_order_of_each_shard(shards: list[Path]) -> None:
    order = shard_order(7, seed=0, epoch=0)

    assert keys(SampleStream(shards, seed=0, shuffle_buffer=1), 28) == [
        f"{index}-{number}" for index in order for number in range(index + 1)
    ]


@pytest.mark.parametrize("done", [0, 1, 27, 28, 29, 60])
def test_a_stream_goes_on_where_its_saved_state_stands(shards: list[Path], done: int) -> None:
    undisturbed = keys(SampleStream(shards, seed=5, resampled=True, shuffle_buffer=3), 90)
    stream = SampleStream(shards, seed=5, resampled=True, shuffle_buffer=3)
    keys(stream, done)

    resumed = SampleStream(shards, seed=5, resampled=True, shuffle_buffer=3)
    resumed.load_state_dict(stream.state_dict())

    assert keys(resumed, 90 - done) == undisturbed[done:]


def test_resampling_draws_shards_with_replacement() -> None:
    order = shard_order(1000, seed=0, epoch=0, resampled=True)

    assert len(order) == 1000
    assert 600 < len(set(order)) < 660  # 1 - 1/e of them: 632
    assert sorted(shard_order(1000, seed=0, epoch=1)) == list(range(1000))


def test_a_state_of_other_shards_is_refused(shards: list[Path]) -> None:
    state = SampleStream(shards, seed=5).state_dict()
    for other in (SampleStream(shards[:6], seed=5), SampleStream(shards, seed=6)):
        with pytest.raises(InputError, match="other shards, seed, workers or shuffling"):
            other.load_state_dict(state)


def test_more_readers_than_shards_are_refused_for_one_would_wait_for_ever(shards: list[Path]) -> None:
    with pytest.raises(InputError, match="7 shards cannot be split over 8 readers; pass fewer workers"):
        SampleStream(shards, seed=0, readers=8)


def test_shards_without_samples_end_in_an_error_and_not_in_a_loop(tmp_path: Path) -> None:
    with TarWriter(tmp_path / "a.tar"):
        pass

    with pytest.raises(InputError, match="epoch 0 gives reader 0 of 1 no sample"):
        next(iter(SampleStream([tmp_path / "a.tar"], seed=0)))
