"""The whole road once, on a generated crawl whose defects are known: every one of them is looked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import claim_folder, finish_folder, write_text

from dclm_bench import __version__
from dclm_bench.data.generated import PageTruth, write_crawl
from dclm_bench.data.generated.crawl import BANNED_WORD
from dclm_bench.evaluation.comparing import compare_files
from dclm_bench.evaluation.score_file import ScoreFile, read_score_file
from dclm_bench.evaluation.significance import Comparison
from dclm_bench.experiment.toy_scores import write_toy_scores
from dclm_bench.pipeline.audit import read_audit
from dclm_bench.pipeline.explain import Explanation, explain
from dclm_bench.pipeline.running import RunReport, run_recipe
from dclm_bench.pipeline.what_if import WhatIf, what_if
from dclm_bench.tokenization.dataset import TokenizationReport, tokenize_dataset

KIND = "dclm-bench demo"
STEPS = 5
"""How often `demonstrate` calls its progress: crawl, recipe, audit, shards, scores."""
RECIPE = "dclm-baseline"
DEDUP = "bff_dedup"
LISTS = {
    "refinedweb_banned_domains_curated.txt": ["banned.example"],
    "refinedweb_banned_words_strict_reverse_engineered.txt": [f"{BANNED_WORD}{BANNED_WORD}"],
    "refinedweb_banned_words_hard_reverse_engineered.txt": [BANNED_WORD],
    "refinedweb_banned_words_soft_reverse_engineered.txt": ["lottery", "betting"],
}
# the step of the recipe that is there for a defect
CAUGHT_BY = {
    "banned-url": "hard_url_words",
    "foreign": "language_filter",
    "short": "page_length_filter",
    "symbols": "symbol_ratio_filter",
    "listicle": "bullet_count_filter",
    "ellipsis": "ellipsis_count_filter",
    "numbers": "alphabetic_word_ratio_filter",
    "keywords": "stop_word_filter",
    "repetitive": "massive_web_repetition_filters",
    "duplicate": DEDUP,
    "near-duplicate": DEDUP,
}
TRIED_RULE, TRIED_LIMIT = "page_length_filter.min_length", 20.0
# share of the pages with a defect that its step must find, and of the good ones that must be kept
LEAST_RECALL = 0.95


@dataclass(frozen=True)
class DefectRow:
    """How one step did on the defects that it is there for.

    Attributes:
        kinds: The defects.
        step: The step of the recipe.
        planted: Readable pages with such a defect.
        found: Those of them that the step dropped, or, for deduplication, cut.
        caught: All pages that it dropped, or cut.
    """

    kinds: tuple[str, ...]
    step: str
    planted: int
    found: int
    caught: int

    @property
    def recall(self) -> float:
        """Share of the planted pages that were found."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """Share of the pages caught that have the defect."""
        return self.found / self.caught if self.caught else 1.0


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What the demonstration found; the figures of the report.

    Attributes:
        out: Its folder.
        report: The run, with its funnel.
        defects: A row a step.
        good: Good pages that can be read.
        good_kept: Those of them that are in the result.
        unreadable: Pages whose bytes are no UTF-8.
        lost: Pages that the run counted as such.
        explanation: Why one repetitive page was dropped.
        tried: What another limit would have kept.
        tokens: The training shards.
        scores: The made-up evaluation files.
        comparisons: How they differ.
        problems: What was not as it was planted.
    """

    out: Path
    report: RunReport
    defects: tuple[DefectRow, ...]
    good: int
    good_kept: int
    unreadable: int
    lost: int
    explanation: Explanation
    tried: WhatIf
    tokens: TokenizationReport
    scores: tuple[ScoreFile, ...]
    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...]


