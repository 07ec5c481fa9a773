"""Answers in one spelling, so that two runs that said the same are seen to agree."""

import re

from llm_compat.data.outcomes import NO_ANSWER, code_of

INVALID = "[invalid]"
"""What the filters of lm-evaluation-harness give where they find no answer."""

# a sign and a dollar in either order, then digits with commas; a last full stop ends a sentence
_NUMBER = re.compile(r"[-+]?\$?[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)\.?")
_ORNAMENT = str.maketrans("", "", "$,+")


def canonical_answer(text: str) -> str | None:
    """An answer without what does not change it, or None where it is none.

    Space around it goes. A number loses its commas, dollar sign, plus sign and last full stop: `1,000`,
    `1000` and `$1000.` are one answer; `18` and `18.00` are two, as exact match sees them. Empty text and
    `[invalid]` are no answer. Letters keep their case.
    """
    text = text.strip()
    if not text or text == INVALID:
        return None
    if _NUMBER.fullmatch(text):
        return text.translate(_ORNAMENT).removesuffix(".")
    return text


def answer_code(text: str | None) -> int:
    """The code of an answer, equal for answers that are equal in `canonical_answer`; NO_ANSWER for none."""
    answer = None if text is None else canonical_answer(text)
    # half of a surrogate pair is no text but may stand in a log; equal ones stay equal
    return NO_ANSWER if answer is None else code_of(answer.encode("utf-8", "surrogatepass"))


def choice_code(index: int) -> int:
    """The code of the choice at an index, from 0; documents are the same, so their choices are."""
    return code_of(f"choice {index}")
