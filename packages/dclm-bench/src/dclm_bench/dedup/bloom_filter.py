"""A Bloom filter over 64-bit keys: its size, its two operations as kernels, and a file to resume from.

Never a false "not seen"; a false "seen" with the probability that the size was chosen for. The k positions
of a key are `h + i g` for i = 0 .. k - 1, where h and g are two mixed copies of the key and the seed; the
high word of the product with the number of bits takes each to a position. One hash of 64 bits is drawn out
into k instead of hashing an n-gram k times (as the official filter does); the rate of false positives is
the same, which a test measures.

Source: arXiv 2406.11794 appendix on deduplication, official `dedup/bff`; double hashing after Kirsch and
Mitzenmacher, "Less hashing, same performance" (2006).
"""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError

from dclm_bench.text.compiled import compiled
from dclm_bench.text.hashes import mix

UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

MAGIC = b"DCLMBLM1"
_HEADER = struct.Struct("<8sQIIQQI")  # magic, bits, hashes, n-gram size, seed, inserted keys, checksum

_LOW = np.uint64(0xFFFFFFFF)
_ZERO, _ONE, _SIX, _HALF, _LAST_BIT = (np.uint64(value) for value in (0, 1, 6, 32, 63))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class BloomFilter:
    """The bits, and what is needed to go on with them.

    Attributes:
        bits: uint64 [words]; changed in place by `insert`.
        num_bits: Positions in use, a multiple of 8.
        num_hashes: Positions a key, k.
        ngram_size: Tokens of the n-grams that are its keys; 0 where that is not recorded.
        seed: Of the positions; two filters with different seeds err on different keys.
        num_inserted: Keys that were inserted, repeats counted.
    """

    bits: UInt64s
    num_bits: int
    num_hashes: int
    ngram_size: int = 0
    seed: int = 0
    num_inserted: int = 0

    @classmethod
    def for_ngrams(
        cls, num_ngrams: int, fp_rate: float, *, ngram_size: int = 0, seed: int = 0, num_hashes: int = 0
    ) -> "BloomFilter":
        """An empty filter that holds `num_ngrams` keys at `fp_rate`; `num_hashes` 0 takes the best k."""
        size = filter_bytes(num_ngrams, fp_rate, num_hashes=num_hashes)
        k = num_hashes or optimal_num_hashes(size, num_ngrams)
        return cls(np.zeros((size + 7) // 8, np.uint64), 8 * size, k, ngram_size, seed)

    @property
    def fill_ratio(self) -> float:
        """The fraction of bits that are set; about one half when the filter is as full as it was made for."""
        return int(np.bitwise_count(self.bits).sum()) / self.num_bits

    @property
    def fp_rate(self) -> float:
        """The probability that a key that was never inserted is found: fill ratio to the power of k."""
        return float(self.fill_ratio**self.num_hashes)

    def save(self, path: str | Path) -> None:
        """Write the filter, whole or not at all."""
        data = np.ascontiguousarray(self.bits, "<u8")
        header = _HEADER.pack(
            MAGIC,
            self.num_bits,
            self.num_hashes,
            self.ngram_size,
            self.seed,
            self.num_inserted,
            zlib.crc32(data.data.cast("B")),
        )
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            stream.write(header)
            data.tofile(stream)

    @classmethod
    def load(cls, path: str | Path) -> "BloomFilter":
        """The filter of a file.

        Raises:
            InputError: the file is missing, is no filter of this toolkit, or was cut or changed.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file; give a filter that an earlier run has saved")
        with open(path, "rb") as stream:
            header = stream.read(_HEADER.size)
            if len(header) != _HEADER.size or not header.startswith(MAGIC):
                raise InputError(f"{path}: is no Bloom filter of dclm-bench; give one that it has saved")
            _, num_bits, num_hashes, ngram_size, seed, inserted, checksum = _HEADER.unpack(header)
            words = (num_bits + 63) // 64
            # the size is compared before anything of that size is made
            if path.stat().st_size != _HEADER.size + 8 * words or not (words and 0 < num_hashes <= 1000):
                raise InputError(f"{path}: has another length than its head says; save the filter again")
            bits = np.fromfile(stream, "<u8", words).astype(np.uint64)
        if zlib.crc32(np.ascontiguousarray(bits, "<u8").data.cast("B")) != checksum:
            raise InputError(f"{path}: does not have the checksum of its head; save the filter again")
        return cls(bits, num_bits, num_hashes, ngram_size, seed, inserted)


def optimal_num_hashes(size_in_bytes: int, num_ngrams: int) -> int:
    """k, the number of positions a key: m/n ln 2, rounded up.

    Source: official `BloomFilter::optimal_number_of_hashers`.
    """
    return max(1, math.ceil(8 * size_in_bytes / max(num_ngrams, 1) * math.log(2)))


def false_positive_rate(size_in_bytes: int, num_ngrams: int, num_hashes: int) -> float:
    """The expected rate with `num_ngrams` different keys inserted: (1 - (1 - 1/m)^(k n))^k.

    Source: official `BloomFilter::prob_of_false_positive`.
    """
    bits = 8.0 * size_in_bytes
    # log1p keeps what 1 - 1/m loses for a filter of many gigabytes
    unset = num_hashes * num_ngrams * math.log1p(-1.0 / bits) if bits > 1 else -math.inf
    return float((-math.expm1(unset)) ** num_hashes)


def filter_bytes(num_ngrams: int, fp_rate: float, *, num_hashes: int = 0) -> int:
    """The fewest bytes with which `num_ngrams` keys stay at or below `fp_rate`.

    For a million keys at 0.01 that is 1,199,120 (k = 7); the closed form `textbook_bytes` gives 1,198,132,
    which takes k for a real number and is a little above the rate with a whole one. The official search
    ends a byte to either side of ours, by its starting point.

    Args:
        num_ngrams: Different keys.
        fp_rate: Between 0 and 1, both excluded.
        num_hashes: A fixed k; 0: the best for each size.

    Raises:
        InputError: the rate is out of range, or there would be more than 2^60 bytes.

    Source: official `compute_bloom_size`.
    """
    if not 0 < fp_rate < 1:
        raise InputError(f"fp_rate: {fp_rate} is no rate; give a number above 0 and below 1")

    def rate(size: int) -> float:
        return false_positive_rate(size, num_ngrams, num_hashes or optimal_num_hashes(size, num_ngrams))

    low, high = 1, 8
    while rate(high) > fp_rate:
        low, high = high, 2 * high
        if high > 1 << 60:
            raise InputError(f"fp_rate: no filter can hold {num_ngrams} n-grams at {fp_rate}; raise it")
    while low < high:
        middle = (low + high) // 2
        if rate(middle) > fp_rate:
            low = middle + 1
        else:
            high = middle
    return high


def textbook_bytes(num_ngrams: int, fp_rate: float) -> int:
    """The size by the closed form -n ln p / (ln 2)^2, in whole bytes; for orientation."""
    return int(-num_ngrams * math.log(fp_rate) / math.log(2) ** 2 / 8)


@compiled
def high_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """The upper 64 bits of the product: `a b >> 64`, which takes a hash `a` to a place below `b`."""
    low_a, high_a, low_b, high_b = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = high_a * low_b + ((low_a * low_b) >> _HALF)
    return high_a * high_b + (middle >> _HALF) + ((low_a * high_b + (middle & _LOW)) >> _HALF)


@compiled
def contains(bits: UInt64s, num_bits: np.uint64, num_hashes: int, seed: np.uint64, key: np.uint64) -> bool:
    """Whether all positions of the key are set."""
    place = mix(key ^ seed)
    step = mix((key ^ seed) + _GOLDEN) | _ONE
    for _ in range(num_hashes):
        position = high_product(place, num_bits)
        if (bits[position >> _SIX] >> (position & _LAST_BIT)) & _ONE == _ZERO:
            return False
        place += step
    return True


@compiled
def insert(bits: UInt64s, num_bits: np.uint64, num_hashes: int, seed: np.uint64, key: np.uint64) -> None:
    """Set all positions of the key."""
    place = mix(key ^ seed)
    step = mix((key ^ seed) + _GOLDEN) | _ONE
    for _ in range(num_hashes):
        position = high_product(place, num_bits)
        bits[position >> _SIX] |= _ONE << (position & _LAST_BIT)
        place += step


@compiled
def _contained(bits: UInt64s, num_bits: np.uint64, num_hashes: int, seed: np.uint64, keys: UInt64s) -> Bools:
    found = np.zeros(len(keys), np.bool_)
    for i in range(len(keys)):
        found[i] = contains(bits, num_bits, num_hashes, seed, keys[i])
    return found


@compiled
def _insert_all(bits: UInt64s, num_bits: np.uint64, num_hashes: int, seed: np.uint64, keys: UInt64s) -> None:
    for key in keys:
        insert(bits, num_bits, num_hashes, seed, key)


def contained(bloom: BloomFilter, keys: UInt64s) -> Bools:
    """Which of the keys are found, bool [keys]."""
    found: Bools = _contained(
        bloom.bits, np.uint64(bloom.num_bits), bloom.num_hashes, np.uint64(bloom.seed), keys
    )
    return found


def insert_all(bloom: BloomFilter, keys: UInt64s) -> None:
    """Insert the keys."""
    _insert_all(bloom.bits, np.uint64(bloom.num_bits), bloom.num_hashes, np.uint64(bloom.seed), keys)
    bloom.num_inserted += len(keys)
