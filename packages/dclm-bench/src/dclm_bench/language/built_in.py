"""A language identifier that is built in: what share of a text is in which of 54 languages.

It stands in where no fastText model is at hand, and is not lid.176: it knows fewer languages, and what is in
another is given to one that is like it. Its figures are made to be used the same way: a page passes
`en > 0.65` where about two thirds of its letters are in English.

A text is cut into windows of about a hundred characters. In each window naive Bayes weighs the languages by
all n-grams (langdetect's profiles), and the windows are averaged by their letters. Averaging, and not one
product over the whole text, is what makes the figure a share: a product is 0 or 1 on any text of some length.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dclm_bench.language.ngram_profiles import Codes, Rows, find_ngrams, load_profiles
from dclm_bench.text.code_points import code_points
from dclm_bench.text.compiled import compiled

NAME = "built-in"

WINDOW_CHARACTERS = 100
# 2,400 characters tell the language of a page; more would cost time without changing the answer.
MAX_WINDOWS = 24
# An n-gram that a language lacks: the share that langdetect gives it as well.
SMOOTHING = 0.5 / 10000
# N-grams overlap, so each counts as a third of an observation.
SHARPNESS = 1 / 3
# A letter that is rarer in every language is a stray in its articles (a name in Georgian script, say), except
# among the thousands of Han characters, which are all rare.
RARE_LETTER = 1e-4
FIRST_IDEOGRAPH = 0x2E80

Scores = npt.NDArray[np.float32]


def identify_language(text: str) -> dict[str, float]:
    """The language with the largest share and that share, 0 to 1, as {code: share}; empty without letters.

    Codes are those of lid.176 (both Chinese scripts are `zh`).
    """
    shares = language_shares(text)
    best = int(shares.argmax())
    return {languages()[best]: float(shares[best])} if shares[best] > 0 else {}


def language_shares(text: str) -> npt.NDArray[np.float64]:
    """float64 [54]: what share of the letters is in each language, in the order of `languages()`.

    Letters that are in no profile, and so in another language, count in the whole; so the sum may be below
    1. Of a long text 24 windows count, evenly spread.
    """
    shares, known_fraction = _shares(code_points(text))
    if known_fraction < 0.5 and (lower := text.lower()) != text:
        # words in capitals have no n-grams in the profiles
        shares, _ = _shares(code_points(lower))
    return shares


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """The codes of the languages that are known, sorted."""
    return tuple(sorted({_code(language) for language in load_profiles().languages}))


def _shares(codes: Codes) -> tuple[npt.NDArray[np.float64], float]:
    profiles = load_profiles()
    scores, is_letter = _log_probabilities()
    found = np.zeros(len(profiles.languages))
    known, letters = _add_windows(
        codes,
        profiles.normal,
        profiles.upper,
        profiles.keys,
        profiles.rows,
        scores,
        is_letter,
        found,
    )
    merged = np.zeros(len(languages()))
    np.add.at(merged, [languages().index(_code(language)) for language in profiles.languages], found)
    return merged / max(letters, 1), known / max(letters, 1)


def _code(language: str) -> str:
    return language.partition("-")[0]


@lru_cache(maxsize=1)
def _log_probabilities() -> tuple[Scores, npt.NDArray[np.bool_]]:
    """float32 [ngrams, languages] of log-probabilities, and which n-grams are letters of a language."""
    profiles = load_profiles()
    scores = np.log(profiles.probabilities + SMOOTHING).astype(np.float32)
    is_letter = np.zeros(len(scores), np.bool_)
    single = (profiles.keys >> np.uint64(16)) == 1
    characters, rows = profiles.keys[single] & np.uint64(0xFFFF), profiles.rows[single]
    frequent = profiles.probabilities[rows].max(axis=1) >= RARE_LETTER
    is_letter[rows[frequent | (characters >= FIRST_IDEOGRAPH)]] = True
    return scores, is_letter


@compiled
def _add_windows(
    codes: Codes,
    normal: Codes,
    upper: npt.NDArray[np.bool_],
    keys: npt.NDArray[np.uint64],
    rows: Rows,
    scores: Scores,
    is_letter: npt.NDArray[np.bool_],
    shares: npt.NDArray[np.float64],
) -> tuple[int, int]:
    """Add to `shares` the letters of each language; the letters that are known, and all letters."""
    size, num_languages = codes.size, shares.size
    num_windows = min(max(size // WINDOW_CHARACTERS, 1), MAX_WINDOWS)
    length = WINDOW_CHARACTERS if num_windows == MAX_WINDOWS else size // num_windows + 1
    found = np.empty(3 * length, np.int32)
    sums = np.empty(num_languages, np.float32)
    all_known = all_letters = 0
    for window in range(num_windows):
        start = window * max(size - length, 0) // max(num_windows - 1, 1)
        if length != WINDOW_CHARACTERS:
            start = window * length
        num_rows, num_letters = find_ngrams(codes[start : start + length], normal, upper, keys, rows, found)
        sums[:] = 0.0
        known = 0
        for index in range(num_rows):
            row = found[index]
            known += is_letter[row]
            for column in range(num_languages):
                sums[column] += scores[row, column]
        all_letters += num_letters
        all_known += known
        if known == 0:
            continue
        largest = sums.max()
        total = 0.0
        for column in range(num_languages):
            total += np.exp((sums[column] - largest) * SHARPNESS)
        for column in range(num_languages):
            shares[column] += known * np.exp((sums[column] - largest) * SHARPNESS) / total
    return all_known, all_letters
