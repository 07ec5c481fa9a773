"""One split: every arm of every experiment trained on equal bytes, and the held-out pages predicted."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from toolkit_shared.randomness import stream

from dclm_bench.experiment.arms import (
    Arms,
    dedup_arms,
    extraction_arms,
    heuristics_arms,
    language_arms,
    require_text,
)
from dclm_bench.experiment.byte_ngrams import bits_per_byte, train_byte_ngrams
from dclm_bench.experiment.configuration import ExperimentSettings, experiment_of_share
from dclm_bench.experiment.leakage import refuse_leaks
from dclm_bench.experiment.selection import (
    labelled_pages,
    probability_good,
    ranked_pool,
    selection_arms,
    train_classifier,
)
from dclm_bench.experiment.splits import Split, draw_split
from dclm_bench.experiment.texts import PageTexts
from dclm_bench.experiment.training_text import Budgeted, equal_bytes
from dclm_bench.fasttext import FastTextModel
from dclm_bench.quality.auc import quality_auc

Found = dict[str, Any]


def run_split(texts: Sequence[PageTexts], number: int, settings: ExperimentSettings) -> Found:
    """What a split measured, as JSON values: for each experiment, arm and held-out page its bits per byte.

    Raises:
        InputError: there are too few articles, or held-out text is in an arm.
    """
    started = time.process_time()
    split = draw_split(texts, number, settings)
    experiments = {
        "extraction": _predict(split, extraction_arms(split), settings.extraction_bytes),
        "heuristics": _predict(split, heuristics_arms(split), settings.budget_bytes),
        "dedup": _predict(split, dedup_arms(split, settings), settings.budget_bytes),
    }
    if any(page.source == "page" for page in split.pool):
        experiments["language"] = _predict(split, language_arms(split), settings.budget_bytes)
    pool = ranked_pool(split, settings)
    classifier = None
    if pool.positives and pool.negatives and pool.ranked:
        classifier = train_classifier(pool.positives, pool.negatives, number, settings)
        arms = selection_arms(pool, classifier, number, settings)
        for percent in settings.keep_percents:
            own = {arm: pages for arm, pages in arms.items() if arm.endswith(f"-{percent}")}
            experiments[experiment_of_share(percent)] = _predict(split, own, settings.budget_bytes)
    return {
        "split": number,
        "held_out": len(split.held_out),
        "pool": len(split.pool),
        "left_out_for_shared_text": split.num_shared,
        "experiments": experiments,
        "quality": _quality(texts, number, classifier, settings),
        "seconds": time.process_time() - started,
    }


def training_texts(split: Split, arms: Arms, budget_bytes: int) -> Budgeted:
    """Equal bytes for every arm, looked through for held-out text.

    Raises:
        InputError: there is some.
    """
    budgeted = equal_bytes(arms, budget_bytes)
    refuse_leaks(budgeted.texts, split.gold)
    return budgeted


def _predict(split: Split, arms: Arms, budget_bytes: int) -> Found:
    """Bits per byte of every held-out page under every arm, and how much text they had."""
    problem = require_text(arms)
    if problem:
        return {"skipped": problem}
    budgeted = training_texts(split, arms, budget_bytes)
    held_out = [text.encode("utf-8", "replace") for text in split.gold.values()]
    bits = {arm: bits_per_byte(train_byte_ngrams(text), held_out) for arm, text in budgeted.texts.items()}
    return {
        "num_bytes": budgeted.num_bytes,
        "num_pages": budgeted.num_pages,
        "pages_in_all": {arm: len(pages) for arm, pages in arms.items()},
        "bits": {arm: dict(zip(split.gold, values.tolist(), strict=True)) for arm, values in bits.items()},
    }


def _quality(
    texts: Sequence[PageTexts], number: int, classifier: FastTextModel | None, settings: ExperimentSettings
) -> Found:
    """How scores agree with human labels, each beside the length of the page.

    "classifier" is that of the arm: gold articles against random pages, none of them labelled. "supervised"
    is trained on the labelled pages themselves, fold by fold on the others, in the first splits only.
    """
    labelled, good = labelled_pages(texts)
    if min(int(good.sum()), int((~good).sum())) < settings.num_folds:
        return {}
    scores = {} if classifier is None else {"classifier": probability_good(classifier, labelled)}
    if number < settings.supervised_splits:
        scores["supervised"] = _out_of_fold(labelled, good.tolist(), number, settings)
    lengths = [len(text) for text in labelled]
    return {name: quality_auc(values, good, lengths).as_dict() for name, values in scores.items()}


def _out_of_fold(
    labelled: Sequence[str], good: Sequence[bool], number: int, settings: ExperimentSettings
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The score of each labelled page by a classifier that has seen the other folds only."""
    order = stream(number, "folds").permutation(len(labelled))
    scores = np.zeros(len(labelled))
    for fold in np.array_split(order, settings.num_folds):
        rest = np.setdiff1d(order, fold)
        classifier = train_classifier(
            [labelled[index] for index in rest if good[index]],
            [labelled[index] for index in rest if not good[index]],
            number,
            settings,
        )
        scores[fold] = probability_good(classifier, [labelled[index] for index in fold])
    return scores
