"""How much of an article's text an extractor found, and how much else: shingle precision, recall and F1."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

SHINGLE_WORDS = 4
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ArticleScore:
    """Means over articles, 0 to 1.

    Attributes:
        precision: Which share of the shingles that were found is in the article.
        recall: Which share of the article's shingles was found.
        f1: Harmonic mean of the two means.
    """

    precision: float
    recall: float
    f1: float


def score_articles(pairs: Iterable[tuple[str, str]]) -> ArticleScore:
    """The score over articles, each counting the same; pairs are the true text and the extracted one.

    Precision is averaged over articles in which something was found, recall over those that have a text.

    Raises:
        ValueError: there is no article of the one kind or the other.

    Source: scrapinghub/article-extraction-benchmark, README, "Evaluation" (4-grams of words, as a multiset).
    """
    precisions, recalls = [], []
    for true, found in pairs:
        wanted, given = shingles(true), shingles(found)
        common = (wanted & given).total()
        if given:
            precisions.append(common / given.total())
        if wanted:
            recalls.append(common / wanted.total())
    if not precisions or not recalls:
        raise ValueError("no article with a text, or no text found in any")
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    both = precision + recall
    return ArticleScore(precision, recall, 2 * precision * recall / both if both else 0.0)


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """How often each run of four words occurs; a shorter text is one run, and an empty one has none."""
    words = _WORD.findall(text)
    if not words:
        return Counter()
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    return Counter(tuple(words[start : start + SHINGLE_WORDS]) for start in range(last))
