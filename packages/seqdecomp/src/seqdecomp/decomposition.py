"""Dataset decomposition: documents cut into sequences whose lengths are powers of two, filed by length.

A document of l tokens is cut from its front into the powers of two of its binary expansion, longest first.

- Target: under "exact" a piece of length n takes n tokens; under "plus1" it takes n + 1, so that each of
  its n inputs has a target, and its length is the largest power of two below the number of tokens that
  remain.
- Overflow: what is longer than the longest sequence is cut into pieces of that length ("greedy"), or, while
  the largest power of two that fits is above it, into pieces of random length n with probability
  proportional to 1 / n ("random").
- Tail, the rest of a document below the shortest length: "drop" leaves it out. "anchor-end" moves the
  document's last piece to end where the document ends: as many tokens are kept, the end-of-text token among
  them, and what is left out lies before that piece (with a single piece: the document's beginning).
  "keep-small" goes on cutting, down to length 1. "pad" makes the tail one sequence of the shortest length,
  with a shorter span; a tail without a prediction (one token under "plus1") is left out.

"plus1" and "random" are what the paper's released code does; the paper does not speak of the tail, so the
policies other than "drop" are choices of this package.

Everything here works on places (where a document starts, how many tokens it has) and never touches a token,
apart from `document_boundaries`, which finds the documents of a raw token file.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from seqdecomp.data.buckets import Bucket

Int64s = npt.NDArray[np.int64]

# Documents are worked on in blocks whose arrays stay in a core's second-level cache; 16k to 64k were equally
# fast, one pass over the whole corpus was three times slower.
_BLOCK_DOCUMENTS = 32_768
_BLOCK_TOKENS = 1 << 18


def decompose(
    document_starts: Int64s,
    document_lengths: Int64s,
    *,
    min_length: int = 256,
    max_length: int = 8192,
    target: Literal["exact", "plus1"] = "exact",
    overflow: Literal["greedy", "random"] = "greedy",
    tail: Literal["drop", "anchor-end", "keep-small", "pad"] = "drop",
    seed: int = 0,
    document_ids: Int64s | None = None,
) -> dict[int, Bucket]:
    """The buckets of a corpus: for each sequence length, where its sequences start.

    Each piece lies in one document and no token is in two pieces. This file's head tells the choices.

    Args:
        document_starts: int64 [documents], global token position of each document.
        document_lengths: int64 [documents], in tokens, the end-of-text token included.
        min_length: Shortest sequence, a power of two.
        max_length: Longest sequence, a power of two.
        target: Whether a sequence of length n holds n tokens or n + 1.
        overflow: How a document longer than the longest sequence is cut.
        tail: What becomes of the rest below `min_length`.
        seed: Seed of the random overflow; each draw depends on (seed, document id, number of the draw) only.
        document_ids: int64 [documents], for a part of a corpus: the documents' numbers in the whole.

    Returns:
        Length to bucket, ascending, empty buckets included. Starts are ascending; spans are given for the
        bucket of `min_length` under "pad" and are None elsewhere.

    Raises:
        ValueError: a length is no power of two, the range is empty, or a document has a negative length.

    Source: the definition of dataset decomposition in arXiv 2405.13226 (section 2); "plus1" and "random" are
    those of the code released with it; the tails other than "drop" are our choice.
    """
    starts = np.ascontiguousarray(document_starts, dtype=np.int64)
    lengths = np.ascontiguousarray(document_lengths, dtype=np.int64)
    _check(starts, lengths, min_length, max_length)
    ids = np.arange(len(starts), dtype=np.int64) if document_ids is None else document_ids
    extra = 1 if target == "plus1" else 0
    shortest = 1 if tail == "keep-small" else min_length
    levels = [1 << i for i in range(max_length.bit_length() - 1, shortest.bit_length() - 2, -1)]
    found: dict[int, list[Int64s]] = {level: [] for level in levels}
    tails: list[tuple[Int64s, Int64s]] = []
    for first in range(0, len(starts), _BLOCK_DOCUMENTS):
        block = slice(first, first + _BLOCK_DOCUMENTS)
        position, remaining = starts[block].copy(), lengths[block].copy()
        if overflow == "random" and max_length > min_length:
            _cut_at_random(position, remaining, ids[block], (min_length, max_length), extra, seed, found)
        anchors = _tail_lengths(remaining, levels, extra) if tail == "anchor-end" else None
        _cut_greedily(position, remaining, levels, extra, anchors, found)
        if tail == "pad":
            tails.append(_padded_tails(position, remaining, extra))
    return _file_by_length(found, tails, min_length, extra)


def document_boundaries(
    tokens: npt.NDArray[np.unsignedinteger], eos_id: int, *, progress: Callable[[int], None] | None = None
) -> tuple[Int64s, Int64s]:
    """Starts and lengths of the documents of a raw token array, each ending with its end-of-text token.

    Tokens after the last end-of-text token make a last document. The array is read once, in blocks, so a
    memory map of any size will do.

    Args:
        tokens: [tokens], any integer type; a memory map is read in order.
        eos_id: The end-of-text token.
        progress: Called with the number of tokens read since the last call.

    Returns:
        int64 [documents] starts and int64 [documents] lengths; lengths sum to the number of tokens.
    """
    total = len(tokens)
    ends: list[Int64s] = []
    for first in range(0, total, _BLOCK_TOKENS):
        block = tokens[first : first + _BLOCK_TOKENS]
        ends.append(_true_places(np.equal(block, eos_id)) + (first + 1))
        if progress is not None:
            progress(len(block))
    found = np.concatenate(ends) if ends else np.zeros(0, np.int64)
    if total and (len(found) == 0 or found[-1] != total):
        found = np.append(found, total)
    starts = np.zeros(len(found), np.int64)
    starts[1:] = found[:-1]
    return starts, found - starts


def _check(starts: Int64s, lengths: Int64s, min_length: int, max_length: int) -> None:
    if starts.shape != lengths.shape or starts.ndim != 1:
        raise ValueError(f"{starts.shape} document starts for {lengths.shape} lengths")
    if len(lengths) and lengths.min() < 0:
        raise ValueError("a document has a negative length")
    for name, value in (("min_length", min_length), ("max_length", max_length)):
        if value < 1 or value & (value - 1):
            raise ValueError(f"{name} {value} is not a power of two")
    if min_length > max_length:
        raise ValueError(f"min_length {min_length} is above max_length {max_length}")


def _cut_greedily(
    position: Int64s,
    remaining: Int64s,
    levels: list[int],
    extra: int,
    tails: Int64s | None,
    found: dict[int, list[Int64s]],
) -> None:
    """Cuts whole documents, longest level first, into `found`; `position` and `remaining` end at the tails.

    With `tails` (what will remain of each document) a document's last piece, after which just the tail
    remains, is moved to the document's end.
    """
    found[levels[0]].append(_cut_longest(position, remaining, levels[0] + extra, tails))
    taken = np.empty(len(remaining), np.int64)
    has = np.empty(len(remaining), np.bool_)
    for level in levels[1:]:
        # Below the longest level a document has at most one piece of each length.
        span = level + extra
        np.greater_equal(remaining, span, out=has)
        np.multiply(has, span, out=taken)
        np.subtract(remaining, taken, out=remaining)
        piece = position[has]
        if tails is not None:
            rest = tails[has]
            piece += rest * (remaining[has] == rest)
        np.add(position, taken, out=position)
        found[level].append(piece)


def _cut_longest(position: Int64s, remaining: Int64s, span: int, tails: Int64s | None) -> Int64s:
    """Starts of all pieces of the longest level, cut off in place; documents may have many."""
    long = np.flatnonzero(remaining >= span)
    number, rest = np.divmod(remaining[long], span)
    last = np.cumsum(number)
    total = int(last[-1]) if len(last) else 0
    nth = np.arange(total) - np.repeat(last - number, number)
    pieces: Int64s = np.repeat(position[long], number) + nth * span
    if tails is not None:
        pieces[last - 1] += tails[long] * (rest == tails[long])
    position[long] += number * span
    remaining[long] = rest
    return pieces


def _tail_lengths(remaining: Int64s, levels: list[int], extra: int) -> Int64s:
    """What will remain of each document below the shortest level."""
    rest: Int64s = np.bitwise_and(remaining, levels[-1] - 1) if not extra else remaining % (levels[0] + extra)
    if extra:
        for level in levels[1:]:
            rest -= (rest >= level + extra) * (level + extra)
    return rest


def _padded_tails(position: Int64s, remaining: Int64s, extra: int) -> tuple[Int64s, Int64s]:
    """Starts and spans of the tails that still hold something to predict from."""
    rest = remaining > extra
    return position[rest], remaining[rest]


def _cut_at_random(
    position: Int64s,
    remaining: Int64s,
    ids: Int64s,
    limits: tuple[int, int],
    extra: int,
    seed: int,
    found: dict[int, list[Int64s]],
) -> None:
    """Cuts pieces of random length off the front of long documents, in place, into `found`."""
    min_length, max_length = limits
    number_of_levels = (max_length // min_length).bit_length()
    weights = (1 << number_of_levels) - 1
    mean_span = number_of_levels * max_length // weights + extra
    threshold = 2 * max_length + extra  # below it the largest power of two that fits is not above max_length
    active = np.flatnonzero(remaining >= threshold)
    drawn = np.zeros(len(active), np.int64)
    while len(active):
        # As many draws as will do on average; draws past a document's end are not used, and a document that
        # needs more comes again. The outcome does not depend on this number.
        number = remaining[active] // mean_span + 1
        first = np.cumsum(number) - number
        owner = np.repeat(np.arange(len(active)), number)
        nth = np.arange(len(owner)) - first[owner]
        uniform = _uniforms(seed, ids[active][owner], drawn[owner] + nth)
        # s is uniform in 1..weights, so floor(log2 s) = j with probability 2^j / weights.
        s = weights - np.floor(uniform * weights)
        length = max_length >> (np.frexp(s)[1].astype(np.int64) - 1)
        before = np.cumsum(length + extra) - (length + extra)
        offset = before - before[first][owner]
        used = remaining[active][owner] - offset >= threshold
        piece = (position[active][owner] + offset)[used]
        length, owner = length[used], owner[used]
        for level in np.unique(length).tolist():
            found[level].append(piece[length == level])
        consumed = np.zeros(len(active), np.int64)
        np.add.at(consumed, owner, length + extra)
        position[active] += consumed
        remaining[active] -= consumed
        drawn += np.bincount(owner, minlength=len(active))
        more = remaining[active] >= threshold
        active, drawn = active[more], drawn[more]


def _uniforms(seed: int, ids: Int64s, numbers: Int64s) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1) that depend on (seed, id, number) only: a counter-based hash (SplitMix64)."""
    key = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64))
    key = _mix(key ^ ids.astype(np.uint64))
    hashed = _mix(key + numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return (hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _file_by_length(
    found: dict[int, list[Int64s]], tails: list[tuple[Int64s, Int64s]], min_length: int, extra: int
) -> dict[int, Bucket]:
    buckets: dict[int, Bucket] = {}
    for level in sorted(found):
        starts = np.concatenate(found[level]) if found[level] else np.zeros(0, np.int64)
        spans = None
        if tails and level == min_length:
            full = np.full(len(starts), min_length + extra, np.int32)
            starts = np.concatenate([starts, *(place for place, _ in tails)])
            spans = np.concatenate([full, *(length.astype(np.int32) for _, length in tails)])
            order = np.argsort(starts, kind="stable")
            starts, spans = starts[order], spans[order]
        elif len(starts) > 1 and not np.all(starts[1:] > starts[:-1]):
            starts = np.sort(starts)  # random overflow, or documents that were not given in order
        buckets[level] = Bucket(starts, spans)
    return buckets


def _true_places(mask: npt.NDArray[np.bool_]) -> Int64s:
    """Places of the true values of a sparse mask, eight values at a time: most words are empty."""
    words = len(mask) // 8
    hits = np.flatnonzero(mask[: words * 8].view(np.uint64) != 0)
    places = (hits[:, None] * 8 + np.arange(8))[mask[: words * 8].reshape(-1, 8)[hits]]
    rest = np.flatnonzero(mask[words * 8 :]) + words * 8
    return np.concatenate([places, rest])
