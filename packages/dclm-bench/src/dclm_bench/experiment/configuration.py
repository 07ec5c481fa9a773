"""What is compared with what, and at which size; plain values only."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Scale = Literal["smoke", "cpu"]

ALL_TEXT, MAIN, TRAFILATURA, GOLD = "all-text", "main-content", "trafilatura", "gold"
ENGLISH, HEURISTICS = "english", "english+heuristics"
COPIES, DEDUPLICATED, UNIQUE = "with-copies", "deduplicated", "without-copies"
SELECTORS = ("random", "classifier", "length", "perplexity")


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Sizes of the experiment.

    Attributes:
        extraction_bytes: Training bytes of every arm of the extraction experiment; its pool is small.
        budget_bytes: The same in all others. Where an arm of a split has fewer, all arms of that experiment
            and split get as many as that.
        held_out_fraction: Of the articles, those whose gold text is predicted.
        positives_fraction: Of the articles, those that the classifier is trained on.
        negatives_fraction: Of the pool, pages that the classifier is trained on and that are not ranked.
        keep_percents: Shares of the pool's pages that a selector keeps.
        copied_fraction: Of the pool for deduplication, pages that get copies.
        num_copies: Copies that each of them gets.
        unique_bytes: Size of that pool without the copies.
        min_language_probability: From here on (not included) a page is English.
        classifier_dim: Length of the classifier's vectors. fastText's 100 costs much and serves nothing here.
        classifier_buckets: Rows for its word pairs.
        classifier_epochs: Epochs of its training. fastText's 5, at a rate of 0.1, are for 400,000 texts;
            here there are some hundred.
        classifier_lr: Its learning rate at the begin.
        num_folds: Parts of the labelled pages, each scored by a classifier of the others.
        supervised_splits: Splits in which that is done.
        witness_splits: Splits on which the transformer is trained too.
        witness_steps: Its optimizer steps; it sees the same number of bytes in every arm.
    """

    extraction_bytes: int = 150_000
    budget_bytes: int = 400_000
    held_out_fraction: float = 1 / 3
    positives_fraction: float = 1 / 3
    negatives_fraction: float = 0.2
    keep_percents: tuple[int, ...] = (10, 20, 50)
    copied_fraction: float = 0.3
    num_copies: int = 4
    unique_bytes: int = 600_000
    min_language_probability: float = 0.65
    classifier_dim: int = 16
    classifier_buckets: int = 100_000
    classifier_epochs: int = 25
    classifier_lr: float = 0.5
    num_folds: int = 5
    supervised_splits: int = 5
    witness_splits: int = 3
    witness_steps: int = 100

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**asdict(self), "keep_percents": list(self.keep_percents)}


def settings_for(scale: Scale) -> ExperimentSettings:
    """The sizes of a scale: "cpu" for an answer, "smoke" to see that all of it runs."""
    if scale == "smoke":
        return ExperimentSettings(
            extraction_bytes=20_000,
            budget_bytes=20_000,
            unique_bytes=40_000,
            classifier_dim=4,
            classifier_buckets=2_000,
            classifier_epochs=2,
            num_folds=2,
            supervised_splits=1,
            witness_splits=1,
            witness_steps=2,
        )
    return ExperimentSettings()


def selection_arm(selector: str, percent: int) -> str:
    """The name of the arm of a selector that keeps a share."""
    return f"{selector}-{percent}"


def experiment_of_share(percent: int) -> str:
    """The name of the experiment in which selectors keep that share of a pool."""
    return f"classifier-{percent}"
