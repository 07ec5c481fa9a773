"""An order of pairs that is random and still cheap to read."""

import numpy as np

from toolkit_shared.pairs.pair import PairSource
from toolkit_shared.randomness import stream


def shuffled_order(source: PairSource, *, seed: int, epoch: int, blocks_at_once: int = 8) -> np.ndarray:
    """The numbers of all pairs, each once, mixed within few blocks at a time; int64.

    The blocks are put in random order and taken `blocks_at_once` together, whose pairs are mixed. So a reader
    needs no more than these in memory; more of them at once mix better. It depends on seed and epoch alone;
    to split it over readers, each takes its own share of the result.
    """
    blocks = [block for block in source.blocks() if len(block)]
    generator = stream(seed, "order of pairs", epoch)
    order = generator.permutation(len(blocks))
    parts = [np.empty(0, np.int64)]
    for first in range(0, len(blocks), blocks_at_once):
        group = [np.arange(blocks[i].start, blocks[i].stop) for i in order[first : first + blocks_at_once]]
        parts.append(generator.permutation(np.concatenate(group)))
    return np.concatenate(parts)
