"""Do `dr build`, `dr verify`, `train` and `eval retrieval` run end to end on real photographs and captions?

`python -m benchmarks.mobileclip.real_pairs --data FOLDER`: FOLDER has a Parquet file of pairs (`key`,
`image`, `captions`), in itself or one level below. Every fifth pair is held out. A teacher is trained on the
others, plainly; they are reinforced by it (all human captions but the first stand in for a captioner's, which
is not at hand offline); the store is verified; and two students of one size train for as many steps, one
plainly on the first captions and one with the store. All of it by the command line. The recalls are reported
as they are: with so few pairs and a teacher that saw no others, they say that everything runs, and little of
the method.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from toolkit_shared.results import Arm, Result, capture_environment, current_commit, timestamp, write_result

from benchmarks.question import RESULTS, Options, command_of, parse

NAME = "real-pairs"
EXPECTED = (
    "every command ends with 0, no pair is lost, the verification finds no fault, and on held-out pairs both "
    "students recall more than chance"
)
MODEL = "MobileCLIP-Tiny"
HELD_OUT = 5  # every fifth pair


def main(argv: list[str] | None = None) -> int:
    """Run all commands; the exit code, 1 where the expectation fails."""
    options = parse(NAME, argv, 1)
    source = find_pairs(options)
    if source is None:
        print(f"{NAME}: skipped, it needs --data FOLDER with a Parquet file of images and captions")
        return 0
    started, clock = timestamp(), time.perf_counter()
    environment = capture_environment(["mobileclip", "torch", "lightning"], threads=2)
    with tempfile.TemporaryDirectory() as name:
        found = run(source, Path(name), options)
    for arm, recalls in found["recalls"].items():
        print(f"{arm}: " + ", ".join(f"{key} {value:.3f}" for key, value in recalls.items()))
    print(f"{found['trained']} pairs to train on, {found['held_out']} held out; {found['note']}")
    holds = not found["lost"] and all(
        recalls["image_retrieval_recall@5"] > 5 / found["held_out"]
        for arm, recalls in found["recalls"].items()
        if arm != "teacher"
    )
    if options.scale == "smoke":
        print(f"{NAME}: scale smoke, so no verdict")
        return 0
    print(f"{NAME}: expected {EXPECTED}: {'holds' if holds else 'fails'}")
    if options.out is not None:
        seconds = round(time.perf_counter() - clock, 1)
        result = Result(
            toolkit="mobileclip",
            question=NAME,
            kind="oracle",
            arms=tuple(
                Arm(
                    name=arm,
                    metric="image_retrieval_recall@5",
                    unit="fraction",
                    higher_is_better=True,
                    values=(recalls["image_retrieval_recall@5"],),
                )
                for arm, recalls in found["recalls"].items()
            ),
            comparison=None,
            expected=EXPECTED,
            verdict="holds" if holds else "fails",
            environment=environment,
            command=command_of(argv),
            commit=current_commit(RESULTS.parent),
            started=started,
            seconds=seconds,
            note=f"{found['trained']} pairs to train on, {found['held_out']} held out; {found['note']}",
        )
        print(f"wrote {write_result(result, options.out)}")
    return 0 if holds else 1


def find_pairs(options: Options) -> Path | None:
    """The first file of pairs in the folder or one level below; None where there is none."""
    if options.data is None:
        return None
    files = [*options.data.glob("*.parquet"), *options.data.glob("*/*.parquet")]
    with_captions = [
        path for path in sorted(files) if {"image", "captions"} <= set(pq.read_schema(path).names)
    ]
    return with_captions[0] if with_captions else None


def run(source: Path, folder: Path, options: Options) -> dict[str, Any]:
    """Split, train a teacher, build, verify, train both students, evaluate all three."""
    sizes = split(source, folder, limit=options.pick(40, 1_000_000))
    steps, batch = options.pick(2, 300), options.pick(8, 64)
    fit = ["--steps", str(steps), "--batch-size", str(batch), "--warmup-steps", str(max(1, steps // 10))]
    seconds: dict[str, float] = {}

    def step(name: str, *words: str) -> dict[str, Any]:
        clock = time.perf_counter()
        document = command(*words)
        seconds[name] = time.perf_counter() - clock
        print(f"{name}: {seconds[name]:.0f} s", file=sys.stderr, flush=True)
        return document

    pairs, one, test = (str(folder / f"{part}.parquet") for part in ("all", "first", "test"))
    step("teacher", "train", pairs, "--model", MODEL, "--out", str(folder / "teacher"), *fit)
    teacher = f"mobileclip:{folder / 'teacher' / 'model'}"
    store = str(folder / "store")
    built = step(
        "dr build",
        *(
            "dr",
            "build",
            one,
            "--out",
            store,
            "--teacher",
            teacher,
            "--augmentations",
            str(options.pick(2, 5)),
        ),
        *("--captioner", f"file:{folder / 'captions.jsonl'}", "--synthetic-captions", "4"),
    )
    step("dr verify", "dr", "verify", store, "--pairs", one, "--teacher", teacher)
    step("plain student", "train", one, "--model", MODEL, "--out", str(folder / "plain"), *fit)
    step(
        "reinforced student",
        *(
            "train",
            one,
            "--model",
            MODEL,
            "--reinforcement",
            store,
            "--out",
            str(folder / "reinforced"),
            *fit,
        ),
    )
    arms = {"teacher": "teacher", "plain student": "plain", "reinforced student": "reinforced"}
    recalls = {
        arm: command("eval", "retrieval", test, "--model", str(folder / run / "model"))["metrics"]
        for arm, run in arms.items()
    }
    shown = ("image_retrieval_recall@1", "image_retrieval_recall@5", "text_retrieval_recall@5")
    return {
        "recalls": {arm: {key: metrics[key] for key in shown} for arm, metrics in recalls.items()},
        "lost": built["num_pairs"] - built["num_samples"],
        "note": f"{steps} steps of {batch}; "
        + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()),
        **sizes,
    }


def split(source: Path, folder: Path, *, limit: int) -> dict[str, int]:
    """Write training pairs with all captions and with the first, the others by key, and test pairs."""
    table = pq.read_table(source).slice(0, limit)
    held = [number % HELD_OUT == 0 for number in range(len(table))]
    train, test = table.filter(pa.array([not value for value in held])), table.filter(pa.array(held))
    captions = train["captions"].to_pylist()
    place = train.schema.get_field_index("captions")
    first = pa.array([each[:1] for each in captions], pa.list_(pa.string()))
    for name, part in (("all", train), ("first", train.set_column(place, "captions", first)), ("test", test)):
        pq.write_table(part, folder / f"{name}.parquet")
    rows = zip(train["key"].to_pylist(), captions, strict=True)
    lines = [json.dumps({"key": key, "captions": each[1:]}) + "\n" for key, each in rows]
    (folder / "captions.jsonl").write_text("".join(lines))
    return {"trained": len(train), "held_out": len(test)}


def command(*words: str) -> dict[str, Any]:
    """What a command of mobileclip prints as JSON; an AssertionError with its last line when it fails."""
    program = "import sys; from mobileclip.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, *words, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words[:2])}: {last(done.stderr.splitlines())}"
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def last(lines: Sequence[str]) -> str:
    """The last line, or nothing."""
    return lines[-1] if lines else ""


if __name__ == "__main__":
    sys.exit(main())
