"""Do the published score files give the published figures, and the paper's findings?

`python -m benchmarks.dclm_bench.published_scores --data FOLDER`: FOLDER holds `evals/` or `exp_data/evals/`
of mlfoundations/dclm (156 files; a part of them will do, and is said). Nothing here is trained or measured
anew: every figure is recomputed from published scores, and labelled so. Without --data it is skipped; at
--scale smoke it runs on generated files, judges nothing and writes nothing.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dclm_bench.evaluation.aggregates import aggregate, mmlu, summary_fields
from dclm_bench.evaluation.published import (
    FASTTEXT,
    MIXING,
    REFINEDWEB,
    Run,
    fasttext_gain,
    mixing_effects,
    mixing_flip,
    read_folder,
    run_of,
    scale_transfer,
    version_shift,
)
from dclm_bench.evaluation.score_file import ScoreFile, mismatches, suspicions
from dclm_bench.evaluation.tasks import SUITES, VERSIONS, tasks
from toolkit_shared.results import (
    Arm,
    Result,
    Verdict,
    capture_environment,
    current_commit,
    timestamp,
    write_result,
)

from benchmarks.question import RESULTS, command_of, parse

NUM_PUBLISHED = 156
_FILTERED = "rw_v2_cc_v3_f0.15_resiliparase_fasttext_{}_vs_rw_v2_bigram_200k_train_0.1"
_BFF = "cc_v4_resiliparse_rw_v2_bff{}_OH_eli5_vs_rw_v2_bigram_200k_train_0.1"
_MINHASH = "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train_minhash.b15.r93_substr"
_TUNED = {"lr": 0.001, "wd": 0.1}

# Data set, scale, settings beside the frozen ones, and in points CORE v1, EXTENDED v1 and MMLU of the paper's
# tables (None: not printed there).
HEADLINES: tuple[tuple[str, str, Mapping[str, float], float, float | None, float | None], ...] = (
    ("c4_original", "7B", {}, 34.2, 18.0, None),
    ("rw_original", "7B", {}, 36.9, 19.8, None),
    ("rpj_original", "7B", {}, 35.3, 18.2, None),
    ("dolma_v1_no_resample", "7B", {}, 35.0, 18.4, None),
    ("rw_v2_wo_dedup_resiliparse", "1B", {}, 24.1, 13.4, None),
    ("rw_v2_wo_dedup_trafilatura", "1B", {}, 24.5, 12.5, None),
    (REFINEDWEB, "1B", {}, 27.5, 14.6, None),
    ("rw_v2_w_substr_trafilatura", "1B", {}, 26.5, 13.4, None),
    ("rw_pagerank_bucket_0_of_5", "1B", {}, 26.1, 12.9, None),
    ("rw_v2_semdedup_0.75", "1B", {}, 27.1, 13.8, None),
    ("RW_orig_bge-base_shareGPT_heuristic", "1B", {}, 27.2, 14.0, None),
    ("refinedweb_v2_keyfix_ask_llm_gpt4++_1024_th0_2_masked", "1B", {}, 28.6, 14.3, None),
    (
        "perplexity_f0.1_dfn_peS2o_rpjbooks_wikipedia_en_balanced_tokenized_v2_rw_v2_w_substr_cc_v3_f0.15",
        "1B",
        {},
        29.0,
        15.0,
        None,
    ),
    ("dfn_rw_v2_peS2o_rpjbooks_wikiped_7719841115__top10_mean_0.7_2048", "1B", {}, 29.2, 14.7, None),
    (FASTTEXT, "1B", {}, 30.2, 15.4, None),
    (FASTTEXT, "7B", {}, 41.0, 21.4, 29.2),
    (_FILTERED.format("gpt3_hq"), "7B", {}, 37.5, 20.0, 24.4),
    (
        "rw_v2_cc_v3_f0.15_resiliparse_fasttext_wiki_vs_rw_v2_bigram_200k_train_0.1",
        "7B",
        {},
        35.7,
        19.1,
        27.0,
    ),
    (_FILTERED.format("openwebtext2"), "7B", {}, 34.7, 18.7, 25.0),
    (_MINHASH, "7B", {}, 40.8, None, None),
    (_BFF.format("1shards_shard_3"), "7B", {}, 41.7, None, None),
    (_BFF.format("_minngram20_10shards_shard3"), "7B", {}, 39.7, None, None),
    (_BFF.format("_minngram20_32shards_shard3"), "7B", {}, 40.0, None, None),
    (_MINHASH, "400M", {}, 16.2, None, None),
    (_BFF.format("1shards_shard_3"), "400M", {}, 16.4, None, None),
    (_BFF.format("_minngram20_10shards_shard3"), "400M", {}, 17.6, None, None),
    (_BFF.format("_minngram20_32shards_shard3"), "400M", {}, 16.9, None, None),
    (FASTTEXT, "7B", _TUNED, 44.1, 25.0, 38.3),
    (FASTTEXT, "7B", {**_TUNED, "mult": 2}, 48.9, 31.8, 50.8),
    ("fineweb_edu_sample_350BT", "7B", {"lr": 0.002, "wd": 0.05, "mult": 2}, 41.9, 24.5, 37.3),
)


@dataclass(frozen=True)
class Answer:
    """What a question found: figures beside those published, by name, and whether they agree."""

    question: str
    expected: str
    recomputed: Mapping[str, float]
    published: Mapping[str, float]
    verdict: Verdict
    note: str


def main(argv: list[str] | None = None) -> int:
    """Compare the figures; 1 when one differs."""
    given = parse("published-scores", argv, 1)
    if given.data is None and given.scale != "smoke":
        print("published-scores: skipped, it needs --data FOLDER with the published evals/")
        return 0
    good = True
    with tempfile.TemporaryDirectory() as generated:
        folder = given.data or generate(Path(generated))
        for question in (scores, headlines, gain, transfer, mixing):
            started, clock = timestamp(), time.perf_counter()
            files = read_folder(folder)
            answer = question(files, [run for run in map(run_of, files) if run is not None])
            for name, value in answer.recomputed.items():
                beside = answer.published.get(name)
                print(
                    f"{answer.question}: {name}: {value:.6g}" + (f" (published {beside:g})" if beside else "")
                )
            if given.scale == "smoke":
                print(f"{answer.question}: scale smoke, so no verdict")
                continue
            print(f"{answer.question}: expected {answer.expected}: {answer.verdict}; {answer.note}")
            good &= answer.verdict != "fails"
            write(answer, given.out, started, time.perf_counter() - clock, argv)
    return 0 if good else 1


def scores(files: Sequence[ScoreFile], runs: Sequence[Run]) -> Answer:
    """CORE and EXTENDED of both versions of every file, and sentences in the place of means with gaps."""
    del runs
    worst, sentences, wrong = 0.0, 0, []
    for file in files:
        wrong += mismatches(file)
        for suite in SUITES:
            for version in VERSIONS:
                stored, found = file.stored.get((suite, version)), aggregate(file.scores, suite, version)
                if isinstance(stored, float) and found.value is not None:
                    worst = max(worst, abs(stored - found.value))
                sentences += isinstance(stored, str)
    shift, rank, number = version_shift(files)
    unmatched = sum(any(line.startswith("triviaqa") for line in suspicions(file)) for file in files)
    right = not wrong and worst < 1e-12 and abs(shift + 0.0233) < 5e-4 and rank > 0.999
    recomputed = {f"CORE v2 less v1, mean of {number}": shift, "rank correlation of v1 and v2": rank}
    return Answer(
        "published-scores",
        "every stored mean to 1e-12, every sentence on gaps to the letter; v2 is 0.0233 below v1 on average, "
        "and ranks as v1 does (0.9996)",
        {"largest error of a mean": worst, **recomputed},
        {"largest error of a mean": 0.0, **dict(zip(recomputed, (-0.0233, 0.9996), strict=True))},
        "holds" if right else "fails",
        f"{len(files)} files, {sentences} sentences on gaps, {len(wrong)} mismatches; in {unmatched} files "
        "triviaqa_sm_sub is nearly 0 beside a jeopardy that is not",
    )


def headlines(files: Sequence[ScoreFile], runs: Sequence[Run]) -> Answer:
    """The paper's tables, v1."""
    del files
    recomputed, published = {}, {}
    for dataset, scale, settings, core, extended, shots in HEADLINES:
        run = pick(runs, dataset, scale, settings)
        if run is None:
            continue
        found = mmlu(run.file.scores)
        for name, value, printed in (
            ("CORE", aggregate(run.file.scores, "Core", "v1").value, core),
            ("EXTENDED", aggregate(run.file.scores, "Extended", "v1").value, extended),
            ("MMLU", found[0] if found else None, shots),
        ):
            if value is not None and printed is not None:
                key = f"{name} {dataset} {scale}" + "".join(f" {k}={v:g}" for k, v in settings.items())
                recomputed[key], published[key] = 100 * value, printed
    wrong = [key for key, value in recomputed.items() if abs(value - published[key]) > 0.0500001]
    return Answer(
        "published-headlines",
        "every figure of the paper's tables that has a file, to its last digit",
        recomputed,
        published,
        "fails" if wrong or not recomputed else "holds",
        f"{len(recomputed)} figures; differing: {', '.join(wrong) or 'none'}",
    )


