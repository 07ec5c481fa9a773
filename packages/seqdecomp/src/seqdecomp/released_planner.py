"""The numbers that the paper's released planning helper prints, for users of its layout."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReleasedPlan:
    """What to pass to the released training script.

    Attributes:
        tokens: Tokens of the run, as near to the wanted number as whole shards allow.
        tokens_per_epoch: Tokens of a cycle.
        factors: Shards of each bucket that each loader worker reads in a cycle.
        sequences_per_epoch: Sequences of each bucket in a cycle.
        weights: Odds of each bucket times its share of the tokens.
        steps_per_epoch: Optimisation steps in a cycle.
    """

    tokens: int
    tokens_per_epoch: int
    factors: tuple[int, ...]
    sequences_per_epoch: tuple[int, ...]
    weights: tuple[int, ...]
    steps_per_epoch: int


def released_plan(
    *,
    tokens: int,
    epochs: int,
    gpus: int,
    lengths: Sequence[int],
    shards: Sequence[int],
    sequences_per_shard: Sequence[int],
    odds: Sequence[float],
    batch_size: int,
    workers: int = 1,
) -> ReleasedPlan:
    """The plan of the released helper, in which every worker reads whole shards.

    Each bucket's share of the tokens is its share of all shards' tokens, rounded to whole shards a worker.
    From the longest bucket on, shards are then added or taken away one by one as long as the total differs
    from what is wanted; a choice met before ends the attempt with that bucket.

    Source: the planning script released with arXiv 2405.13226; its numbers are met, its rules restated.

    Args:
        tokens: Tokens wanted.
        epochs: Cycles.
        gpus: Data-parallel ranks.
        lengths: Bucket lengths, ascending.
        shards: Shards that each bucket has.
        sequences_per_shard: Sequences in a shard of each bucket.
        odds: Odds of each bucket.
        batch_size: Sequences of the longest length in a step, over all ranks.
        workers: Loader workers a rank.
    """
    buckets = range(len(lengths))
    available = [shards[i] * sequences_per_shard[i] * lengths[i] for i in buckets]
    scale = tokens / sum(available)
    sequences_at_once = [sequences_per_shard[i] * gpus * workers for i in buckets]
    factors = [
        round(shards[i] * sequences_per_shard[i] * scale / epochs / sequences_at_once[i]) for i in buckets
    ]

    def total() -> int:
        return epochs * sum(factors[i] * sequences_at_once[i] * lengths[i] for i in buckets)

    met: set[tuple[int, ...]] = set()
    bucket = len(lengths) - 1
    while total() != tokens and bucket >= 0:
        if tuple(factors) in met:
            bucket -= 1
        met.add(tuple(factors))
        # After the shortest bucket comes, once more, the longest (place -1), as in the helper.
        factors[bucket] += 1 if total() < tokens else -1
    sequences = [factors[i] * sequences_at_once[i] for i in buckets]
    per_bucket = [sequences[i] * lengths[i] for i in buckets]
    return ReleasedPlan(
        tokens=total(),
        tokens_per_epoch=sum(per_bucket),
        factors=tuple(factors),
        sequences_per_epoch=tuple(sequences),
        weights=tuple(int(per_bucket[i] / per_bucket[0] * factors[0] * odds[i]) for i in buckets),
        steps_per_epoch=sum(per_bucket) // (batch_size * lengths[-1]),
    )
