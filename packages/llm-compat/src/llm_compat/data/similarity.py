"""Text similarities between an answer and the expected text, on a scale of 0 to 100."""

from collections.abc import Callable
from typing import Any

from toolkit_shared.errors import InputError, require

Scorer = Callable[[str, str], float]

NAMES = ("rouge1", "rouge2", "rougeL", "bleu", "chrf", "exact")


def scorer(name: str) -> Scorer:
    """The similarity of that name: a function of answer and target, 0 for nothing in common, 100 for equal.

    rouge1, rouge2, rougeL: F of rouge-score's default tokenizer (lower case, letters and digits), without
    stemming. bleu: sentence level, 13a tokens, exponential smoothing, orders that the answer is too short for
    left out. chrf: character 6-grams, beta 2. exact: equal but for white space at the ends.

    An empty answer or target has 0, but for `exact` of two empty ones.

    Raises:
        InputError: there is no similarity of that name.
        MissingExtra: the extra `text` is not installed.

    Source: Lin (2004) for ROUGE; Papineni et al. (2002) and Chen and Cherry (2014) for BLEU; Popovic (2015)
    for chrF; as rouge-score and sacrebleu compute them.
    """
    if name == "exact":
        return lambda answer, target: 100.0 * (answer.strip() == target.strip())
    if name in ("rouge1", "rouge2", "rougeL"):
        return _rouge(name)
    if name in ("bleu", "chrf"):
        return _sacrebleu(name)
    raise InputError(f"similarity '{name}' is unknown; give one of {', '.join(NAMES)}")


def best_similarity(score: Scorer, answer: str, targets: tuple[str, ...]) -> float:
    """The similarity to the nearest of several expected texts; NaN where there is none.

    Source: the usual rule for several references, as in HELM and SQuAD.
    """
    return max((score(answer, target) for target in targets), default=float("nan"))


def _rouge(name: str) -> Scorer:
    rouge_scorer = require("rouge_score.rouge_scorer", toolkit="llm-compat", extra="text")
    rouge: Any = rouge_scorer.RougeScorer([name], use_stemmer=False)
    return lambda answer, target: 100.0 * float(rouge.score(target, answer)[name].fmeasure)


def _sacrebleu(name: str) -> Scorer:
    metrics = require("sacrebleu.metrics", toolkit="llm-compat", extra="text")
    metric: Any = metrics.BLEU(effective_order=True) if name == "bleu" else metrics.CHRF()

    def score(answer: str, target: str) -> float:
        if not answer.strip() or not target.strip():
            return 0.0
        # the sum of logarithms can end a hair above 100
        return min(100.0, float(metric.sentence_score(answer, [target]).score))

    return score
