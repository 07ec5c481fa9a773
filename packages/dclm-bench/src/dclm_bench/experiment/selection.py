"""The classifier's arm and its controls: which pages of a pool are kept at equal shares."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream

from dclm_bench.experiment.arms import Arms, lengths_of
from dclm_bench.experiment.byte_ngrams import SEPARATOR, bits_per_byte, train_byte_ngrams
from dclm_bench.experiment.configuration import SELECTORS, ExperimentSettings, selection_arm
from dclm_bench.experiment.splits import Split
from dclm_bench.experiment.texts import PageTexts
from dclm_bench.experiment.training_text import keep_highest
from dclm_bench.fasttext import FastTextModel, score_texts, train_supervised

GOOD, OTHER = "hq", "cc"
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RankedPool:
    """What the selectors see.

    Attributes:
        positives: Texts that the classifier is told are good.
        negatives: Texts of random pages; none has a human label, so that these can judge the classifier.
        ranked: Texts of which a share is kept; none of the two above is among them.
    """

    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    ranked: tuple[str, ...]


def ranked_pool(split: Split, settings: ExperimentSettings) -> RankedPool:
    """English pages after the heuristic filters, parted into negatives and pages to rank.

    Pages that have 13 words in a row in common with a positive one are left out.

    Raises:
        AssertionError: a page would be ranked by a classifier that has seen it.
    """
    positive_ids = {page.id for page in split.positives}
    # a text that is there twice could come to be on both sides
    pool: dict[str, bool] = {}
    for page in split.pool:
        if page.english and page.filtered is not None and not positive_ids & {page.id, *page.shares}:
            pool[page.filtered] = pool.get(page.filtered, False) or page.source == "labelled"
    num_negatives = max(2, round(len(pool) * settings.negatives_fraction))
    negatives = [text for text, labelled in pool.items() if not labelled][:num_negatives]
    taken = set(negatives)
    found = RankedPool(
        tuple(page.gold or "" for page in split.positives),
        tuple(negatives),
        tuple(text for text in pool if text not in taken),
    )
    seen = {_digest(text) for text in (*found.positives, *found.negatives)}
    assert not seen & {_digest(text) for text in found.ranked}, "a page is trained on and ranked"
    return found


def selection_arms(
    pool: RankedPool, classifier: FastTextModel, seed: int, settings: ExperimentSettings
) -> Arms:
    """For each selector and share the pages that it keeps, in the order of the pool.

    Source: section 4.4: fastText on positives against random pages, the top share of documents kept.
    """
    scores = score_all(pool, classifier, seed)
    return {
        selection_arm(selector, percent): [
            pool.ranked[index] for index in keep_highest(scores[selector], percent).tolist()
        ]
        for percent in settings.keep_percents
        for selector in SELECTORS
    }


def score_all(pool: RankedPool, classifier: FastTextModel, seed: int) -> dict[str, Scores]:
    """The score of each page to rank by each selector; more is better.

    The classifier's probability of "good"; length; minus the bits a byte needs under a byte model of the same
    positives (low perplexity is kept); and chance.
    """
    model = train_byte_ngrams(SEPARATOR.join(text.encode("utf-8", "replace") for text in pool.positives))
    texts = [text.encode("utf-8", "replace") for text in pool.ranked]
    return {
        "random": stream(seed, "random selection").random(len(texts)),
        "classifier": probability_good(classifier, pool.ranked),
        "length": lengths_of(pool.ranked),
        "perplexity": -np.nan_to_num(bits_per_byte(model, texts), nan=8.0),
    }


def train_classifier(
    positives: Sequence[str], negatives: Sequence[str], seed: int, settings: ExperimentSettings
) -> FastTextModel:
    """A fastText classifier with word pairs, as in the paper, in small."""
    return train_supervised(
        [*positives, *negatives],
        [GOOD] * len(positives) + [OTHER] * len(negatives),
        word_ngrams=2,
        dim=settings.classifier_dim,
        epoch=settings.classifier_epochs,
        lr=settings.classifier_lr,
        bucket=settings.classifier_buckets,
        seed=seed,
    )


def probability_good(classifier: FastTextModel, texts: Sequence[str]) -> Scores:
    """P(good) of each text; 0 where it holds nothing that the classifier knows."""
    return np.nan_to_num(score_texts(classifier, texts, GOOD), nan=0.0)


def labelled_pages(texts: Sequence[PageTexts]) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Texts and labels of the pages that people judged."""
    rows = [(page.main, page.good) for page in texts if page.good is not None]
    return [text for text, _ in rows], np.array([good for _, good in rows], np.bool_)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
