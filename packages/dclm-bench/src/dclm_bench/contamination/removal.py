"""The arm of the paper that drops pages which hold questions: MMLU's and HellaSwag's."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.task_files import Question

from dclm_bench.contamination.overlap import content_tokens
from dclm_bench.contamination.searching import read_task_files
from dclm_bench.data.page import Page
from dclm_bench.steps.step import Rule, Step
from dclm_bench.text.hashes import Hashes, ngram_hashes
from dclm_bench.text.word_breaks import words

MIN_SENTENCE_TOKENS = 5
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def contamination_filter(tasks: str | Sequence[str], min_sentence_tokens: int = MIN_SENTENCE_TOKENS) -> Step:
    """Drop pages that hold the last sentence of a question together with one of its options.

    Both are compared by their words in lower case, signs and blanks left out, and must stand on the page as
    runs of whole words, in any order. The value is the number of questions found so.

    Args:
        tasks: Task files (JSON lines), folders or patterns.
        min_sentence_tokens: A last sentence of fewer words is taken with the sentences before it until there
            are so many; a question that has fewer in all is not looked for.

    Raises:
        InputError: a file is unusable, or `min_sentence_tokens` is below 1.

    Source: appendix on decontamination of the paper. That sentences end at `.`, `!`, `?` and line breaks, and
    the shortest sentence, are choices made here (UNCONFIRMED).
    """
    if not isinstance(min_sentence_tokens, int) or min_sentence_tokens < 1:
        raise InputError(
            f"contamination_filter: min_sentence_tokens is {min_sentence_tokens}; give 1 or more"
        )
    paths: Sequence[str | Path] = [tasks] if isinstance(tasks, str) else tasks
    index = QuestionIndex(
        (question for file in read_task_files(paths) for question in file.questions), min_sentence_tokens
    )

    def apply(page: Page) -> list[float]:
        return [float(index.count(page.text, page.view(content_tokens)))]

    return Step("contamination_filter", apply, (Rule("num_questions", "<=", 0.0),))


class QuestionIndex:
    """Finds questions by their last sentences.

    A page's n-grams of words are looked up among the first words of the sentences; only where one is found
    are texts compared.

    Args:
        questions: What is looked for.
        min_sentence_tokens: See `contamination_filter`.
    """

    def __init__(self, questions: Iterable[Question], min_sentence_tokens: int = MIN_SENTENCE_TOKENS) -> None:
        self._anchor = min_sentence_tokens
        self._by_hash: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
        self.num_too_short = 0
        for question in questions:
            # A schema's contexts hold its options, and its shared end is the sentence.
            is_schema = len(question.contexts) > 1
            context = question.answer if is_schema else question.context
            options = question.contexts if is_schema else question.answers
            sentence = last_sentence(context, min_sentence_tokens)
            bounded = tuple(dict.fromkeys(text for option in options if (text := _bounded(option)).strip()))
            if sentence is None or not bounded:
                self.num_too_short += 1
                continue
            anchor = ngram_hashes(content_tokens(sentence)[: self._anchor], self._anchor)
            self._by_hash.setdefault(int(anchor[0]), []).append((_bounded(sentence), bounded))
        self._anchors = np.array(sorted(self._by_hash), np.uint64)

    def count(self, text: str, tokens: Hashes | None = None) -> int:
        """How many questions stand in a text with their last sentence and an option.

        Args:
            text: The text.
            tokens: Its `content_tokens`, where they are known.
        """
        tokens = content_tokens(text) if tokens is None else tokens
        hits = np.intersect1d(ngram_hashes(tokens, self._anchor), self._anchors)
        if not len(hits):
            return 0
        page = _bounded(text)
        return sum(
            sentence in page and any(option in page for option in options)
            for anchor in hits.tolist()
            for sentence, options in self._by_hash[anchor]
        )


def last_sentence(text: str, min_tokens: int) -> str | None:
    """The last sentence of a text, with those before it until it has `min_tokens` words; None for too few."""
    sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
    for start in range(len(sentences) - 1, -1, -1):
        tail = " ".join(sentences[start:])
        if len(words(tail)) >= min_tokens:
            return tail
    return None


def _bounded(text: str) -> str:
    """The words of a text in lower case between single blanks, so that whole words are compared."""
    return f" {' '.join(words(text.lower()))} "
