"""The fastText quality classifier of DCLM-Baseline as a step."""

from dclm_bench.fasttext.model import FastTextModel, load_fasttext, one_line
from dclm_bench.quality.scores import require_path, scoring_step
from dclm_bench.steps.step import Step

# The label of plain crawl pages; every other label counts as the good one.
CRAWL_LABEL = "cc"


def high_quality_probability(model: FastTextModel, text: str) -> float | None:
    """The probability that a text is no plain crawl page; None where the model knows nothing of it.

    The probability of the most probable label, or 1 minus it where that label is `cc`; both carry the 1e-5 by
    which fastText's probabilities are too high, and the released threshold was chosen on such scores.

    Source: DataComp-LM section 4.4; official `classify_fasttext_hq_prob`.
    """
    found = model.predict(one_line(text))
    if not found:
        return None
    label, probability = found[0]
    return 1 - probability if label == CRAWL_LABEL else probability


def classify_fasttext_hq_prob_enricher(
    model_filename: str, key: str = "fasttext_hq_prob", overwrite: bool = False
) -> Step:
    """Puts the probability of high quality under `key`.

    Args:
        model_filename: Path of a fastText file, from any trainer.
        key: Where the score goes.
        overwrite: Whether to replace a score.

    Raises:
        InputError: the model is missing or unusable.

    Source: official function of this name, which looks in one folder for the file; here it is a path.
    """
    func = "classify_fasttext_hq_prob_enricher"
    model = load_fasttext(require_path(func, "model_filename", model_filename))
    return scoring_step(func, key, overwrite, lambda text: high_quality_probability(model, text))