def demonstrate(
    out: str | Path,
    *,
    seed: int = 0,
    pages: int = 256,
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Demonstration:
    """Run the demonstration in the folder `out`; nothing is downloaded.

    Args:
        out: Folder to fill: crawl/ (WARC files and truth.json), run/, shards/, evaluations/.
        seed: Of the crawl, the shuffle and the made-up scores.
        pages: Of the crawl; 32 and more hold every defect.
        workers: Processes of the run.
        overwrite: Begin anew in the folder of an earlier demonstration.
        progress: Called with 1 after each part.

    Raises:
        InputError: the folder holds something else.
    """
    out = Path(out)
    claim_folder(out, kind=KIND, config={"seed": seed, "pages": pages}, overwrite=overwrite)

    def advance() -> None:
        if progress is not None:
            progress(1)

    truths = write_crawl(out / "crawl", pages=pages, seed=seed)
    advance()
    report = _run(out, workers)
    advance()
    fates = read_fates(report)
    good = [truth for truth in truths if truth.good and not truth.lost]
    repetitive = next(truth for truth in truths if truth.kind == "repetitive")
    explanation = explain(report.run, repetitive.url)[0]
    tried = what_if(report.run, {TRIED_RULE: TRIED_LIMIT})
    advance()
    tokens = tokenize_dataset(
        [out / "run"], out / "shards", tokenizer="bytes", context_length=513, seed=seed, name="demo"
    )
    advance()
    files = tuple(map(read_score_file, write_toy_scores(out / "evaluations", seed=seed)))
    comparisons = compare_files(files, "v2", draws=2000, seed=seed)[0][0]
    advance()
    found = Demonstration(
        out=out,
        report=report,
        defects=judge_defects(truths, fates),
        good=len(good),
        good_kept=sum(fates[truth.url].dropped_by is None for truth in good),
        unreadable=sum(truth.lost in ("not-utf8", "not-html") for truth in truths),
        lost=sum(report.funnel.losses["lost"].values()),
        explanation=explanation,
        tried=tried,
        tokens=tokens,
        scores=files,
        comparisons=tuple(comparisons),
        problems=(),
    )
    return replace(found, problems=tuple(find_problems(found)))


def _run(out: Path, workers: int) -> RunReport:
    """Run the recipe over the crawl, with made-up lists in the place of those that are not ours to give."""
    for name, words in LISTS.items():
        write_text(out / "lists" / name, "\n".join(words) + "\n")
    return run_recipe(RECIPE, [out / "crawl"], out / "run", lists=out / "lists", workers=workers)


def finish(found: Demonstration, page: str) -> Path:
    """Write the report's page and seal the folder; the page's path."""
    path = found.out / "report.html"
    write_text(path, page)
    if (found.out / "job.json").exists():
        finish_folder(found.out, {"schema": 1, "toolkit_version": __version__})
    return path


@dataclass(frozen=True)
class Fate:
    """What became of a page: the rule that dropped it, or None, and how much deduplication cut."""

    dropped_by: str | None
    cut: int


def read_fates(report: RunReport) -> dict[str, Fate]:
    """The fate of every page that was read, by its URL."""
    fates: dict[str, Fate] = {}
    for number in range(report.run.num_passes):
        for _, table in read_audit(report.run.out, number):
            for row in table.to_pylist():
                fates[row["url"]] = Fate(row["dropped_by"], row.get(f"{DEDUP}.removed") or 0)
    return fates


def judge_defects(truths: Sequence[PageTruth], fates: Mapping[str, Fate]) -> tuple[DefectRow, ...]:
    """A row for each step that is there for a defect."""
    rows = []
    for step in dict.fromkeys(CAUGHT_BY.values()):
        kinds = tuple(kind for kind, by in CAUGHT_BY.items() if by == step)
        planted = {truth.url for truth in truths if truth.kind in kinds and not truth.lost}
        caught = {
            url
            for url, fate in fates.items()
            if (fate.dropped_by or "").startswith(f"{step}.") or (step == DEDUP and fate.cut)
        }
        rows.append(DefectRow(kinds, step, len(planted), len(planted & caught), len(caught)))
    return tuple(rows)


def find_problems(found: Demonstration) -> list[str]:
    """A line for all that is not as it was planted."""
    problems = [
        f"{row.step}: found {row.found} of {row.planted} pages ({', '.join(row.kinds)})"
        for row in found.defects
        if row.recall < LEAST_RECALL
    ]
    if found.good_kept < LEAST_RECALL * found.good:
        problems.append(f"kept {found.good_kept} of {found.good} good pages")
    if found.lost != found.unreadable:
        problems.append(f"counted {found.lost} pages as unreadable, {found.unreadable} were planted")
    return problems


def as_values(found: Demonstration) -> dict[str, Any]:
    """The figures as JSON values."""
    return {
        "passed": not found.problems,
        "problems": list(found.problems),
        "defects": [
            {**vars(row), "kinds": list(row.kinds), "recall": row.recall, "precision": row.precision}
            for row in found.defects
        ],
        "good": found.good,
        "good_kept": found.good_kept,
        "unreadable": found.unreadable,
        "lost": found.lost,
        "funnel": found.report.funnel.as_dict(),
        "explanation": found.explanation.as_dict(),
        "what_if": found.tried.as_dict(),
        "tokens": {"documents": found.tokens.documents, "tokens": found.tokens.tokens}
        | {"contexts": found.tokens.contexts, "shards": found.tokens.shards},
    }
