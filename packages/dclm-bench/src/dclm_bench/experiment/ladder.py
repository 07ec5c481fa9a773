"""The paper's ladder for token-level models: every arm of a split as documents, to train on another machine.

Extraction, filters, deduplication and selection need this machine's parsers and no GPU; training needs a GPU
and nothing of that. So the arms are made here, once, as lists of tokenised documents in one file.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit_shared.randomness import stream

from dclm_bench.experiment.arms import Arms, bff_texts, require_text
from dclm_bench.experiment.byte_ngrams import SEPARATOR
from dclm_bench.experiment.configuration import (
    ALL_TEXT,
    DEDUPLICATED,
    ENGLISH,
    HEURISTICS,
    MAIN,
    ExperimentSettings,
    experiment_of_share,
    selection_arm,
)
from dclm_bench.experiment.leakage import find_sharing, refuse_leaks
from dclm_bench.experiment.selection import ranked_pool, selection_arms, train_classifier
from dclm_bench.experiment.splits import Split, draw_split
from dclm_bench.experiment.texts import PageTexts
from dclm_bench.experiment.token_arms import ARTICLES, LADDER, RATED, SAME_BYTES, UNSELECTED, TokenArms
from dclm_bench.tokenization.tokenizers import Tokenizer

log = logging.getLogger(__name__)

# In which shares selectors are compared, and which of them. Chance is the control of the paper; length is
# the one that explains most of a page's quality. Shares are of pages, and the classifier keeps short ones, so
# its text is repeated more often than that of chance; `random_same_bytes` is repeated as often.
SELECTED: Mapping[int, tuple[str, ...]] = {
    20: ("random", "classifier", "length"),
    10: ("random", "classifier"),
}
RATED_FRACTION = 0.2


@dataclass(frozen=True)
class LadderSplit:
    """All that a seed trains on and predicts.

    Attributes:
        experiments: Texts by experiment and arm.
        held_out: Texts by domain and page.
        num_shared: Pages left out for text that they share with a page held out.
    """

    experiments: dict[str, Arms]
    held_out: dict[str, dict[str, str]]
    num_shared: int


def ladder_split(
    texts: Sequence[PageTexts],
    number: int,
    settings: ExperimentSettings,
    rated_sharing: Mapping[str, tuple[str, ...]],
) -> LadderSplit:
    """The arms of a split, looked through for held-out text.

    The first experiment is the paper's ladder, each step on what the one before left: all text, main content,
    English, heuristic filters, BFF. The others keep a share of the pool after BFF. Labelled texts, which come
    without HTML, are in the pool of the selectors only.

    Args:
        texts: Of all pages.
        number: Of the split.
        settings: Sizes; shares to keep are those of `SELECTED`.
        rated_sharing: For each page, the pages called good with which it shares text (`share_rated`).

    Raises:
        InputError: there are too few articles, or held-out text is in an arm.
    """
    whole = draw_split(texts, number, settings)
    rated, split = hold_out_rated(whole, rated_sharing)
    experiments = {LADDER: _steps(split), **_selections(split, number, settings)}
    for name in list(experiments):
        problem = require_text(experiments[name])
        if problem:
            log.warning("split %d: %s is left out: %s", number, name, problem)
            del experiments[name]
    held_out = {ARTICLES: split.gold, **({RATED: rated} if rated else {})}
    everything = {page: text for pages in held_out.values() for page, text in pages.items()}
    for arms in experiments.values():
        refuse_leaks(
            {
                arm: SEPARATOR.join(page.encode("utf-8", "replace") for page in pages)
                for arm, pages in arms.items()
            },
            everything,
        )
    return LadderSplit(experiments, held_out, split.num_shared)


def share_rated(texts: Sequence[PageTexts]) -> dict[str, tuple[str, ...]]:
    """For each page that has any, the pages called good that have 13 words in a row in common with it."""
    rated = {page.id: page.main for page in texts if page.good}
    sharing = find_sharing(rated, ["\n".join((page.main, page.all_text)) for page in texts])
    return {page.id: names for page, names in zip(texts, sharing, strict=True) if names}


def hold_out_rated(
    split: Split, rated_sharing: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, str], Split]:
    """A fifth of the English pages called good, and the split without them and what shares their text."""
    rated = [page for page in split.pool if page.good and page.english and page.main]
    order = stream(split.number, "rated pages").permutation(len(rated))[: round(len(rated) * RATED_FRACTION)]
    held_out = {rated[index].id: rated[index].main for index in sorted(order.tolist())}
    pool = tuple(
        page
        for page in split.pool
        if page.id not in held_out and held_out.keys().isdisjoint(rated_sharing.get(page.id, ()))
    )
    num_shared = split.num_shared + len(split.pool) - len(pool) - len(held_out)
    return held_out, replace(split, pool=pool, num_shared=num_shared)


def build_token_arms(
    texts: Sequence[PageTexts],
    seeds: Sequence[int],
    settings: ExperimentSettings,
    tokenizer: Tokenizer,
) -> TokenArms:
    """The arms of all seeds as token ids; a text that several arms have is there once.

    Raises:
        InputError: there are too few articles, or held-out text is in an arm.
    """
    rated_sharing = share_rated(texts)
    documents: dict[str, int] = {}

    def places(pages: Sequence[str]) -> list[int]:
        return [documents.setdefault(page, len(documents)) for page in pages if page]

    seeds_plan: list[dict[str, Any]] = []
    for seed in seeds:
        log.info("arms of seed %d", seed)
        split = ladder_split(texts, seed, settings, rated_sharing)
        seeds_plan.append(
            {
                "seed": seed,
                "left_out_for_shared_text": split.num_shared,
                "experiments": {
                    name: {arm: places(pages) for arm, pages in arms.items()}
                    for name, arms in split.experiments.items()
                },
                "held_out": {
                    domain: {page: places([text])[0] for page, text in pages.items() if text}
                    for domain, pages in split.held_out.items()
                },
            }
        )
    log.info("tokens of %d texts", len(documents))
    return TokenArms.of_documents(
        [tokenizer.encode(text) for text in documents],
        [len(text.encode("utf-8", "replace")) for text in documents],
        {
            "tokenizer": tokenizer.name,
            "vocab_size": tokenizer.vocab_size,
            "eot_id": tokenizer.eot_id,
            "seeds": seeds_plan,
        },
    )


def _steps(split: Split) -> Arms:
    """Each step of the recipe on what the one before left, up to BFF."""
    pool = [page for page in split.pool if page.source != "labelled"]
    filtered = [page.filtered for page in pool if page.english and page.filtered]
    return {
        ALL_TEXT: [page.all_text for page in pool],
        MAIN: [page.main for page in pool],
        ENGLISH: [page.main for page in pool if page.english],
        HEURISTICS: filtered,
        DEDUPLICATED: [text for text in bff_texts(filtered) if text],
    }


def _selections(split: Split, number: int, settings: ExperimentSettings) -> dict[str, Arms]:
    """For each share the selectors' pages of a pool after BFF, and the pool itself."""
    places = [place for place, page in enumerate(split.pool) if page.english and page.filtered]
    left = dict(zip(places, bff_texts([split.pool[place].filtered or "" for place in places]), strict=True))
    after = tuple(replace(page, filtered=left.get(place) or None) for place, page in enumerate(split.pool))
    pool = ranked_pool(replace(split, pool=after), settings)
    if not (pool.positives and pool.negatives and pool.ranked):
        return {}
    classifier = train_classifier(pool.positives, pool.negatives, number, settings)
    arms = selection_arms(pool, classifier, number, replace(settings, keep_percents=tuple(SELECTED)))
    found = {}
    for percent, selectors in SELECTED.items():
        own = {UNSELECTED: list(pool.ranked)}
        own |= {selection_arm(name, percent): arms[selection_arm(name, percent)] for name in selectors}
        num_bytes = _size(arms[selection_arm("classifier", percent)])
        own[selection_arm(SAME_BYTES, percent)] = random_same_bytes(pool.ranked, number, num_bytes)
        found[experiment_of_share(percent)] = own
    return found


def random_same_bytes(pages: Sequence[str], number: int, num_bytes: int) -> list[str]:
    """Pages of a pool in random order until they have at least so many bytes; all, where they have fewer."""
    kept: list[str] = []
    size = 0
    for index in stream(number, "random pages of equal bytes").permutation(len(pages)).tolist():
        if size >= num_bytes:
            break
        kept.append(pages[index])
        size += _size(kept[-1:])
    return kept


def _size(pages: Sequence[str]) -> int:
    return sum(len(page.encode("utf-8", "replace")) for page in pages)
