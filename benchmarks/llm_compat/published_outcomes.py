"""Do the published outcomes of real systems give the published figures, to the digit?

`python -m benchmarks.llm_compat.published_outcomes --data FOLDER`: FOLDER holds `gsm8k/` with
`example_model_solutions.jsonl` of openai/grade-school-math (four systems, right or wrong for each of 1319
problems), and `realsumm/{unilm,t5}/` with `out_*.txt` and `ref.txt` of neulab/REALSumm (two versions of each
system, 100 articles). Without --data it is skipped: nothing of it is in this repository.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from llm_compat.comparison import compare_paths
from llm_compat.comparison.compare import TaskComparison
from llm_compat.flips import confusion, count_cells
from llm_compat.settings.comparing import CompareSettings
from llm_compat.settings.reading import ReadSettings
from llm_compat.significance import mcnemar_chi_squared
from toolkit_shared.records import read_jsonl, write_jsonl
from toolkit_shared.results import Arm, Result, capture_environment, current_commit, timestamp, write_result

from benchmarks.question import RESULTS, command_of, parse

OLD, NEW = "6b_finetuning", "175b_finetuning"
PUBLISHED = {
    "gsm8k": {
        "items": 1319,
        "right old": 286,
        "right new": 458,
        "n11": 198,
        "NF": 88,
        "PF": 260,
        "n00": 773,
        "NFR %": 6.6717,
        "PFR %": 19.7119,
        "NFR_mc %": 60.7278,
        "BTC": 0.69231,
        "BEC": 0.74831,
        "NFI": 0.10221,
        "rel_nfr %": 47.137,
        "chi2": 84.0259,
        "McNemar p x 1e21": 7.466,
    },
    "unilm": {"old": 43.4478, "new": 44.1848, "PFR %": 52, "NFR %": 47, "m_g": 7.9398, "m_r": 7.2162},
    "t5": {"old": 42.2503, "new": 44.0116, "PFR %": 58, "NFR %": 40, "m_g": 8.34, "m_r": 7.6898},
}
VERSIONS = {"unilm": ("out_v1.txt", "out_v2.txt"), "t5": ("out_base.txt", "out_large.txt")}


def main(argv: list[str] | None = None) -> int:
    """Compare the figures; 1 when one differs."""
    given = parse("published-outcomes", argv, 1)
    if given.data is None:
        print("published-outcomes: skipped, it needs --data FOLDER with gsm8k/ and realsumm/")
        return 0
    good = True
    for name, expected in PUBLISHED.items():
        started, clock = timestamp(), time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            paths, read = (gsm8k if name == "gsm8k" else realsumm)(given.data, name, Path(folder))
            comparison = compare_paths(paths, read, CompareSettings(draws=1000))
        (task,) = comparison.tasks
        found = figures_of_flips(task) if name == "gsm8k" else figures_of_scores(task)
        found = {key: round(value, digits(expected[key])) for key, value in found.items()}
        for key, value in expected.items():
            print(f"{name}: {key}: {found[key]} (published {value})")
        good &= found == expected
        write(name, found, expected, given.out, started, time.perf_counter() - clock, argv)
    print("published-outcomes:", "all figures are the published ones" if good else "figures DIFFER")
    return 0 if good else 1


def gsm8k(data: Path, name: str, out: Path) -> tuple[dict[str, Path], ReadSettings]:
    """The outcomes of two systems as tables, the answer being the text after the last `A:`."""
    rows = [record for _, record in read_jsonl(data / name / "example_model_solutions.jsonl")]
    for model in (OLD, NEW):
        write_jsonl(
            out / f"{model}.jsonl",
            (
                {
                    "id": row["question"],
                    "answer": final_answer(row[model]["solution"]),
                    "target": final_answer(row["ground_truth"]),
                    "correct": row[model]["is_correct"],
                    "task": name,
                }
                for row in rows
            ),
        )
    return {"old": out / f"{OLD}.jsonl", "new": out / f"{NEW}.jsonl"}, ReadSettings()


def final_answer(solution: str) -> str | None:
    """The text after the last `A:`, or None."""
    _, mark, answer = solution.rpartition("A:")
    return answer.strip() if mark else None


def realsumm(data: Path, name: str, out: Path) -> tuple[dict[str, Path], ReadSettings]:
    """Two versions of a summarizer as tables, scored by ROUGE-1 here."""
    folder = data / "realsumm" / name
    references = summaries(folder / "ref.txt")
    for model, file in zip(("old", "new"), VERSIONS[name], strict=True):
        rows = zip(summaries(folder / file), references, strict=True)
        write_jsonl(
            out / f"{model}.jsonl",
            (
                {"id": n, "answer": text, "target": truth, "task": name}
                for n, (text, truth) in enumerate(rows)
            ),
        )
    paths = {model: out / f"{model}.jsonl" for model in ("old", "new")}
    return paths, ReadSettings(similarity=("rouge1",))


def summaries(path: Path) -> list[str]:
    """One summary a line, without the marks of its sentences."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.replace("<t>", "").replace("</t>", "") for line in (lines if lines[-1] else lines[:-1])]