def pick(runs: Sequence[Run], dataset: str, scale: str, settings: Mapping[str, float]) -> Run | None:
    """The plain run with these settings, or at the frozen setting where there are none."""
    for run in runs:
        if run.dataset == dataset and run.scale == scale and not run.tag:
            wanted = {"mult": 1.0, **settings}
            if run.is_frozen if not settings else all(run.settings.get(k) == v for k, v in wanted.items()):
                return run
    return None


def gain(files: Sequence[ScoreFile], runs: Sequence[Run]) -> Answer:
    """The fastText-filtered set against the RefinedWeb reproduction at 1B."""
    del files
    found = fasttext_gain(runs)
    expected = (
        "fastText filtering gains 2.7 CORE points at 1B, with a standard error of about 0.9: a real gap"
    )
    if found is None:
        return Answer(
            "published-fasttext-gain", expected, {}, {}, "inconclusive", "a file of the two is not there"
        )
    holds = abs(100 * found.difference - 2.7) < 0.05 and found.verdict == "real"
    return Answer(
        "published-fasttext-gain",
        expected,
        {
            "gain": 100 * found.difference,
            "standard error": 100 * found.standard_error,
            "low by questions and seeds": 100 * found.questions.low,
            "high by questions and seeds": 100 * found.questions.high,
            "p by questions and seeds": found.questions.p,
            "low by tasks": 100 * found.tasks.low,
            "high by tasks": 100 * found.tasks.high,
            "p by tasks": found.tasks.p,
        },
        {"gain": 2.7, "standard error": 0.9},
        "holds" if holds else "fails",
        f"verdict of the comparison: {found.verdict}",
    )


