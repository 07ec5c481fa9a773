"""The steps that name a page's language, and that keep pages of some languages."""

import math
import string
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.steps.step import Compat, Rule, Step

FASTTEXT, LANGDETECT = "fasttext", "langdetect"
MODELS = (FASTTEXT, LANGDETECT)
_STAND_IN = "no model_path, so the identifier that is built in answers; it is not lid.176"

Languages = dict[str, float]

_BLANK = frozenset(string.punctuation + " ")
_BLANK_FIXED = frozenset(string.punctuation + string.whitespace)


def detect_lang_whole_page_enricher(
    model: str,
    key_prefix: str = "language_id_whole_page",
    overwrite: bool = False,
    seed: int | None = None,
    model_path: str | None = None,
    compat: Compat = "official",
) -> Step:
    """A step that adds `KEY_PREFIX_MODEL`: {language: probability}, empty for a page of blanks.

    "fasttext" gives the one most likely language, "langdetect" all above 0.1. The official code deletes line
    ends before fastText reads a page, which glues the last word of a line to the first of the next; with
    compat "fixed" they become spaces.

    Args:
        model: "fasttext" or "langdetect".
        key_prefix: First part of the key.
        overwrite: Replace a key that the page has already.
        seed: Of langdetect's draws; None is 0 (the official code would draw differently in each run).
        model_path: A fastText model, such as lid.176.bin. Without one the identifier that is built in answers
            for "fasttext"; it is not lid.176. It is a parameter and no environment variable, so that the
            recipe in the manifest says which model was asked.
        compat: Whose semantics.

    Raises:
        InputError: a parameter is unusable; when run, a page has the key already.

    Source: official `baselines/mappers/enrichers/language_id_enrichers.py`.
    """
    if model not in MODELS:
        raise InputError(f"model '{model}' is not known; give fasttext or langdetect")
    if model == FASTTEXT and seed is not None:
        raise InputError("seed: fastText draws nothing; remove it, or take model: langdetect")
    if model != FASTTEXT and model_path is not None:
        raise InputError("model_path: langdetect has no model file; remove it, or take model: fasttext")
    identify = _langdetect(seed) if model == LANGDETECT else _fasttext(model_path, compat)
    blank = _BLANK if compat != "fixed" else _BLANK_FIXED
    key = f"{key_prefix}_{model}"

    def apply(page: Page) -> Sequence[float]:
        if key in page.record and not overwrite:
            raise InputError(f"the page has '{key}' already; give overwrite: true, or another key_prefix")
        page.record[key] = {} if blank.issuperset(page.text) else identify(page.text)
        return ()

    stands_in = model == FASTTEXT and model_path is None
    return Step("detect_lang_whole_page_enricher", apply, note=_STAND_IN if stands_in else "")


def language_filter(
    keep_languages: Sequence[str], key: str = "language_id_whole_page_langdetect", threshold: float = 0.0
) -> Step:
    """A step that keeps pages one of whose languages is to be kept, with a probability above the threshold.

    The value is the largest probability of a language to be kept, and minus infinity where the page has none
    of them: fastText names one language only, so a page of another has no probability for these.

    Args:
        keep_languages: Language codes; a list.
        key: Where an enricher has put {language: probability}.
        threshold: The probability must be above it.

    Raises:
        InputError: a parameter is unusable; when run, a page lacks the key.

    Source: official `baselines/mappers/filters/metadata_filters.py`.
    """
    if isinstance(keep_languages, str) or not all(isinstance(code, str) for code in keep_languages):
        raise InputError("keep_languages: has to be a list of language codes, such as [ en ]")
    if not isinstance(threshold, int | float) or math.isnan(threshold):
        raise InputError(f"threshold: {threshold!r} is no number")
    wanted = tuple(keep_languages)

    def apply(page: Page) -> Sequence[float]:
        found = page.record.get(key)
        if not isinstance(found, dict):
            raise InputError(
                f"a page has no languages under '{key}'; put detect_lang_whole_page_enricher before "
                "language_filter, with the key_prefix and the model of this key"
            )
        return (max((_probability(found.get(code)) for code in wanted), default=-math.inf),)

    return Step("language_filter", apply, (Rule("threshold", ">", float(threshold)),))


def _probability(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else -math.inf


def _langdetect(seed: int | None) -> Callable[[str], Languages]:
    def identify(text: str) -> Languages:
        from dclm_bench.language.langdetect_method import detect_languages

        return detect_languages(text, seed)

    return identify


def _fasttext(model_path: str | None, compat: Compat) -> Callable[[str], Languages]:
    line_end = " " if compat == "fixed" else ""
    predict = _built_in() if model_path is None else _loaded(str(model_path))
    return lambda text: predict(text.replace("\n", line_end))


def _built_in() -> Callable[[str], Languages]:
    def predict(text: str) -> Languages:
        from dclm_bench.language.built_in import identify_language

        return identify_language(text)

    return predict


@lru_cache(maxsize=2)
def _loaded(path: str) -> Callable[[str], Languages]:
    """The most likely label of a fastText model; a model is read once a process."""
    from dclm_bench.fasttext import load_fasttext

    model = load_fasttext(path)
    return lambda text: dict(model.predict(text, k=1))
