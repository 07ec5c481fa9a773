"""The questions that the experiment puts to its runs, with what was expected before they were run.

Two questions are gated, for the paper's claim stands or falls with them: that decomposed training costs less
than concatenation at equal tokens, and that it predicts the beginnings of documents better. All others are
told as they fall.
"""

from collections.abc import Callable, Sequence

from toolkit_shared.claims import Question, Run, Runs

from seqdecomp.experiment.configuration import BASELINE, METHOD

Value = Callable[[Run, Runs], float | None]
NATS = "nats/token"


def training_seconds(run: Run, _: Runs) -> float | None:
    """Seconds of the training steps."""
    return float(run["seconds"])


def validation_loss(run: Run, _: Runs) -> float | None:
    """Validation loss over all tokens, in nats a token."""
    return float(run["validation"]["loss"])


def band_loss(first: int) -> Value:
    """The validation loss in the band of positions that begins at `first`."""

    def value(run: Run, _: Runs) -> float | None:
        found = [band["loss"] for band in run["validation"]["bands"] if band["start"] == first]
        return None if not found or found[0] is None else float(found[0])

    return value


def seconds_to_baseline_loss(run: Run, runs: Runs) -> float | None:
    """Training seconds after which the run has the loss that the seed's baseline ends with."""
    baseline = runs.get((BASELINE, run["seed"]))
    return None if baseline is None else seconds_to_loss(run["curve"], baseline["curve"][-1][2])


def spikes(run: Run, _: Runs) -> float | None:
    """Steps whose training loss is over 0.5 above the lowest before."""
    return float(run["spikes"])


def seconds_to_loss(curve: Sequence[Sequence[float]], loss: float) -> float | None:
    """Training seconds after which a validation curve first falls to `loss`, or None if it never does.

    Args:
        curve: [step, seconds, loss] in order; between two points the loss is taken as linear in the seconds.
        loss: The loss to reach.
    """
    before = None
    for _, seconds, value in curve:
        if value <= loss:
            if before is None:
                return seconds
            share = (before[1] - loss) / (before[1] - value)
            return float(before[0] + share * (seconds - before[0]))
        before = (seconds, value)
    return None


def _cost(name: str, first: str, second: str, expected: str, *, gated: bool = False) -> Question:
    return Question(
        name=name,
        metric="training time",
        unit="s",
        value=training_seconds,
        first=first,
        second=second,
        form="ratio",
        expected=expected,
        gated=gated,
    )


def _loss(
    name: str, first: str, second: str, expected: str, *, band: int | None = None, gated: bool = False
) -> Question:
    words = {None: "all positions", 0: "positions 0-64", 64: "positions 64-256", 256: "positions 256-1024"}
    return Question(
        name=name,
        metric=f"validation loss, {words[band]}",
        unit=NATS,
        value=validation_loss if band is None else band_loss(band),
        first=first,
        second=second,
        form="difference",
        expected=expected,
        gated=gated,
    )


QUESTIONS: tuple[Question, ...] = (
    _cost(
        "cost-against-concat",
        METHOD,
        BASELINE,
        "decomposition trains in less time at equal tokens: the cost law gives about 0.74",
        gated=True,
    ),
    _loss(
        "early-loss-against-concat",
        METHOD,
        BASELINE,
        "decomposition predicts the first 64 tokens of a document better; one seed showed 0.2",
        band=0,
        gated=True,
    ),
    _loss("loss-against-concat", METHOD, BASELINE, "lower over all positions"),
    _loss("middle-loss-against-concat", METHOD, BASELINE, "lower at positions 64-256", band=64),
    _loss("late-loss-against-concat", METHOD, BASELINE, "lower at positions 256-1024", band=256),
    Question(
        name="time-to-concat-loss",
        metric="training time to the loss that concat ends with",
        unit="s",
        value=seconds_to_baseline_loss,
        first=METHOD,
        second=BASELINE,
        form="ratio",
        expected="the baseline's final loss is reached in less time",
    ),
    _loss("masked-loss-against-concat", "concat+mask", BASELINE, "document masking lies between"),
    _loss("loss-against-masked", METHOD, "concat+mask", "not above that of document masking"),
    _loss(
        "early-loss-against-masked",
        METHOD,
        "concat+mask",
        "at positions 0-64 not above that of document masking",
        band=0,
    ),
    _loss("loss-against-best-fit", METHOD, "best-fit+mask", "not above that of best-fit packing"),
    _cost(
        "cost-against-masked",
        METHOD,
        "concat+mask",
        "less time than dense masked attention, which pays for the whole row",
    ),
    _cost(
        "cost-against-varlen",
        METHOD,
        "concat+varlen",
        "unknown: attention per document pays for less context than the buckets do, at the price of a loop",
    ),
    _loss("loss-against-uniform", METHOD, "dd-uniform", "the curriculum is better than none"),
    _loss("late-loss-against-uniform", METHOD, "dd-uniform", "most so at positions 256-1024", band=256),
    _loss("loss-against-one-cycle", METHOD, "dd-grow-p2-1", "eight cycles are better than one"),
    _loss(
        "late-loss-against-shrink",
        METHOD,
        "dd-shrink-p100",
        "shrinking lengths are worst at positions 256-1024, for training ends on short pieces",
        band=256,
    ),
)

STABILITY_QUESTIONS: tuple[Question, ...] = (
    Question(
        name="stability-spikes",
        metric="steps with the training loss 0.5 above the lowest before at that length",
        unit="steps",
        value=spikes,
        first="dd-grow-p100",
        second=BASELINE,
        form="difference",
        expected="at learning rate 1e-2 without clipping decomposition that grows has fewer spikes",
    ),
    _loss("stability-loss", "dd-grow-p100", BASELINE, "lower final loss in the same setting"),
)