def transfer(files: Sequence[ScoreFile], runs: Sequence[Run]) -> Answer:
    """Correlation of small scales with 7B."""
    recomputed: dict[str, float] = {}
    published = {"400M": 0.83, "1B": 0.93}
    complete = len(files) == NUM_PUBLISHED
    counts = []
    for small in ("400M", "1B"):
        found = scale_transfer(runs, small)
        if found is not None:
            counts.append(f"{small} n={len(found.datasets)}")
            recomputed |= {small: found.pearson, f"{small} low": found.low, f"{small} high": found.high}
    right = all(abs(recomputed.get(name, 2) - value) < 0.005 for name, value in published.items())
    inside = all(
        recomputed.get(f"{name} low", 2) <= value <= recomputed.get(f"{name} high", -2)
        for name, value in published.items()
    )
    verdict: Verdict = (
        ("holds" if right else "fails") if complete else ("inconclusive" if inside else "fails")
    )
    return Answer(
        "published-scale-transfer",
        "over all 156 files Pearson with 7B of 0.83 at 400M (11 sets) and 0.93 at 1B (14 sets)",
        recomputed,
        published,
        verdict,
        f"{', '.join(counts)} of {len(files)} files; intervals by Fisher's transformation"
        + (
            ""
            if complete
            else "; with a part of the files only that the intervals hold these values can be told"
        ),
    )


