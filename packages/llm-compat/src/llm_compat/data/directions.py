"""In which metrics less is better."""

_LOWER_NAMES = frozenset(
    {"loss", "nll", "wer", "cer", "ter", "mer", "mae", "mse", "rmse", "brier", "ece", "toxicity", "latency"}
)
_LOWER_PARTS = ("perplexity", "bits_per_byte", "error_rate", "brier", "_loss", "loss_", "edit_distance")


def is_higher_better(metric: str) -> bool:
    """Whether more of a metric is better, told by its name alone; for logs that do not say.

    Known as lower is better: perplexities, bits per byte, losses, Brier scores, and word, character,
    translation and other error rates. All others count as higher is better.
    """
    name = metric.lower().split(",")[0].strip()
    return name not in _LOWER_NAMES and not any(part in name for part in _LOWER_PARTS)
