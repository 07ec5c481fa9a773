"""Comparison of a generated answer with the accepted ones."""

import re
import string
from collections.abc import Iterable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """`text` in lower case, without punctuation and the articles a, an, the, with single spaces.

    Source: the normalisation of the SQuAD evaluation.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def first_answer_line(output: str) -> str:
    """The first line of `output` with something on it, stripped; "" when there is none.

    A model that begins its output with a line break has not answered with nothing.

    Source: the multi-document evaluation of arXiv 2405.13226, which changes the original rule (the text
    before the first line break).
    """
    return next((line.strip() for line in output.splitlines() if line.strip()), "")


def has_answer_line(output: str) -> bool:
    """Whether the first non-empty line of `output` is complete, so that more output cannot change it."""
    lines = output.splitlines(keepends=True)
    # The last line may still grow.
    return any(line.strip() for line in lines[:-1]) or (bool(lines) and _is_ended(lines[-1]))


def best_subspan_em(output: str, answers: Iterable[str]) -> bool:
    """Whether any accepted answer stands within `output`, both normalised.

    Source: Liu et al., "Lost in the middle". An answer of articles alone is empty after normalisation and
    stands in every output; that is the published metric, and kept for comparison.
    """
    given = normalize_answer(output)
    return any(normalize_answer(answer) in given for answer in answers)


def exact_match(output: str, answers: Iterable[str]) -> bool:
    """Whether `output` equals any accepted answer, both normalised."""
    given = normalize_answer(output)
    return any(normalize_answer(answer) == given for answer in answers)


def _is_ended(line: str) -> bool:
    return bool(line.strip()) and line.splitlines()[0] != line
