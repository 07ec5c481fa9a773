"""Samples of many shards in a shuffled order that depends on seed, epoch and place among the readers only."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream
from toolkit_shared.records import BadRecord
from toolkit_shared.shards.reading import Sample, read_samples


def shard_order(num_shards: int, *, seed: int, epoch: int, resampled: bool = False) -> list[int]:
    """The order of the shards in an epoch: a permutation, or as many draws with replacement.

    The same for all readers, each of which takes its own share of it.
    """
    generator = stream(seed, "order of shards", epoch)
    order = (
        generator.integers(num_shards, size=num_shards) if resampled else generator.permutation(num_shards)
    )
    return [int(index) for index in order]


class SampleStream:
    """The samples of one reader of many, epoch after epoch, without end.

    Reader `reader` of `readers` (processes x loading workers) takes each `readers`-th shard of the epoch's
    order, so that all readers together give each sample once an epoch, or as often as its shard was drawn.
    Shards are read one after the other; a buffer mixes neighbours. What is given out depends on the
    arguments alone; a stream that is set to a saved `state` goes on with the sample after the last one.

        rows = SampleStream(shards, seed=0, reader=rank * workers + worker, readers=world * workers)
        for sample in rows: ...

    Attributes:
        epoch: the epoch of the next sample.
        position: how many samples of this epoch were given out.
    """

    def __init__(
        self,
        shards: Sequence[str | Path],
        *,
        seed: int,
        reader: int = 0,
        readers: int = 1,
        resampled: bool = False,
        shuffle_buffer: int = 1000,
        on_bad: Callable[[BadRecord], None] | None = None,
    ) -> None:
        """Check the arguments; no shard is opened yet.

        Args:
            shards: tar files.
            seed: of the order of shards and of the mixing.
            reader: which one this is, from 0.
            readers: how many there are.
            resampled: draw shards with replacement; then every reader has work, however few shards there are.
            shuffle_buffer: how many samples are held for mixing; 1 keeps the order of each shard.
            on_bad: as in `read_samples`; what was told before a saved state is told again.

        Raises:
            InputError: there are fewer shards than readers, so that one would never give a sample.
            ValueError: `reader` is not below `readers`, or the buffer is not positive.
        """
        if not 0 <= reader < readers or shuffle_buffer < 1:
            raise ValueError(f"reader {reader} of {readers} with a buffer of {shuffle_buffer}")
        if len(shards) < readers:
            raise InputError(
                f"{len(shards)} shards cannot be split over {readers} readers; "
                "pass fewer workers or more shards"
            )
        self.shards = [Path(shard) for shard in shards]
        self.seed, self.reader, self.readers = seed, reader, readers
        self.resampled, self.shuffle_buffer, self.on_bad = resampled, shuffle_buffer, on_bad
        self.epoch = self.position = 0

    def __iter__(self) -> Iterator[Sample]:
        while True:
            rows = self._of_epoch()
            skipped = sum(1 for _ in zip(range(self.position), rows, strict=False))
            if skipped < self.position:
                raise InputError(
                    f"{self.shards[0].parent}: epoch {self.epoch} ends before sample {self.position:,}, "
                    "where the saved state stands; give the same shards as before"
                )
            given = False
            for sample in rows:
                self.position += 1  # before the hand-over: a state saved now counts this sample
                given = True
                yield sample
            if not given and not skipped:
                raise InputError(
                    f"{self.shards[0].parent}: epoch {self.epoch} gives reader {self.reader} of "
                    f"{self.readers} no sample; check the shards, or pass fewer workers"
                )
            self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, with what they are valid for."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "stream": [
                [self.seed, self.reader, self.readers, self.resampled, self.shuffle_buffer],
                [shard.name for shard in self.shards],
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the stream stood that gave `state`.

        Raises:
            InputError: it comes from other shards, another seed or another number of readers.
        """
        if state["stream"] != self.state_dict()["stream"]:
            raise InputError(
                "the saved position is that of a stream with other shards, seed, workers or shuffling; "
                "give the same as before, or start anew"
            )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def _of_epoch(self) -> Iterator[Sample]:
        order = shard_order(len(self.shards), seed=self.seed, epoch=self.epoch, resampled=self.resampled)
        rows = (
            sample
            for index in order[self.reader :: self.readers]
            for sample in read_samples(self.shards[index], on_bad=self.on_bad)
        )
        name = f"mixing of samples, reader {self.reader} of {self.readers}"
        return _mixed(rows, self.shuffle_buffer, stream(self.seed, name, self.epoch))


def _mixed(rows: Iterator[Sample], size: int, generator: np.random.Generator) -> Iterator[Sample]:
    """The rows in another order: each leaves a buffer of the given size at a random moment."""
    buffer: list[Sample] = []
    for row in rows:
        buffer.append(row)
        if len(buffer) >= size:
            index = int(generator.integers(len(buffer)))
            buffer[index], buffer[-1] = buffer[-1], buffer[index]
            yield buffer.pop()
    while buffer:
        index = int(generator.integers(len(buffer)))
        buffer[index], buffer[-1] = buffer[-1], buffer[index]
        yield buffer.pop()
