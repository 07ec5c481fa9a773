"""With what fraction of the steps, or of the pairs, one arm is as good as another with all of them."""

from collections.abc import Sequence

Points = Sequence[Sequence[float]]


def crossing_ratio(points: Points, target: float) -> float | None:
    """The smallest fraction at which a learning curve reaches `target`; None where it never does.

    Between two points the curve is taken as straight. Where the first point is above the target already, its
    fraction is given, which is then an upper bound.

    Args:
        points: (fraction, accuracy), fractions rising.
        target: The accuracy to be reached.
    """
    before: Sequence[float] | None = None
    for ratio, accuracy in points:
        if accuracy >= target:
            if before is None:
                return ratio
            share = (target - before[1]) / (accuracy - before[1])
            return before[0] + share * (ratio - before[0])
        before = (ratio, accuracy)
    return None


def accuracy_at(points: Points, ratio: float) -> float | None:
    """The accuracy measured at a fraction; None where it was not measured there."""
    return next((accuracy for place, accuracy in points if place == ratio), None)
