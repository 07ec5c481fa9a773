"""Do the published result files give the published averages over 38 tasks, to the last digit?

`python -m benchmarks.mobileclip.published_averages --official CHECKOUT` reads all 14 files of `results/` in a
checkout of apple/ml-mobileclip; `--data FOLDER` reads the `mobileclip*.jsonl` that lie in FOLDER or in its
`tables/`, be it a part of them. Nothing is measured anew: every figure is computed from published scores.
Without either it is skipped; at --scale smoke it runs on generated files, judges nothing and writes nothing.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobileclip.evaluation.datacomp_tasks import TASKS
from mobileclip.evaluation.summary import HEADLINES, ResultFile, read_result_file, summarize
from toolkit_shared.results import (
    Arm,
    Result,
    Verdict,
    capture_environment,
    current_commit,
    timestamp,
    write_result,
)
from toolkit_shared.zero_shot import read_rows

from benchmarks.question import RESULTS, Options, command_of, parse

NAME = "published-averages"
EXPECTED = (
    "all 14 files: the average over 38 tasks to three decimals, the README's average and ImageNet accuracy "
    "to its one decimal, and the retrieval recalls; the mean over all rows of the MobileCLIP2-S0 file is "
    "62.913 and wrong"
)


@dataclass(frozen=True)
class Published:
    """What is published of a model, in percent.

    Attributes:
        average: Over 38 tasks, recomputed once by hand from its file, three decimals.
        headline: The average in the README, one decimal.
        imagenet: ImageNet accuracy in the README, one decimal.
        recalls: Recall@1 by text and by image on Flickr, then on COCO, one decimal.
    """

    average: float
    headline: float
    imagenet: float
    recalls: tuple[float, ...] = ()


PUBLISHED = {
    "mobileclip_s0": Published(58.117, 58.1, 67.8, (67.7, 85.9, 40.4, 58.7)),
    "mobileclip_s1": Published(61.254, 61.3, 72.6),
    "mobileclip_s2": Published(63.657, 63.7, 74.4, (73.4, 90.3, 45.4, 63.4)),
    "mobileclip_b": Published(65.153, 65.2, 76.8, (77.3, 91.4, 50.6, 68.8)),
    "mobileclip_b_lt": Published(65.779, 65.8, 77.2),
    "mobileclip_s3": Published(66.335, 66.3, 78.3),
    "mobileclip_s4": Published(68.110, 68.1, 79.4),
    "mobileclip_l14": Published(66.935, 66.9, 79.5),
    "mobileclip2_s0": Published(59.673, 59.7, 71.5),
    "mobileclip2_s2": Published(64.051, 64.1, 77.2, (74.8, 90.4, 48.8, 66.7)),
    "mobileclip2_b": Published(65.757, 65.8, 79.4),
    "mobileclip2_s3": Published(66.848, 66.8, 80.7),
    "mobileclip2_s4": Published(67.547, 67.5, 81.9),
    "mobileclip2_l14": Published(67.804, 67.8, 81.9),
}
# the mean over all 48 rows with a score, further benchmarks included
NAIVE = {"mobileclip2_s0": 62.913}


@dataclass(frozen=True)
class Figure:
    """A figure beside the published one, in percent, and its number of decimals."""

    name: str
    recomputed: float
    published: float
    decimals: int

    @property
    def agrees(self) -> bool:
        """Whether it rounds to the published one; a half may go either way."""
        return abs(self.recomputed - self.published) <= 0.5 * 10.0**-self.decimals + 1e-9


def main(argv: list[str] | None = None) -> int:
    """Compare the figures; 1 when one differs or a score does not agree with its parts."""
    given = parse(NAME, argv, 1)
    started, clock = timestamp(), time.perf_counter()
    with tempfile.TemporaryDirectory() as generated:
        paths = published_files(given, Path(generated))
        if paths is None:
            print(f"{NAME}: skipped, it needs --official CHECKOUT or --data FOLDER with mobileclip*.jsonl")
            return 0
        files = [read_result_file(path) for path in paths]
        found = [figure for file in files for figure in figures(file)]
    wrong = [figure.name for figure in found if not figure.agrees]
    broken = [line for file in files for line in file.mismatches]
    for figure in found:
        print(f"{figure.name}: {figure.recomputed:.{figure.decimals}f} (published {figure.published})")
    without_other = [note for file in files if (note := fmow_note(file))]
    for line in (*broken, *without_other):
        print(line)
    if given.scale == "smoke":
        print(f"{NAME}: scale smoke, so no verdict")
        return 0
    complete = len(files) == len(PUBLISHED)
    verdict: Verdict = "fails" if wrong or broken else "holds" if complete else "inconclusive"
    note = "; ".join(
        [
            f"{len(files)} of {len(PUBLISHED)} files, {len(found)} figures; differing: "
            f"{', '.join(wrong) or 'none'}; scores that differ from their parts: {len(broken)}",
            *without_other,
        ]
    )
    print(f"{NAME}: expected {EXPECTED}: {verdict}; {note}")
    if given.out is not None:
        write(found, verdict, note, given.out, started, time.perf_counter() - clock, argv)
    return 1 if wrong or broken else 0


def published_files(given: Options, generated: Path) -> list[Path] | None:
    """The files of known models, generated ones at scale smoke where none is given; None: there are none."""
    if given.official is not None:
        folders = [given.official / "results"]
    elif given.data is not None:
        folders = [given.data, given.data / "tables"]
    elif given.scale == "smoke":
        return generate(generated)
    else:
        return None
    paths = [folder / f"{name}.jsonl" for name in PUBLISHED for folder in folders]
    return [path for path in paths if path.exists()] or None


def figures(file: ResultFile) -> list[Figure]:
    """All published figures of a file."""
    name = file.path.stem
    published = PUBLISHED[name]
    (summary,) = summarize([file])
    found = [
        Figure(f"{name} average", 100 * summary.average, published.average, 3),
        Figure(f"{name} headline", 100 * summary.average, published.headline, 1),
        Figure(f"{name} ImageNet", 100 * file.scores["imagenet1k"], published.imagenet, 1),
    ]
    recalls = [value for key in HEADLINES for value in file.retrieval.get(key, {}).values()]
    for place, value in enumerate(published.recalls):
        found.append(Figure(f"{name} recall {place}", 100 * recalls[place], value, 1))
    if name in NAIVE:
        scores = [row.metrics["main_metric"] for row in read_rows(file.path)]
        known = [score for score in scores if score is not None]
        found.append(
            Figure(f"{name} all {len(known)} rows", 100 * math.fsum(known) / len(known), NAIVE[name], 3)
        )
    return found


def fmow_note(file: ResultFile) -> str:
    """What the four images of FMoW's region "Other" change in the average; "" where they change nothing."""
    for row in read_rows(file.path) if file.path.exists() else ():
        if row.key == "wilds/fmow" and "acc_region:5" in row.metrics:
            shares = [row.metrics.get(f"acc_region:{region}") for region in range(5)]
            worst = min(share for share in shares if share is not None)
            gain = 100 * (worst - file.scores["wilds/fmow"]) / len(TASKS)
            if gain > 1e-9:
                return (
                    f"{file.path.stem}: without FMoW's region of four images the average is {gain:.3f} higher"
                )
    return ""


