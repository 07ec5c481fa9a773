"""The cut at a given score."""

import math
from collections.abc import Sequence

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.quality.scores import score_of
from dclm_bench.steps.step import Rule, Step


def quality_filter(
    key: str = "fasttext_hq_prob",
    threshold: float = 0.0,
    lower_better: bool = False,
    key_must_exist: bool = True,
) -> Step:
    """Keeps pages whose score is at least the threshold, or at most where lower is better.

    A page without a score is dropped at any threshold.

    Args:
        key: Where the score is.
        threshold: The limit, which itself is kept.
        lower_better: Whether a low score is good (perplexity).
        key_must_exist: Stop where the key is missing; otherwise such pages are dropped.

    Raises:
        InputError: the threshold is no number; or, at a page, the key is missing or holds no number.

    Source: official function of this name.
    """
    func = "quality_filter"
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or math.isnan(threshold):
        raise InputError(f"{func}: threshold is {threshold!r}; give a number")
    worst = math.inf if lower_better else -math.inf

    def apply(page: Page) -> Sequence[float]:
        score = score_of(func, page, key, key_must_exist=key_must_exist)
        return (worst if math.isnan(score) else score,)

    return Step(func, apply, (Rule("threshold", "<=" if lower_better else ">=", float(threshold)),))
