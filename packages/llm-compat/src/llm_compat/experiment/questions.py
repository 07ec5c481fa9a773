"""The questions that the experiment puts to its runs, with what was expected before they were run.

One question is gated: that muscle lowers the negative flip rate of the update, where both models are about as
good. All others are told as they fall; above all how it stands against as much extra training.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from toolkit_shared.claims import Question, Run, Runs

from llm_compat.experiment.configuration import ENSEMBLE, EXTRA_TRAINING, LONGER, MASKS, METHOD, V2

Value = Callable[[Run, Runs], float | None]
PERCENT = "%"
NAMES = {
    "nfr": "negative flip rate",
    "rel_nfr": "negative flip rate over that of independent errors",
    "nfr_mc": "inconsistency flip rate",
    "accuracy": "accuracy",
}
SAME, GAP = "same", "gap"


def percentage(metric: str) -> Value:
    """A metric of a run in percent; None where it is undefined."""

    def value(run: Run, _: Runs) -> float | None:
        found = run["metrics"][metric]
        return None if found is None else 100.0 * float(found)

    return value


def questions_for(scenario: str) -> tuple[Question, ...]:
    """The questions of a scenario; the gated one is among those of "same" only."""
    similar = scenario == SAME
    little = "" if similar else "; with a large gap one pilot seed showed no edge"
    return (
        _ask("nfr-against-v2", "nfr", METHOD, V2, "lower, by about 0.9 in three pilot seeds", gated=similar),
        _ask("nfr-against-ce-more", "nfr", METHOD, EXTRA_TRAINING, f"lower, by about half of that{little}"),
        _ask("rel-nfr-against-v2", "rel_nfr", METHOD, V2, "lower, by more than higher accuracy explains"),
        _ask("rel-nfr-against-ce-more", "rel_nfr", METHOD, EXTRA_TRAINING, f"lower, by about 2.6{little}"),
        _ask("ce-more-nfr-against-v2", "nfr", EXTRA_TRAINING, V2, "extra training alone lowers it too"),
        _ask("nfr-against-ce", "nfr", METHOD, LONGER, "lower than one training of the same total length"),
        _ask("accuracy-against-v2", "accuracy", METHOD, V2, "higher", direction="higher"),
        _ask(
            "accuracy-against-ce-more",
            "accuracy",
            METHOD,
            EXTRA_TRAINING,
            "lower: three pilot seeds showed 0.5, the price of looking back",
        ),
        _ask(
            "ensemble-nfr-against-muscle", "nfr", ENSEMBLE, METHOD, "lower: two models in memory are a bound"
        ),
        _ask(
            "kd-old-nfr-against-v2",
            "nfr",
            "kd_old",
            V2,
            "higher: to imitate the old model everywhere costs accuracy, so the mask matters",
            direction="higher",
        ),
        _ask("nfr-against-kd-new", "nfr", METHOD, "kd_new", "lower: distillation from v2 alone does nothing"),
        _ask("nfr-mc-against-v2", "nfr_mc", METHOD, V2, "lower, as the negative flips"),
        _ask("nfr-mc-against-ce-more", "nfr_mc", METHOD, EXTRA_TRAINING, "lower"),
        *(
            _ask(f"nfr-against-{mask.replace('+', '-').replace('_', '-')}", "nfr", METHOD, mask, _PAPER)
            for mask in MASKS
        ),
    )


_PAPER = "lower: the paper's table 7 has muscle first"

GAP_QUESTION = Question(
    name="gap-nfr-of-the-update",
    metric=NAMES["nfr"],
    unit=PERCENT,
    value=percentage("nfr"),
    first="v2 (gap)",
    second="v2 (same)",
    form="difference",
    expected="lower: the better the new model against the old one, the fewer flips; one pilot seed showed 5",
)


def runs_across(found: Mapping[str, Runs]) -> Runs:
    """The updates without mitigation of both scenarios, for `GAP_QUESTION`."""
    return {
        (f"{V2} ({scenario})", seed): run
        for scenario in (SAME, GAP)
        for (arm, seed), run in found.get(scenario, {}).items()
        if arm == V2
    }


def _ask(
    name: str,
    metric: str,
    first: str,
    second: str,
    expected: str,
    *,
    direction: Literal["lower", "higher"] = "lower",
    gated: bool = False,
) -> Question:
    return Question(
        name=name,
        metric=NAMES[metric],
        unit=PERCENT,
        value=percentage(metric),
        first=first,
        second=second,
        form="difference",
        expected=expected,
        direction=direction,
        higher_is_better=metric == "accuracy",
        gated=gated,
    )
