"""64-bit hashes of tokens and of n-grams of tokens.

Two different tokens collide as two random 64-bit numbers would, with a probability of 2^-64: among a
million different ones some pair does with a probability of 3e-8, among a billion of 3 %. For n-grams it is
at most some sixteen times that (those of the same words in another order differ by an even multiple). The
hashes are the same on every machine and in every release; they are no protection against who looks for
collisions.
"""

import numpy as np
import numpy.typing as npt

from dclm_bench.text.compiled import compiled

Hashes = npt.NDArray[np.uint64]

# Odd constants without structure: 2^64 / golden ratio for words, and the multiplier of n-grams.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_ROLL = np.uint64(0xD1342543DE82EF95)
_SHIFT = np.uint64(32)
_SEED = np.uint64(0x243F6A8885A308D3)


@compiled
def mix(value: np.uint64) -> np.uint64:
    """A bijection of 64 bits in which every bit of the input changes each bit of the output half of the time.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014; constants of Stafford's variant 13).
    """
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def hash_span(codes: npt.NDArray[np.uint32], start: int, end: int) -> np.uint64:
    """The hash of `codes[start:end]`; for use in other kernels."""
    value = _SEED + np.uint64(end - start)
    for place in range(start, end):
        value = (value ^ np.uint64(codes[place])) * _STEP
        value ^= value >> _SHIFT
    return mix(value)


@compiled
def token_hashes(codes: npt.NDArray[np.uint32], bounds: npt.NDArray[np.int64]) -> Hashes:
    """uint64 [len(bounds) - 1]: the hash of each token `codes[bounds[i]:bounds[i + 1]]`."""
    hashes = np.empty(len(bounds) - 1, np.uint64)
    for token in range(len(bounds) - 1):
        hashes[token] = hash_span(codes, bounds[token], bounds[token + 1])
    return hashes


@compiled
def ngram_hashes(hashes: Hashes, n: int) -> Hashes:
    """uint64 [max(0, len(hashes) - n + 1)]: a hash of each n tokens in a row, which depends on their order.

    A polynomial in an odd multiplier modulo 2^64 that rolls along the tokens, so the time does not depend on
    n; its value is mixed at the end. `n` must be at least 1.
    """
    length = max(0, len(hashes) - n + 1)
    found = np.empty(length, np.uint64)
    if length == 0:
        return found
    highest = np.uint64(1)
    for _ in range(n - 1):
        highest *= _ROLL
    value = np.uint64(0)
    for place in range(n - 1):
        value = value * _ROLL + hashes[place]
    for place in range(length):
        value = value * _ROLL + hashes[place + n - 1]
        found[place] = mix(value + np.uint64(n))
        value -= highest * hashes[place]
    return found