def mixing(files: Sequence[ScoreFile], runs: Sequence[Run]) -> Answer:
    """What mixing with the rest of RedPajama does to weak and to filtered sets."""
    del files
    found = mixing_effects(runs)
    recomputed = {effect.name: 100 * effect.comparison.difference for effect in found}
    published = {"C4": 2.2, "RedPajama CC": 1.7, "RefinedWeb": 1.4, "fastText-filtered": -1.6}
    flips = all((value < 0) == (name == "fastText-filtered") for name, value in recomputed.items())
    enough = "fastText-filtered" in recomputed and len(recomputed) > 1
    close = all(abs(value - published[name]) < 0.06 for name, value in recomputed.items())
    flip, shown = mixing_flip(found), False
    if flip is not None:
        shown = flip[1].low > 0
        recomputed |= {"flip": 100 * flip[0], "flip low": 100 * flip[1].low, "flip high": 100 * flip[1].high}
    return Answer(
        "published-mixing",
        "mixing adds to the sets that no model filtered and takes from the one that was; the flip is above 0",
        recomputed,
        {name: value for name, value in published.items() if name in recomputed},
        "inconclusive" if not enough else "holds" if flips and close and shown else "fails",
        f"{len(found)} of {len(MIXING)} sets; single gaps: "
        + ", ".join(f"{effect.name} {effect.comparison.verdict}" for effect in found),
    )


def generate(folder: Path) -> Path:
    """A few runs under the names of published ones, at levels that give the paper's findings."""
    settings = {
        "400M": "d=1024_l=24_h=8-warm=2000-lr=0p003-wd=0p033-cd=3e-05-bs=512-mult=1-seed=124",
        "1B": "open_lm_1b-warm=5000-lr=0p003-wd=0p033-cd=3e-05-bs=256-mult=1-seed=124",
        "7B": "open_lm_7b-warm=5000-lr=0p0003-wd=0p33-cd=3e-05-bs=2048-mult=1-seed=124",
    }
    levels = {("rw_original", "1B"): 0.251, ("rpj_rw_as_CC", "1B"): 0.265}
    levels |= {(MIXING[3][1], "1B"): 0.311, (MIXING[3][2], "1B"): 0.295}
    levels |= {(dataset, scale): core / 100 for dataset, scale, more, core, _, _ in HEADLINES if not more}
    for (dataset, scale), level in levels.items():
        known = tasks().values()
        icl = {task.name: task.baseline("v1") + level * (1 - task.baseline("v1")) for task in known}
        document = {"eval_metrics": {"icl": icl}, **summary_fields(icl)}
        (folder / f"evaluation_{dataset}-{settings[scale]}_heavy.json").write_text(json.dumps(document))
    return folder


def write(answer: Answer, out: Path | None, started: str, seconds: float, argv: list[str] | None) -> None:
    """Write the result file of one question."""
    common = [name for name in answer.recomputed if name in answer.published]
    if not common:
        print(f"{answer.question}: nothing to write")
        return
    figures = {"recomputed": answer.recomputed, "published": answer.published}
    result = Result(
        toolkit="dclm-bench",
        question=answer.question,
        kind="oracle",
        arms=tuple(
            Arm(
                name=name,
                metric="figures",
                unit="",
                higher_is_better=True,
                values=tuple(float(values[key]) for key in common),
            )
            for name, values in figures.items()
        ),
        comparison=None,
        expected=answer.expected,
        verdict=answer.verdict,
        environment=capture_environment(["dclm-bench", "numpy", "scipy"], threads=1),
        command=" ".join(part if not part.startswith("/") else "FOLDER" for part in command_of(argv).split()),
        commit=current_commit(RESULTS.parent),
        started=started,
        seconds=round(seconds, 1),
        note=f"recomputed from published files; {answer.note}; figures in order: {', '.join(common)}",
    )
    if out is not None:
        print(f"wrote {write_result(result, out)}")


if __name__ == "__main__":
    sys.exit(main())
