"""Held-out text in training text, by 13-grams of words: found, kept out, and checked again."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from dclm_bench.text.code_points import code_points
from dclm_bench.text.hashes import ngram_hashes, token_hashes
from dclm_bench.text.word_breaks import word_bounds
from dclm_bench.text.words import ALPHANUMERIC, character_classes

NGRAM = 13
Hashes = npt.NDArray[np.uint64]


def ngrams_of(text: str, n: int = NGRAM) -> Hashes:
    """The hashes of all n-grams of words, uint64, sorted and each once; white space and marks are no words.

    A text of fewer words has none.
    """
    codes = code_points(text)
    bounds = word_bounds(codes)
    hashes = token_hashes(codes, bounds)
    words = (character_classes()[codes[bounds[:-1]]] & ALPHANUMERIC) != 0
    return np.unique(ngram_hashes(hashes[words], n))


def find_sharing(held_out: Mapping[str, str], texts: Sequence[str]) -> list[tuple[str, ...]]:
    """For each text the names of the held-out texts with which it has a 13-gram of words in common."""
    if not held_out:
        return [() for _ in texts]
    names = list(held_out)
    by_name = [ngrams_of(text) for text in held_out.values()]
    hashes = np.concatenate(by_name)
    owners = np.repeat(np.arange(len(names)), [len(found) for found in by_name])
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    sharing = []
    for text in texts:
        own = ngrams_of(text)
        first, last = np.searchsorted(hashes, own, "left"), np.searchsorted(hashes, own, "right")
        found_here = first < last
        hits = [
            owners[a:b] for a, b in zip(first[found_here].tolist(), last[found_here].tolist(), strict=True)
        ]
        found = np.unique(np.concatenate(hits)) if hits else np.array([], np.int64)
        sharing.append(tuple(names[index] for index in found.tolist()))
    return sharing


def refuse_leaks(arms: Mapping[str, bytes], held_out: Mapping[str, str]) -> None:
    """Stop where the training text of an arm has a 13-gram of a held-out text in it.

    Pages that share one were left out before; this looks at the bytes that are trained on, so that no mistake
    on the way to them goes unseen.

    Raises:
        InputError: an arm holds one; the message names arm and page.
    """
    known = np.unique(np.concatenate([ngrams_of(text) for text in held_out.values()]))
    for arm, text in arms.items():
        decoded = text.decode("utf-8", "ignore")
        if np.isin(ngrams_of(decoded), known, assume_unique=True).any():
            ((name, *_),) = find_sharing(held_out, [decoded])
            raise InputError(
                f"arm '{arm}': its training text holds {NGRAM} words in a row of the held-out page '{name}', "
                "so the comparison would be void; report this with the data that caused it"
            )
