"""The character n-gram profiles of 55 languages that come with langdetect, as arrays for kernels.

Nothing of them is copied here: langdetect (Apache-2.0) is a dependency, and its files are read at run time.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dclm_bench.text.compiled import compiled

MAX_LENGTH = 3
_BASIC_PLANE = 1 << 16
_CODE_POINTS = 0x110000
_SLOTS = 1 << 18
_SPACE = ord(" ")
_MIX = np.uint64(0x9E3779B97F4A7C15)

Codes = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int32]


@dataclass(frozen=True)
class NgramProfiles:
    """N-grams of 1 to 3 characters with their probabilities in each language.

    Attributes:
        languages: Codes as langdetect has them, sorted.
        probabilities: float64 [ngrams, languages]: among the n-grams of the same length.
        normal: uint32 [code points]: what each character counts as: itself, a space (what is no letter), or
            the one that stands for its group (Hangul, Kana, some Kanji).
        upper: bool [code points]: whether the normal form is an upper-case letter.
        keys: uint64 [slots]: packed n-gram of a slot of the hash table; 0 where it is free.
        rows: int32 [slots]: its row in `probabilities`.
    """

    languages: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    normal: Codes
    upper: npt.NDArray[np.bool_]
    keys: npt.NDArray[np.uint64]
    rows: Rows

    def ngrams(self, codes: Codes) -> tuple[Rows, int]:
        """The rows of the n-grams in a text, in order of their ends and then their length; and its letters.

        N-grams do not reach over a space, and words in capitals have none; those of no language are left out.

        Source: Nakatani, "Language Detection Library for Java" (2010), as in langdetect 1.0.9.
        """
        out = np.empty(MAX_LENGTH * len(codes), np.int32)
        num_rows, num_letters = find_ngrams(codes, self.normal, self.upper, self.keys, self.rows, out)
        return out[:num_rows], int(num_letters)


@lru_cache(maxsize=1)
def load_profiles() -> NgramProfiles:
    """The profiles of the installed langdetect; read once a process, in about half a second."""
    import langdetect
    from langdetect.utils.ngram import NGram

    folder = Path(langdetect.__file__).parent / "profiles"
    # sorted: langdetect takes the order of the folder, on which the last bits of its figures depend
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    ngrams = sorted({ngram for profile in found for ngram in profile["freq"] if len(ngram) <= MAX_LENGTH})
    row_of = {ngram: row for row, ngram in enumerate(ngrams)}
    probabilities = np.zeros((len(ngrams), len(found)))
    for column, profile in enumerate(found):
        totals = profile["n_words"]
        for ngram, count in profile["freq"].items():
            if len(ngram) <= MAX_LENGTH:
                probabilities[row_of[ngram], column] = count / totals[len(ngram) - 1]
    normal = np.arange(_CODE_POINTS, dtype=np.uint32)
    normal[:_BASIC_PLANE] = [ord(NGram.normalize(chr(code))) for code in range(_BASIC_PLANE)]
    capitals = np.fromiter((chr(code).isupper() for code in range(_CODE_POINTS)), bool, _CODE_POINTS)
    keys, rows = _hash_table(ngrams)
    return NgramProfiles(
        languages=tuple(profile["name"] for profile in found),
        probabilities=probabilities,
        normal=normal,
        upper=capitals[normal],
        keys=keys,
        rows=rows,
    )


def _hash_table(ngrams: list[str]) -> tuple[npt.NDArray[np.uint64], Rows]:
    packed = np.zeros(len(ngrams), np.uint64)
    for row, ngram in enumerate(ngrams):
        key = len(ngram)
        for character in ngram:
            key = key << 16 | ord(character)
        packed[row] = key
    keys, rows = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.int32)
    _fill(packed, keys, rows)
    return keys, rows


@compiled
def _slot_of(key: np.uint64, mask: np.uint64) -> np.uint64:
    mixed = key * _MIX
    return (mixed ^ (mixed >> np.uint64(29))) & mask


@compiled
def _fill(packed: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], rows: Rows) -> None:
    mask = np.uint64(keys.size - 1)
    for row in range(packed.size):
        slot = _slot_of(packed[row], mask)
        while keys[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot] = packed[row]
        rows[slot] = row


@compiled
def find_ngrams(
    codes: Codes,
    normal: Codes,
    upper: npt.NDArray[np.bool_],
    keys: npt.NDArray[np.uint64],
    rows: Rows,
    out: Rows,
) -> tuple[int, int]:
    """Kernel of `NgramProfiles.ngrams`: rows into `out` [at least 3 x codes]; how many, and the letters."""
    mask = np.uint64(keys.size - 1)
    num_rows = num_letters = 0
    # the last three characters, packed, of which `held` count; a word begins with a space
    last, held, before = np.uint64(_SPACE), 1, np.uint32(_SPACE)
    in_capitals = False
    for code in codes:
        character = normal[code]
        if before == _SPACE:
            last, held, in_capitals = np.uint64(_SPACE), 1, False
            if character == _SPACE:
                continue
        if character >= 65536:
            # in no profile; as a word's end it would not match either, but must not mix with its neighbours
            packed = np.uint64(0)
        else:
            packed = np.uint64(character)
        last = (last << np.uint64(16) | packed) & np.uint64(0xFFFFFFFFFFFF)
        held = min(held + 1, 3)
        if upper[code]:
            if before != _SPACE and upper[before]:
                in_capitals = True
        else:
            in_capitals = False
        before = character
        if character != _SPACE:
            num_letters += 1
        if in_capitals:
            continue
        for length in range(1, held + 1):
            if length == 1 and character == _SPACE:
                continue
            shift = np.uint64(16 * length)
            key = (last & ((np.uint64(1) << shift) - np.uint64(1))) | (np.uint64(length) << shift)
            slot = _slot_of(key, mask)
            while keys[slot] != 0:
                if keys[slot] == key:
                    out[num_rows] = rows[slot]
                    num_rows += 1
                    break
                slot = (slot + np.uint64(1)) & mask
    return num_rows, num_letters
