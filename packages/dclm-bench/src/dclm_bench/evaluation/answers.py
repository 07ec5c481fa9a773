"""Generated answers compared with the accepted ones."""

import re
import string
from collections.abc import Iterable
from typing import Literal

Match = Literal["prefix", "exact"]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# Two typographic quotes and the acute accent count as punctuation too; each sign becomes a blank.
_SIGNS = str.maketrans(dict.fromkeys(string.punctuation + "\u2018\u2019\u00b4", " "))


def normalise(text: str) -> str:
    """A text in lower case, without signs and articles, `_` and runs of blanks as single blanks.

    Source: the normalisation of TriviaQA's evaluation, which LLM-Foundry uses for generated answers.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_SIGNS)).split())


def final_answer(output: str, stop_texts: Iterable[str] = (), cot_delimiter: str = "") -> str:
    """What of a generated text counts: that before the first stop text, after the last delimiter there.

    Source: LLM-Foundry, `InContextLearningGenerationExactMatchAccuracy`.
    """
    ends = [place for stop in stop_texts if (place := output.find(stop)) >= 0]
    output = output[: min(ends)] if ends else output
    return output.rpartition(cot_delimiter)[2] if cot_delimiter else output


def is_right(answer: str, accepted: Iterable[str], match: Match = "prefix") -> bool:
    """Whether an answer is one of those accepted, all of them normalised.

    Args:
        answer: What `final_answer` gives.
        accepted: The right answer and its other forms; one that is empty when normalised never matches.
        match: "prefix": the answer begins with an accepted one, as LLM-Foundry has it, whose metric is named
            exact match all the same; "exact": it is equal.
    """
    given = normalise(answer)
    wanted = [text for text in map(normalise, accepted) if text]
    return any(given == text or (match == "prefix" and given.startswith(text)) for text in wanted)
