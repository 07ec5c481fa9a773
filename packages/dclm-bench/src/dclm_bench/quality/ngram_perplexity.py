"""Perplexity under a back-off n-gram model, read from the text format (ARPA) that all such toolkits write."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from toolkit_shared.errors import InputError
from toolkit_shared.records import open_records

from dclm_bench.quality.ngram_text import normalize_for_ngrams
from dclm_bench.quality.scores import once_per_process, require_path, scoring_step
from dclm_bench.steps.step import Compat, Step

Normalization = Literal["ccnet", "none"]

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
MAX_ORDER = 12
# What KenLM gives to words that a model without <unk> does not know.
_NO_CHANCE = -100.0


@dataclass(frozen=True)
class NgramModel:
    """A back-off model.

    Attributes:
        order: Length of the longest n-gram.
        entries: N-gram, words joined by spaces -> log10 of its probability and of its back-off weight.
    """

    order: int
    entries: dict[str, tuple[float, float]]

    def score(self, words: Sequence[str]) -> float:
        """log10 of the probability of a sentence, its end included.

        Source: Katz (1987): the longest n-gram known, and the back-off weights of the contexts before it.
        """
        known = [word if word in self.entries else UNKNOWN for word in words]
        sentence = [BEGIN, *known, END]
        return sum(self._log_probability(sentence, place) for place in range(1, len(sentence)))

    def perplexity(self, lines: Sequence[Sequence[str]]) -> float | None:
        """10 to the mean -log10 probability of a word, ends of lines counted; None without a line.

        Source: as in the official quality enricher, which takes it from CCNet (Wenzek et al., 2020).
        """
        count = sum(len(words) + 1 for words in lines)
        total = sum(self.score(words) for words in lines)
        return 10.0 ** min(-total / count, 300.0) if count else None

    def _log_probability(self, sentence: Sequence[str], place: int) -> float:
        backoff = 0.0
        for first in range(max(0, place - self.order + 1), place + 1):
            entry = self.entries.get(" ".join(sentence[first : place + 1]))
            if entry is not None:
                return backoff + entry[0]
            if first < place:
                context = self.entries.get(" ".join(sentence[first:place]))
                backoff += context[1] if context is not None else 0.0
        return backoff + _NO_CHANCE


def read_arpa(path: str | Path) -> NgramModel:
    """The model of an ARPA file, plain, .gz or .zst; all n-grams are held in memory.

    Raises:
        InputError: the file is missing, is no ARPA file, or is cut off.
    """
    path = Path(path)
    entries: dict[str, tuple[float, float]] = {}
    declared: dict[int, int] = {}
    seen: dict[int, int] = {}
    order = 0
    try:
        with open_records(path) as stream:
            _skip_to_data(path, stream)
            for number, line in enumerate(stream, 1):
                text = line.decode("utf-8", "replace").strip("\r\n ")
                if text == "\\end\\":
                    break
                if text.startswith("ngram "):
                    length, _, count = text.removeprefix("ngram ").partition("=")
                    declared[int(length)] = int(count)
                elif text.startswith("\\"):
                    order = int(text.removeprefix("\\").removesuffix("-grams:"))
                    if not 1 <= order <= MAX_ORDER:
                        raise ValueError(f"n-grams of {order} words")
                elif text:
                    fields = text.split("\t") if "\t" in text else [text]
                    if len(fields) not in (2, 3) or not order:
                        raise ValueError(f"line {number} of the data is no n-gram")
                    entries[fields[1]] = (float(fields[0]), float(fields[2]) if len(fields) == 3 else 0.0)
                    seen[order] = seen.get(order, 0) + 1
            else:
                raise ValueError("it ends early")
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: no usable ARPA file: {error}; write it again") from None
    if seen != {length: count for length, count in declared.items() if count}:
        raise InputError(f"{path}: holds {seen} n-grams where it declares {declared}; write it again")
    return NgramModel(max(seen, default=1), entries)


def kenlm_perplexity_enricher(
    model_path: str,
    key: str = "kenlm_perplexity",
    overwrite: bool = False,
    normalize: Normalization = "ccnet",
    compat: Compat = "official",
) -> Step:
    """Puts the perplexity of each page under a back-off n-gram model under `key`; low is good.

    The official step reads a binary KenLM model of SentencePiece tokens; here the model is an ARPA file, and
    words are what white space separates. The official normalization also deletes line feeds, and so glues the
    last word of a line to the first of the next; `--compat fixed` scores line by line.

    Args:
        model_path: ARPA file, plain, .gz or .zst.
        key: Where the score goes.
        overwrite: Whether to replace a score.
        normalize: "ccnet": digits as 0, plain punctuation, no control characters; or "none".
        compat: Whose lines.

    Raises:
        InputError: the model is missing or unusable.

    Source: official `ken_lm_perplexity_enricher`; CCNet (Wenzek et al., 2020).
    """
    func = "kenlm_perplexity_enricher"
    require_path(func, "model_path", model_path)
    if normalize not in get_args(Normalization):
        raise InputError(
            f"{func}: normalize is {normalize!r}; known are {', '.join(get_args(Normalization))}"
        )
    model: NgramModel = once_per_process(read_arpa, model_path)

    def score(text: str) -> float | None:
        lines = [text] if compat == "official" and normalize == "ccnet" else text.split("\n")
        if normalize == "ccnet":
            lines = [normalize_for_ngrams(line) for line in lines]
        found = model.perplexity([line.split() for line in lines if line.strip()])
        return found if found is None or math.isfinite(found) else None

    return scoring_step(func, key, overwrite, score)


def _skip_to_data(path: Path, stream: BinaryIO) -> None:
    for line in stream:
        if line.strip() == b"\\data\\":
            return
    raise ValueError("it has no line '\\data\\'")
