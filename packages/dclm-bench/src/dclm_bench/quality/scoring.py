"""Scores for pages in files, the cut at a share of them, and what the scores are worth."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.losses import Losses

from dclm_bench.data.reading import read_pages
from dclm_bench.fasttext.model import load_fasttext
from dclm_bench.pipeline.running import RunReport, run_recipe
from dclm_bench.pipeline.sources import Source, find_sources, read_source
from dclm_bench.quality.auc import QualityAuc, quality_auc
from dclm_bench.quality.classifier import example_marks
from dclm_bench.quality.fasttext_hq import high_quality_probability
from dclm_bench.quality.fraction_cut import Unit
from dclm_bench.quality.leakage import text_mark
from dclm_bench.quality.scores import once_per_process
from dclm_bench.recipe import Recipe, RecipeStep

log = logging.getLogger(__name__)

_ENRICHER = "classify_fasttext_hq_prob_enricher"
_FRACTION, _THRESHOLD = "quality_fraction_filter", "quality_filter"


@dataclass(frozen=True)
class Leakage:
    """Pages of the pool whose text the classifier was trained on.

    Attributes:
        known: Whether the examples of the model are known at all.
        pages: Distinct texts of the pool that are among them.
        examples: Examples of the model.
    """

    known: bool
    pages: int = 0
    examples: int = 0

    def to_text(self) -> str:
        """What is known, in one line."""
        if not self.known:
            return "the examples of the model are not known, so pages that it was trained on are not either"
        if self.pages:
            return f"{self.pages} texts of the pool are among the {self.examples} examples of the model"
        return f"no text of the pool is among the {self.examples} examples of the model"


@dataclass(frozen=True)
class ScoringReport:
    """What a scoring run made.

    Attributes:
        run: The run of the recipe: pages with scores, and their audit.
        leakage: Pages that the classifier was trained on.
        auc: Against human labels; None when none were asked for.
        unlabelled: Pages without a usable label, where labels were asked for.
        threshold: The lowest score that was kept, where a share was; None otherwise.
    """

    run: RunReport
    leakage: Leakage
    auc: QualityAuc | None
    unlabelled: int
    threshold: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        report: dict[str, Any] = {**self.run.as_dict(), "leakage": asdict(self.leakage)}
        report["threshold"] = self.threshold
        if self.auc is not None:
            report["auc"] = {**self.auc.as_dict(), "unlabelled": self.unlabelled}
        return report

    def to_text(self) -> str:
        """The report as lines."""
        lines = [self.run.to_text(), self.leakage.to_text()]
        if self.threshold is not None:
            lines.append(f"the lowest score kept is {self.threshold:.6g}")
        if self.auc is not None:
            lines += ["", self.auc.to_text()]
        if self.unlabelled:
            lines.append(f"{self.unlabelled} pages have no label, or no score")
        return "\n".join(lines)


def score_pages(
    inputs: Sequence[str | Path],
    model: str | Path,
    out: str | Path,
    *,
    key: str = "fasttext_hq_prob",
    keep_fraction: float | None = None,
    threshold: float | None = None,
    by: Unit = "documents",
    labels: str | None = None,
    text_field: str = "text",
    format: str = "jsonl.zst",
    workers: int = 1,
    engine: str = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ScoringReport:
    """Score pages with a fastText classifier into the folder `out`, which is a run like that of any recipe.

    Args:
        inputs: WARC, WET, JSON lines and Parquet: files, folders or globs.
        model: A fastText file.
        out: The folder to write.
        key: Where the score goes.
        keep_fraction: Share of the pages that is kept; None for all.
        threshold: The lowest score that is kept; None for all.
        by: What the share is of.
        labels: Field with human labels (0 or 1, false or true), to compare the scores with.
        text_field: Field that holds the text.
        format: Of the pages written.
        workers: Processes.
        engine: "local" or "ray".
        resume: Go on with an unfinished run.
        overwrite: Replace a run of another configuration.
        strict: Stop at the first record that cannot be used.
        progress: Called with the number of shards done since the last call.

    Raises:
        InputError: an input, the model, an option or the folder is unusable.
    """
    if keep_fraction is not None and threshold is not None:
        raise InputError("--keep-fraction: is given with --threshold; give one of them")
    steps = [RecipeStep(_ENRICHER, _ENRICHER, {"model_filename": str(model), "key": key, "overwrite": True})]
    if keep_fraction is not None:
        cut = {"key": key, "keep_fraction": keep_fraction, "by": by}
        steps.append(RecipeStep(_FRACTION, _FRACTION, cut))
    if threshold is not None:
        steps.append(RecipeStep(_THRESHOLD, _THRESHOLD, {"key": key, "threshold": threshold}))
    places: dict[str, Any] = {"workers": workers, "engine": engine}
    run = run_recipe(
        Recipe("quality-score", tuple(steps)),
        inputs,
        out,
        resume=resume,
        overwrite=overwrite,
        strict=strict,
        text_field=text_field,
        format=format,
        progress=progress,
        **places,
    )
    look = partial(_look_at, model=str(model), labels=labels, text_field=text_field)
    looks = list(map_shards(look, find_sources(inputs), **places))
    marks = example_marks(model)
    leakage = Leakage(False)
    if marks is not None:
        shared = np.unique(np.concatenate([found["shared"] for found in looks]))
        leakage = Leakage(True, len(shared), len(marks))
    unlabelled = sum(found["unlabelled"] for found in looks)
    auc = None if labels is None else _auc(looks, labels)
    lowest = None if keep_fraction is None else _lowest_score(Path(out) / "pages", key)
    return ScoringReport(run, leakage, auc, unlabelled, lowest)


def _lowest_score(folder: Path, key: str) -> float | None:
    """The lowest score among the pages of a folder; None where there is none."""
    pages = (page for path in sorted(folder.iterdir()) for page in read_pages(path))
    return min((page.record[key] for page in pages if page.record[key] is not None), default=None)


def _look_at(source: Source, *, model: str, labels: str | None, text_field: str) -> dict[str, Any]:
    """What one file says of leakage, and its scores with their labels."""
    examples = once_per_process(example_marks, model)
    found: dict[str, Any] = {"shared": np.zeros(0, np.uint64), "unlabelled": 0}
    found |= {"scores": [], "labels": [], "lengths": []}
    if examples is None and labels is None:
        return found
    marks: set[int] = set()
    for page in read_source(source, Losses(), text_field=text_field):
        if examples is not None:
            marks.add(text_mark(page.text))
        if labels is None:
            continue
        label = page.record.get(labels)
        score = high_quality_probability(once_per_process(load_fasttext, model), page.text)
        if score is None or label not in (0, 1):
            found["unlabelled"] += 1
            continue
        found["scores"].append(score)
        found["labels"].append(bool(label))
        found["lengths"].append(len(page.text))
    if examples is not None:
        found["shared"] = np.intersect1d(np.array(list(marks), np.uint64), examples)
    return found


def _auc(looks: Sequence[Mapping[str, Any]], labels: str) -> QualityAuc:
    columns = (
        [value for found in looks for value in found[name]] for name in ("scores", "labels", "lengths")
    )
    scores, good, lengths = columns
    if len(set(good)) < 2:
        raise InputError(
            f"--labels: field '{labels}' has to hold 0 and 1, and both; {len(good)} pages have one of them"
        )
    assert all(math.isfinite(score) for score in scores)
    return quality_auc(scores, good, lengths)
