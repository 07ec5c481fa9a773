"""A byte n-gram language model with Witten-Bell smoothing: seconds where a transformer takes minutes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dclm_bench.text.compiled import compiled

ORDER = 5
# what a page is taken to follow, in training and in evaluation
SEPARATOR = b"\n\n"
_FIRST_SLOTS = 1 << 16
Bytes = npt.NDArray[np.uint8]


class ByteNgrams(NamedTuple):
    """Counts of all byte strings of up to five bytes in a text: a hash table with open addressing.

    Attributes:
        keys: uint64 [slots], length and bytes of a string, 0 in a free slot; slots are a power of two.
        counts: int32 [slots], how often the string occurs.
        followers: int32 [slots], how often any byte follows it.
        kinds: int32 [slots], how many different bytes follow it.
    """

    keys: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int32]
    followers: npt.NDArray[np.int32]
    kinds: npt.NDArray[np.int32]


def train_byte_ngrams(text: bytes) -> ByteNgrams:
    """The counts of a text, which is read as one stream; pages in it stand apart by `SEPARATOR`."""
    data = np.frombuffer(SEPARATOR + text, np.uint8)
    table = _empty(_FIRST_SLOTS)
    state = np.zeros(3, np.int64)  # position, strings in the table, recent bytes
    while _count(data, state, *table):
        table = _grown(table)
    return table


def bits_per_byte(model: ByteNgrams, texts: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """Mean bits that the model needs for a byte of each text, float64 [texts]; NaN for an empty one.

    Each text is predicted from its first byte on, as what follows `SEPARATOR`.

    Source: Witten and Bell (1991), method C: the probability of byte w after the string h of k bytes is
    (c(hw) + T(h) P(w | h without its first byte)) / (c(h) + T(h)), where T(h) counts the different bytes that
    follow h; after the empty string the lower distribution is uniform.
    """
    return np.array([_bits(np.frombuffer(text, np.uint8), *model) for text in texts], np.float64)


def _empty(slots: int) -> ByteNgrams:
    zeros = (np.zeros(slots, np.int32) for _ in range(3))
    return ByteNgrams(np.zeros(slots, np.uint64), *zeros)


def _grown(table: ByteNgrams) -> ByteNgrams:
    larger = _empty(4 * len(table.keys))
    _move(*table, *larger)
    return larger


@compiled
def _key(recent: Any, length: Any) -> Any:
    """The name of the last `length` bytes; never 0."""
    mask = (np.uint64(1) << np.uint64(8 * length)) - np.uint64(1)
    return (np.uint64(length + 1) << np.uint64(40)) | (np.uint64(recent) & mask)


@compiled
def _find(keys: Any, key: Any) -> Any:
    """The slot of a key, or the free one where it belongs."""
    mask = np.uint64(len(keys) - 1)
    # the multiplier is 2^64 over the golden ratio; the upper bits of the product are the well mixed ones
    slot = ((key * np.uint64(11400714819323198485)) >> np.uint64(20)) & mask
    while keys[slot] != np.uint64(0) and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@compiled
def _count(data: Any, state: Any, keys: Any, counts: Any, followers: Any, kinds: Any) -> Any:
    """Count on from the position in `state`; whether the table has to grow first.

    The strings of up to four bytes that end before a byte are its contexts. The two bytes of the separator
    are context only.
    """
    position, used, recent = state[0], state[1], state[2]
    if position == 0:
        recent = np.int64(data[0]) << 8 | np.int64(data[1])
        position = 2
    while position < len(data):
        if 2 * (used + 6) > len(keys):
            state[0], state[1], state[2] = position, used, recent
            return True
        byte = np.int64(data[position])
        for length in range(min(position, ORDER - 1) + 1):
            context = _find(keys, _key(recent, length))
            if keys[context] == np.uint64(0):
                keys[context] = _key(recent, length)
                used += 1
            together = recent << 8 | byte
            whole = _find(keys, _key(together, length + 1))
            if keys[whole] == np.uint64(0):
                keys[whole] = _key(together, length + 1)
                used += 1
            if counts[whole] == 0:
                kinds[context] += 1
            followers[context] += 1
            counts[whole] += 1
        recent = (recent << 8 | byte) & np.int64(0xFFFFFFFF)
        position += 1
    return False


@compiled
def _bits(data: Any, keys: Any, counts: Any, followers: Any, kinds: Any) -> Any:
    """Mean bits a byte of one text."""
    total = 0.0
    recent = np.int64(0x0A0A)
    for position in range(len(data)):
        byte = np.int64(data[position])
        probability = 1.0 / 256.0
        for length in range(min(position + 2, ORDER - 1) + 1):
            context = _find(keys, _key(recent, length))
            if keys[context] == np.uint64(0) or kinds[context] == 0:
                break  # an unseen string is in no longer one either
            whole = _find(keys, _key(recent << 8 | byte, length + 1))
            seen = counts[whole] if keys[whole] != np.uint64(0) else 0
            different = kinds[context]
            probability = (seen + different * probability) / (followers[context] + different)
        total -= np.log2(probability)
        recent = (recent << 8 | byte) & np.int64(0xFFFFFFFF)
    return total / len(data)


@compiled
def _move(
    keys: Any,
    counts: Any,
    followers: Any,
    kinds: Any,
    new_keys: Any,
    new_counts: Any,
    new_followers: Any,
    new_kinds: Any,
) -> None:
    """Put every string of a table into a larger, empty one."""
    for slot in range(len(keys)):
        if keys[slot] != np.uint64(0):
            place = _find(new_keys, keys[slot])
            new_keys[place] = keys[slot]
            new_counts[place] = counts[slot]
            new_followers[place] = followers[slot]
            new_kinds[place] = kinds[slot]
