"""The cut at a percentile: the best tenth of a corpus, say, by its scores."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.quality.percentile import Scores, rank_scores
from dclm_bench.quality.scores import score_of
from dclm_bench.steps.step import Arrays, Rule

log = logging.getLogger(__name__)

Unit = Literal["documents", "tokens"]


@dataclass(frozen=True)
class QualityFractionCut:
    """The corpus step; `quality_fraction_filter` makes it and tells its parameters."""

    key: str
    keep_fraction: float
    by: Unit
    lower_better: bool
    tokens_key: str | None
    func: str = "quality_fraction_filter"
    edits: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The value is the share of the corpus that is better than the page, half of the page included."""
        return (Rule("keep_fraction", "<=", self.keep_fraction),)

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """Score and weight of each page, float64."""
        scores = [score_of(self.func, page, self.key) for page in pages]
        weights = [self._weight(page) for page in pages]
        return {"scores": np.array(scores, np.float64), "weights": np.array(weights, np.float64)}

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """The share before each page, and the threshold that was found, which is also logged."""

        def parts() -> Iterator[tuple[Scores, Scores]]:
            for arrays in collected():
                yield arrays["scores"], arrays["weights"]

        ranking = rank_scores(parts, self.keep_fraction, lower_better=self.lower_better)
        cut = ranking.cut
        log.info(
            "%s: the threshold is %r; it keeps %d of %d %s",
            self.func,
            cut.threshold,
            cut.kept,
            cut.total,
            self.by,
        )
        for shares in ranking.shares(scores for scores, _ in parts()):
            yield {"shares": shares, "threshold": np.array([cut.threshold])}

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """The share before each page."""
        return [(float(share),) for share in decided["shares"]]

    def _weight(self, page: Page) -> float:
        if self.by == "documents":
            return 1.0
        if self.tokens_key is None:
            return float(len(page.text.split()))
        weight = score_of(self.func, page, self.tokens_key)
        if not weight >= 0:
            raise InputError(f"{self.func}: tokens_key: '{self.tokens_key}' holds no count of tokens")
        return weight


def quality_fraction_filter(
    key: str = "fasttext_hq_prob",
    keep_fraction: float = 0.1,
    by: Unit = "documents",
    lower_better: bool = False,
    tokens_key: str | None = None,
) -> QualityFractionCut:
    """Keeps the best share of the corpus, exactly.

    By documents floor(n * keep_fraction + 1/2) pages are kept; by tokens the best pages until the share of
    tokens is met as nearly as whole pages allow. Of equal scores the earlier pages are kept, and pages
    without a score come last. The threshold that was found is logged and stands in the decision. `what-if`
    is exact at any other share for up to `percentile.MOST_RANKED` pages, and near beyond that.

    Args:
        key: Where the score is; all pages must have the key.
        keep_fraction: The share, 0..1.
        by: What the share is of.
        lower_better: Whether a low score is good (perplexity).
        tokens_key: Where the number of a page's tokens is; None: white-space words are counted.

    Raises:
        InputError: a parameter is unusable.

    Source: DataComp-LM section 4.4, which keeps the top 10 % by documents.
    """
    func = "quality_fraction_filter"
    if isinstance(keep_fraction, bool) or not isinstance(keep_fraction, int | float):
        raise InputError(f"{func}: keep_fraction is {keep_fraction!r}; give a number from 0 to 1")
    if not 0 <= keep_fraction <= 1:
        raise InputError(f"{func}: keep_fraction is {keep_fraction}; give a number from 0 to 1")
    if by not in get_args(Unit):
        raise InputError(f"{func}: by is {by!r}; known are {', '.join(get_args(Unit))}")
    return QualityFractionCut(key, float(keep_fraction), by, lower_better, tokens_key)
