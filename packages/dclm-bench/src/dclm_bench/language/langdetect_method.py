"""The languages of a text by langdetect's method: the same figures, with its slow part compiled.

Langdetect multiplies the probabilities of randomly chosen n-grams, in seven trials, until one language has
nearly all of the weight. Its time goes into finding the n-grams, character by character in Python; here a
kernel finds them, and the draws come from the same generator in the same order.
"""

import random

import numpy as np
import numpy.typing as npt

from dclm_bench.language.ngram_profiles import load_profiles
from dclm_bench.text.code_points import code_points
from dclm_bench.text.compiled import compiled

DEFAULT_SEED = 0

_TRIALS = 7
_ITERATION_LIMIT = 1000
_CONVERGED = 0.99999
_SHOWN_ABOVE = 0.1
_ALPHA, _ALPHA_WIDTH, _FREQUENCY_UNIT = 0.5, 0.05, 10000
_MAX_CHARACTERS = 10000
_COMBINING_MARKS = 0x300

Probabilities = npt.NDArray[np.float64]


def detect_languages(text: str, seed: int | None = None) -> dict[str, float]:
    """Language codes with their probabilities, those above 0.1, the most likely first; empty without letters.

    Args:
        text: Its first 10,000 characters count.
        seed: Of the draws; None is 0, where langdetect itself would draw differently at each call.

    Source: Nakatani 2010; langdetect 1.0.9, `detect_langs`. Differences in the last bits come from the order
    in which it adds the languages, which is that of a folder.
    """
    profiles = load_profiles()
    codes = code_points(_without_addresses(text))
    rows, _ = profiles.ngrams(_without_foreign_latin(_collapse_spaces(codes[:_MAX_CHARACTERS])))
    if not len(rows):
        return {}
    generator = random.Random()
    generator.seed(DEFAULT_SEED if seed is None else seed)
    choices = range(len(rows))
    mean = np.zeros(len(profiles.languages))
    for _ in range(_TRIALS):
        current = np.full(len(profiles.languages), 1.0 / len(profiles.languages))
        alpha = _ALPHA + generator.gauss(0.0, 1.0) * _ALPHA_WIDTH
        for turn in range(_ITERATION_LIMIT + 1):
            row = rows[generator.choice(choices)]
            _multiply(current, profiles.probabilities, row, alpha / _FREQUENCY_UNIT)
            if turn % 5 == 0 and _normalise(current) > _CONVERGED:
                break
        mean += current / _TRIALS
    order = sorted(range(len(mean)), key=lambda column: mean[column], reverse=True)
    return {profiles.languages[i]: float(mean[i]) for i in order if mean[i] > _SHOWN_ABOVE}


def _without_addresses(text: str) -> str:
    """The text without URLs and mail addresses, Vietnamese letters composed: langdetect's own patterns."""
    from langdetect.detector import Detector
    from langdetect.utils.ngram import NGram

    text = Detector.MAIL_RE.sub(" ", Detector.URL_RE.sub(" ", text))
    composed: str = NGram.normalize_vi(text)
    return composed


def _collapse_spaces(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    is_space = codes == ord(" ")
    doubled = is_space[1:] & is_space[:-1]
    kept: npt.NDArray[np.uint32] = codes[np.concatenate([np.ones(min(len(codes), 1), bool), ~doubled])]
    return kept


def _without_foreign_latin(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The text without A to z where characters from U+0300 on outnumber those two to one.

    Langdetect means to leave out the Latin letters of Vietnamese, but compares a number with their block's
    name, which are never equal; so they count as foreign, as they do here.
    """
    latin = (codes >= ord("A")) & (codes <= ord("z"))
    other = codes >= _COMBINING_MARKS
    kept: npt.NDArray[np.uint32] = codes[~latin] if 2 * latin.sum() < other.sum() else codes
    return kept


@compiled
def _multiply(current: Probabilities, probabilities: Probabilities, row: int, weight: float) -> None:
    for column in range(current.size):
        current[column] *= weight + probabilities[row, column]


@compiled
def _normalise(current: Probabilities) -> float:
    """Divide by the sum; the largest value afterwards."""
    total = 0.0
    for value in current:
        total += value
    largest = 0.0
    for column in range(current.size):
        current[column] /= total
        largest = max(largest, current[column])
    return largest
