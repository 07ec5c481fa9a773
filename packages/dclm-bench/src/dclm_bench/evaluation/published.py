"""Findings of the paper, recomputed from published score files; nothing here was trained or measured anew."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from toolkit_shared.errors import InputError

from dclm_bench.evaluation.aggregates import aggregate, mean
from dclm_bench.evaluation.score_file import ScoreFile, read_score_file
from dclm_bench.evaluation.significance import (
    SEED_DEVIATION,
    Comparison,
    Interval,
    compare_scores,
    normal_interval,
)
from dclm_bench.evaluation.tasks import Suite, Version

Scale = Literal["400M", "1B", "7B"]

_NAME = re.compile(
    r"^(?:evaluation_)?(?P<dataset>.+?)-(?P<model>open_lm_(?P<size>1b|7b)[^-]*|d=1024_l=24_h=8)-(?P<settings>.+)$"
)
_SETTING = re.compile(r"(warm|lr|wd|cd|bs|mult|seed|tokens)=((?:[0-9p]|e-?)+)")
_SCALES: dict[str | None, Scale] = {"1b": "1B", "7b": "7B", None: "400M"}

# The settings at which the paper compares data sets across scales: peak learning rate and weight decay. Its
# tuned runs at 7B (0.002 and 0.05) are not among them.
FROZEN: Mapping[Scale, tuple[float, float]] = {
    "400M": (0.003, 0.033),
    "1B": (0.003, 0.033),
    "7B": (0.0003, 0.33),
}

FASTTEXT = "rw_v2_cc_v3_f0.15_resiliparse_fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train_0.1"
REFINEDWEB = "rw_v2_w_substr_resiliparse"
MIXING = (
    ("C4", "c4_original", "rpj_c4_as_CC"),
    ("RedPajama CC", "rpj_rpjCC_as_CC", "rpj_original"),
    ("RefinedWeb", "rw_original", "rpj_rw_as_CC"),
    ("fastText-filtered", "rw_v2_fasttext_openhermes_vs_rw_v2_bigram_0.1", "rpjfull_rwv2OH_as_CC"),
)
"""Name, data set, and the same in the place of the Common Crawl part of RedPajama."""


@dataclass(frozen=True)
class Run:
    """A published run, as its file's name tells it.

    Attributes:
        file: Its scores.
        dataset: What it was trained on.
        scale: Size of the model.
        settings: By name; `mult` is 1 where the tokens are 20 a parameter.
        tag: What the name says besides, "" for a plain run.
    """

    file: ScoreFile
    dataset: str
    scale: Scale
    settings: Mapping[str, float]
    tag: str = ""

    @property
    def is_frozen(self) -> bool:
        """Whether it is at the setting of its scale, on its tokens."""
        lr_and_wd = (self.settings.get("lr"), self.settings.get("wd"))
        return self.settings.get("mult") == 1 and lr_and_wd == FROZEN[self.scale]


@dataclass(frozen=True)
class ScaleTransfer:
    """Do small models rank data sets as 7B models do.

    Attributes:
        small: Scale of the small models.
        datasets: Trained on at both scales, sorted.
        pearson: Correlation of the two means over the data sets.
        low: Lower end of its 95 % interval by Fisher's transformation.
        high: Upper end.
    """

    small: Scale
    datasets: tuple[str, ...]
    pearson: float
    low: float
    high: float


@dataclass(frozen=True)
class Mixing:
    """What mixing a data set with the other parts of RedPajama does: the comparison is mixed less alone."""

    name: str
    comparison: Comparison


def read_runs(folder: str | Path) -> list[Run]:
    """The runs among the score files of a folder, by name; files whose names tell no run are left out.

    The folder may also be one that holds `evals/` or `exp_data/evals/`.

    Raises:
        InputError: there are no score files.
    """
    return [run for run in map(run_of, read_folder(folder)) if run is not None]


def read_folder(folder: str | Path) -> list[ScoreFile]:
    """All score files of a folder, or of its `evals/` or `exp_data/evals/`, by name.

    Raises:
        InputError: there are none.
    """
    folder = Path(folder)
    for inner in (folder / "exp_data" / "evals", folder / "evals", folder):
        paths = sorted(inner.glob("*.json"))
        if inner.is_dir() and paths:
            return [read_score_file(path) for path in paths]
    raise InputError(f"{folder}: holds no score file; give the folder with the published evals/")


def run_of(file: ScoreFile) -> Run | None:
    """The run that the file's name tells, or None."""
    match = _NAME.match(file.path.stem)
    if match is None:
        return None
    settings = {name: _number(value) for name, value in _SETTING.findall(match["settings"])}
    tag = _SETTING.sub("", match["settings"]).removesuffix("heavy").strip("-_")
    return Run(file, match["dataset"], _SCALES[match["size"]], settings, tag)