def figures_of_flips(task: TaskComparison) -> dict[str, float]:
    """Counts and rates of right and wrong."""
    cells = count_cells(task.items.cells("new"))
    n11, n10, n01, n00 = (float(count) for count in confusion(cells))
    values = {name: value or 0.0 for name, value in task.measured.values.items()}
    return {
        "items": len(task.items),
        "right old": n11 + n10,
        "right new": n11 + n01,
        "n11": n11,
        "NF": n10,
        "PF": n01,
        "n00": n00,
        "NFR %": 100 * values["nfr"],
        "PFR %": 100 * values["pfr"],
        "NFR_mc %": 100 * values["nfr_mc"],
        "BTC": values["btc"],
        "BEC": values["bec"],
        "NFI": values["nfi"],
        "rel_nfr %": 100 * values["rel_nfr"],
        "chi2": mcnemar_chi_squared(int(n10), int(n01))[0],
        "McNemar p x 1e21": 1e21 * (task.measured.p_values["mcnemar_p"] or 0),
    }


def figures_of_scores(task: TaskComparison) -> dict[str, float]:
    """Means, rates and magnitudes of scores."""
    values = {name: value or 0.0 for name, value in task.measured.values.items()}
    return {
        "old": values["score_old"],
        "new": values["score_new"],
        "PFR %": 100 * values["pfr"],
        "NFR %": 100 * values["nfr"],
        "m_g": values["gain_magnitude"],
        "m_r": values["regression_magnitude"],
    }


def digits(value: float) -> int:
    """Decimals of a published figure."""
    return len(json.dumps(value).partition(".")[2])


def write(
    name: str,
    found: Mapping[str, float],
    expected: Mapping[str, float],
    out: Path | None,
    started: str,
    seconds: float,
    argv: list[str] | None,
) -> None:
    """Write the result file of one set."""
    result = Result(
        toolkit="llm-compat",
        question=f"published-outcomes-{name}",
        kind="oracle",
        arms=tuple(
            Arm(
                name=arm,
                metric="figures",
                unit="",
                higher_is_better=True,
                values=tuple(map(float, values.values())),
            )
            for arm, values in (
                ("llm-compat", {key: found[key] for key in expected}),
                ("published", expected),
            )
        ),
        comparison=None,
        expected="every figure to the digits that were published",
        verdict="holds" if dict(found) == dict(expected) else "fails",
        environment=capture_environment(["llm-compat", "numpy", "scipy", "rouge-score"], threads=1),
        command=" ".join(part if not part.startswith("/") else "FOLDER" for part in command_of(argv).split()),
        commit=current_commit(RESULTS.parent),
        started=started,
        seconds=round(seconds, 1),
        note="figures in order: " + ", ".join(expected),
    )
    if out is not None:
        print(f"wrote {write_result(result, out)}")


if __name__ == "__main__":
    sys.exit(main())