def generate(folder: Path) -> list[Path]:
    """A file in which every task has the published average, with a row that must not count."""
    score = PUBLISHED["mobileclip_s0"].average / 100
    both = {f"{way}_retrieval_recall@1": score for way in ("image", "text")}
    rows: list[dict[str, object]] = [
        {"key": task.key, "metrics": {"main_metric": score, **(both if task.key in HEADLINES else {})}}
        for task in TASKS
    ]
    rows.append({"key": "fairness/fairface", "metrics": {"main_metric": None}})
    path = folder / "mobileclip_s0.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [path]


def write(
    found: Sequence[Figure],
    verdict: Verdict,
    note: str,
    out: Path,
    started: str,
    seconds: float,
    argv: list[str] | None,
) -> None:
    """Write the result file."""
    arms: Mapping[str, tuple[float, ...]] = {
        "recomputed": tuple(round(figure.recomputed, figure.decimals) for figure in found),
        "published": tuple(figure.published for figure in found),
    }
    result = Result(
        toolkit="mobileclip",
        question=NAME,
        kind="oracle",
        arms=tuple(
            Arm(name=name, metric="figures", unit="%", higher_is_better=True, values=values)
            for name, values in arms.items()
        ),
        comparison=None,
        expected=EXPECTED,
        verdict=verdict,
        environment=capture_environment(["mobileclip", "numpy"], threads=1),
        command=command_of(argv),
        commit=current_commit(RESULTS.parent),
        started=started,
        seconds=round(seconds, 1),
        note=f"computed from published scores; {note}; in order: {', '.join(f.name for f in found)}",
    )
    print(f"wrote {write_result(result, out)}")


if __name__ == "__main__":
    sys.exit(main())