def find_run(runs: Iterable[Run], dataset: str, scale: Scale) -> Run | None:
    """The plain run on a data set at the frozen setting, or None; the first by name where there are more."""
    found = (run for run in runs if run.dataset == dataset and run.scale == scale)
    return next((run for run in found if run.is_frozen and not run.tag), None)


def scale_transfer(
    runs: Sequence[Run], small: Scale, version: Version = "v1", suite: Suite = "Core"
) -> ScaleTransfer | None:
    """Correlation with 7B over the data sets that were run at both scales; None for fewer than four.

    Runs are those at the frozen setting of their scale; of several on one data set the best counts.

    Source: section 3.4 and figure 3 of the paper.
    """
    means = [best_means(runs, scale, version, suite) for scale in (small, "7B")]
    datasets = tuple(sorted(set(means[0]) & set(means[1])))
    if len(datasets) < 4:
        return None
    pearson = float(
        np.corrcoef(np.array([[by_dataset[name] for name in datasets] for by_dataset in means]))[0, 1]
    )
    # A perfect correlation has no finite transform.
    middle = math.atanh(max(-1 + 1e-15, min(1 - 1e-15, pearson)))
    half = 1.959963984540054 / math.sqrt(len(datasets) - 3)
    return ScaleTransfer(small, datasets, pearson, math.tanh(middle - half), math.tanh(middle + half))


def best_means(runs: Iterable[Run], scale: Scale, version: Version, suite: Suite) -> dict[str, float]:
    """The best mean of each data set at the frozen setting of a scale."""
    found: dict[str, float] = {}
    for run in runs:
        value = aggregate(run.file.scores, suite, version).value
        if run.scale == scale and run.is_frozen and value is not None:
            found[run.dataset] = max(value, found.get(run.dataset, value))
    return found


def fasttext_gain(runs: Sequence[Run], version: Version = "v1", *, seed: int = 0) -> Comparison | None:
    """The fastText-filtered set less the RefinedWeb reproduction at 1B in CORE; None without both files.

    Source: table 4 of the paper.
    """
    pair = [find_run(runs, dataset, "1B") for dataset in (REFINEDWEB, FASTTEXT)]
    if pair[0] is None or pair[1] is None:
        return None
    return _compared(pair[0], pair[1], version, seed)


def mixing_effects(runs: Sequence[Run], version: Version = "v1", *, seed: int = 0) -> list[Mixing]:
    """What mixing does to each of the four sets of the paper at 1B; sets that lack a file are left out.

    Source: section 5 of the paper, its table on mixing: it helps weak sets and hurts the filtered one.
    """
    effects = []
    for name, alone, mixed in MIXING:
        pair = [find_run(runs, dataset, "1B") for dataset in (alone, mixed)]
        if pair[0] is not None and pair[1] is not None:
            effects.append(Mixing(name, _compared(pair[0], pair[1], version, seed)))
    return effects


def mixing_flip(effects: Sequence[Mixing], confidence: float = 0.95) -> tuple[float, Interval] | None:
    """How much more mixing gives the unfiltered sets, on average, than the filtered one; None without both.

    The interval holds the noise of questions and seeds, the runs taken as independent. No single effect need
    be shown for the flip of the sign to be.

    Source: as `mixing_effects`; the test is ours.
    """
    filtered = [effect.comparison for effect in effects if effect.name == MIXING[-1][0]]
    weak = [effect.comparison for effect in effects if effect.name != MIXING[-1][0]]
    if not filtered or not weak:
        return None
    flip = mean([found.difference for found in weak]) - filtered[0].difference
    variance = math.fsum(found.standard_error**2 for found in weak) / len(weak) ** 2
    error = math.sqrt(variance + filtered[0].standard_error ** 2)
    return flip, normal_interval(flip, error, confidence)


def version_shift(files: Iterable[ScoreFile]) -> tuple[float, float, int]:
    """Mean of CORE v2 less v1, their rank correlation, and the number of files that have both."""
    from scipy.stats import spearmanr

    pairs = [[aggregate(file.scores, "Core", version).value for version in ("v1", "v2")] for file in files]
    values = np.array([pair for pair in pairs if None not in pair], np.float64)
    return (
        float((values[:, 1] - values[:, 0]).mean()),
        float(spearmanr(values[:, 0], values[:, 1]).statistic),
        len(values),
    )


def _compared(a: Run, b: Run, version: Version, seed: int) -> Comparison:
    return compare_scores(
        a.file.scores, b.file.scores, "Core", version, seed_deviation=SEED_DEVIATION, seed=seed
    )


def _number(text: str) -> float:
    return float(text.replace("p", "."))
