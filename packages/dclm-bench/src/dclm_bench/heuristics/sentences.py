"""How pages are cut into sentences: with Punkt and its English model, or with what there is without it.

NLTK's English model is not in this package. Whoever has it (`nltk.download("punkt_tab")`) names its folder,
by the parameter `punkt_path` or the environment variable `DCLM_BENCH_PUNKT`; then the sentences are the
official ones. Without it, Punkt runs with the abbreviations below: the built-in rules, and the log says so.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from dclm_bench.heuristics.checks import require_choice
from dclm_bench.heuristics.punkt import PunktParameters, read_parameters, split_sentences

FOLDER_VARIABLE = "DCLM_BENCH_PUNKT"
TOKENIZERS = ("nltk", "blingfire", "rules")
_ABBREVIATIONS = frozenset(
    (
        "adm apr assn assoc aug ave bldg blvd bros capt cf cmdr co col corp dec dept dist dr e.g ed eds "
        "esp est etc feb fig figs gen gov i.e inc jan jr jul jun lt ltd maj mar mr mrs ms mt no nos nov "
        "oct op p pp pres prof pt pvt rep rev sec sen sept sgt sr st supt u.k u.n u.s v vol vols vs a.m "
        "p.m ph.d d.c"
    ).split()
)

log = logging.getLogger(__name__)

Splitter = Callable[[str], list[str]]


def load_splitter(
    tokenizer: str = "blingfire", tokenizer_lang: str | None = None, punkt_path: str | None = None
) -> Splitter:
    """A function from a text to its sentences, the same object for the same arguments.

    Args:
        tokenizer: "nltk": Punkt; "rules": the built-in rules; "blingfire", the official default: the built-in
            rules in its place.
        tokenizer_lang: For "nltk": "en" or "english" for the English model; else Punkt that knows no
            language, which needs no data.
        punkt_path: Folder of the English model; without it, that in the environment.

    Raises:
        InputError: the tokenizer is unknown, or the folder holds no model.
    """
    require_choice("page_length_filter", "tokenizer", tokenizer, TOKENIZERS)
    if tokenizer == "nltk" and tokenizer_lang not in ("en", "english"):
        return _untaught
    folder = punkt_path or os.environ.get(FOLDER_VARIABLE)
    if tokenizer == "nltk" and folder:
        return _with_model(str(folder))
    if tokenizer != "rules":
        log.warning(
            "sentences are cut by the built-in rules, not by %s; see heuristics/sentences.py", tokenizer
        )
    return split_by_rules


def split_by_rules(text: str) -> list[str]:
    """The sentences of an English text by Punkt's decisions and a short list of abbreviations."""
    return split_sentences(text, PunktParameters(_ABBREVIATIONS))


def _untaught(text: str) -> list[str]:
    return split_sentences(text, PunktParameters())


@cache
def _with_model(folder: str) -> Splitter:
    parameters = read_parameters(Path(folder))
    return lambda text: split_sentences(text, parameters)
