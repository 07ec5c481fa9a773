"""Which choice a log says a model made: the best log-probability, under the normalisations of lighteval."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Normalisation = Literal["none", "characters", "characters-without-space", "tokens", "unconditioned"]

_IGNORES_SPACE = re.compile(r"ignore_first_space=True")


def normalisations_of(metric: str) -> tuple[Normalisation, ...]:
    """How a metric of that name may normalise log-probabilities; empty where that is not known.

    `acc_norm` counts characters with or without a leading space, which its name does not tell.

    Source: LoglikelihoodAcc, normalize_log_probs and the names in metrics.py and dynamic_metrics.py of
    lighteval 0.8 to 0.13.
    """
    if "LogProbCharNorm" in metric:
        return ("characters-without-space",) if _IGNORES_SPACE.search(metric) else ("characters",)
    for name, normalisation in (("LogProbTokenNorm", "tokens"), ("LogProbPMINorm", "unconditioned")):
        if name in metric:
            return (normalisation,)  # type: ignore[return-value]  # the pairs above
    known: dict[str, tuple[Normalisation, ...]] = {
        "acc": ("none",),
        "acc_norm": ("characters", "characters-without-space"),
        "acc_norm_token": ("tokens",),
        "acc_norm_pmi": ("unconditioned",),
    }
    return known.get(metric, ())


def best_choice(
    log_probabilities: Sequence[float],
    choices: Sequence[str],
    normalisation: Normalisation,
    *,
    tokens: Sequence[int] = (),
) -> int | None:
    """The index of the choice with the highest normalised log-probability, the first of equal ones.

    Args:
        log_probabilities: Of the choices; for "unconditioned", those without the question after them.
        choices: Their texts.
        normalisation: By what the log-probabilities are divided, or what is taken off them.
        tokens: Lengths of the choices in tokens, for "tokens".

    Returns:
        The index, or None where the log has not what the normalisation needs.
    """
    number = len(choices)
    values = np.array(log_probabilities, np.float64)
    wanted = 2 * number if normalisation == "unconditioned" else number
    if not number or len(values) < number or (wanted > number and len(values) != wanted):
        return None
    scores = values[:number]
    if normalisation == "unconditioned":
        scores = scores - values[number:]
    elif normalisation != "none":
        lengths = _lengths(choices, tokens, normalisation)
        if lengths is None:
            return None
        scores = scores / lengths
    return None if np.isnan(scores).any() else int(np.argmax(scores))


def _lengths(
    choices: Sequence[str], tokens: Sequence[int], normalisation: Normalisation
) -> npt.NDArray[np.float64] | None:
    if normalisation == "tokens":
        lengths = list(tokens[: len(choices)])
    else:
        ignored = normalisation == "characters-without-space"
        lengths = [len(choice) - (ignored and choice.startswith(" ")) for choice in choices]
    if len(lengths) < len(choices) or min(lengths) < 1:
        return None
    return np.array(lengths, np.float64)
