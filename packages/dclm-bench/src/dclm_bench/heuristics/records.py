"""Steps on the record beside the text, and the one that keeps pages by chance."""

import hashlib
from collections.abc import Sequence
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from dclm_bench.data.page import Page
from dclm_bench.heuristics.checks import as_strings, require_numbers
from dclm_bench.steps.step import Rule, Step

# The endings of RedPajama v1 for GitHub, as the official code has them.
GITHUB_EXTENSIONS = tuple(
    (
        ".asm .bat .cmd .c .h .cs .cpp .hpp .c++ .h++ .cc .hh .C .H .cmake .css .dockerfile .f90 .f .f03 "
        ".f08 .f77 .f95 .for .fpp .go .hs .html .java .js .jl .lua .md .markdown .php .php3 .php4 .php5 "
        ".phps .phpt .pl .pm .pod .perl .ps1 .psd1 .psm1 .py .rb .rs .sql .scala .sh .bash .command .zsh "
        ".ts .tsx .tex .vb Dockerfile Makefile .xml .rst .m .smali"
    ).split()
)


def key_name_modifier(old_key: str = "content", new_key: str = "text", allow_overwrite: bool = False) -> Step:
    """Renames a key of the record; nothing happens where it is not there, or where the new one is taken.

    Here a page always has a text: where the new key is `text`, an empty one counts as not there.

    Source: official `key_name_modifier`.
    """
    func = "key_name_modifier"
    if "text" == old_key:
        raise InputError(f"{func}: old_key is 'text', and a page must keep its text; copy it before the run")

    def apply(page: Page) -> Sequence[float]:
        record = page.record
        if old_key not in record:
            return ()
        if new_key != "text":
            if new_key not in record or allow_overwrite:
                record[new_key] = record.pop(old_key)
        elif isinstance(record[old_key], str) and (not page.text or allow_overwrite):
            page.text = record.pop(old_key)
        return ()

    return Step(func, apply, edits=True)


def github_extension_filter(filename_key: str = "filename", allowed_extensions: Any = None) -> Step:
    """Keeps files whose name, under `filename_key`, has one of the endings; one without a name is dropped.

    Source: official `github_extension_filter`; RedPajama v1.
    """
    func = "github_extension_filter"
    endings = (
        GITHUB_EXTENSIONS
        if allowed_extensions is None
        else tuple(as_strings(func, "allowed_extensions", allowed_extensions))
    )

    def apply(page: Page) -> Sequence[float]:
        name = page.record.get(filename_key, "")
        return (1 if isinstance(name, str) and name.endswith(endings) else 0,)

    return Step(func, apply, (Rule("allowed_extensions", ">=", 1),))


def random_sampling_filter(keep_probability: float = 0.1, seed: int = 0) -> Step:
    """Keeps each page with this probability; the value is the page's number between 0 and 1.

    The number depends on the seed and on the page's text and address alone, so that neither workers nor
    neighbours matter; pages that are equal in both share their fate. The official code draws without a seed.

    Source: official `random_sampling_filter`.
    """
    func = "random_sampling_filter"
    require_numbers(func, keep_probability=keep_probability, seed=seed)
    if not 0 <= keep_probability <= 1:
        raise InputError(f"{func}: keep_probability is {keep_probability}; give a number from 0 to 1")
    if not isinstance(seed, int) or seed < 0:
        raise InputError(f"{func}: seed is {seed!r}; give a whole number from 0")

    def apply(page: Page) -> Sequence[float]:
        digest = hashlib.blake2b(page.text.encode("utf-8", "surrogatepass"), digest_size=8)
        digest.update(str(page.record.get("url", "")).encode("utf-8", "surrogatepass"))
        index = int.from_bytes(digest.digest(), "little")
        return (float(stream(seed, func, index).random()),)

    return Step(func, apply, (Rule("keep_probability", "<", keep_probability),))
