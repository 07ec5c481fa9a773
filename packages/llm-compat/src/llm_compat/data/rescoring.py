"""Scores computed anew from what a log holds, with no model run."""

import re

# The two extractions that the GSM8K task of lm-evaluation-harness defines, as its task file states them.
_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_TARGET = re.compile(r"####\s*(.+?)\s*\Z", re.DOTALL)


def strict_number(output: str) -> str | None:
    """The number after the first `#### `, as it is written; None where there is none.

    Source: task gsm8k of lm-evaluation-harness, filter strict-match.
    """
    found = _STRICT.search(output)
    return found[1].strip() if found else None


def flexible_number(output: str) -> str | None:
    """The last number anywhere, as it is written; None where there is none.

    Source: task gsm8k of lm-evaluation-harness, filter flexible-extract.
    """
    found = _FLEXIBLE.findall(output)
    return (found[-1][0] or found[-1][1]).strip() if found else None


def target_number(target: str) -> str | None:
    """The number of a GSM8K solution: what comes after its last `####`; None where it has none."""
    place = target.rfind("####")
    found = _TARGET.match(target, place) if place >= 0 else None
    return found[1] if found else None


def same_number(answer: str | None, target: str) -> bool:
    """Whether an extracted number is the expected one, by the rule of exact match in GSM8K.

    Commas, dollar signs and a last full stop do not count; `18` and `18.0` differ.

    Source: task gsm8k of lm-evaluation-harness, regexes_to_ignore and ignore_case.
    """
    return answer is not None and _plain(answer) == _plain(target)


def _plain(number: str) -> str:
    return number.replace(",", "").replace("$", "").lower().removesuffix(".")
