"""seqdecomp plan: the whole run as numbers and a picture, and the best mixture within a budget."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from seqdecomp import cli
from seqdecomp.build import build_store
from seqdecomp.plan_report import sparkline
from seqdecomp.settings import DecompositionSettings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 40 sequences of 16 tokens and 20 of 32."""
    folder = tmp_path_factory.mktemp("plan")
    texts = ["y" * 47] * 20 + ["x" * 15] * 20
    (folder / "docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    settings = DecompositionSettings(min_length=16, max_length=32)
    build_store([folder / "docs.jsonl"], folder / "s", tokenizer="bytes", settings=settings)
    return folder


@pytest.fixture
def seqdecomp(store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run seqdecomp in the folder of the store; gives exit code, stdout and stderr."""
    monkeypatch.chdir(store)

    def call(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["seqdecomp", *line.split()])
        code = cli.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_plan_is_told_in_full(seqdecomp: Run) -> None:
    code, out, _ = seqdecomp("plan s --batch-tokens 128 --cycles 2 --json")

    found = json.loads(out)
    assert code == 0
    assert (found["steps"], found["tokens"], found["batch_tokens"]) == (10, 1280, 128)
    assert [(g["length"], g["available"], g["steps"], g["rows_per_step"]) for g in found["groups"]] == [
        (16, 40, 5, 8), (32, 20, 5, 4)
    ]  # fmt: skip
    assert found["average_sequence_length"] == pytest.approx(1280 / 60)
    assert found["mean_length_by_token"] == 24
    assert np.sum(found["shares"]["16"]) == 5


def test_every_step_and_the_picture_can_be_written(seqdecomp: Run) -> None:
    code, out, err = seqdecomp("plan s --batch-tokens 128 --steps steps.csv --picture plan.svg")

    assert (code, err) == (0, "")
    assert "steps 0 to 9 of 128 tokens; tokens 1,280" in out
    assert out.count("\n") < 20
    assert "mean length 21.3; mean context 11.5" in out
    rows = list(csv.DictReader(Path("steps.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == [str(i) for i in range(10)]
    assert {row["tokens"] for row in rows} == {"128"}
    assert Path("plan.svg").read_text().startswith("<svg")


def test_a_curriculum_of_odds_and_a_mixture_by_length_are_taken(seqdecomp: Run) -> None:
    found = json.loads(
        seqdecomp("plan s --batch-tokens 64 --curriculum 9:1 --mixture 16:1,32:3 --tokens 512 --json")[1]
    )
    assert [group["selected"] for group in found["groups"]] == [8, 12]
    assert found["settings"]["curriculum"] == "9:1"


def test_a_budget_gives_a_mixture_that_gives_the_same_plan_again(seqdecomp: Run) -> None:
    Path("t.json").write_text(json.dumps({"batch_tokens": 1, "milliseconds": {"16": 3600, "32": 7200}}))

    # A token takes 0.001 hours in rows of 16 and 0.002 in rows of 32; 0.96 hours are half of each.
    line = "plan s --batch-tokens 64 --tokens 640 --json"
    code, out, _ = seqdecomp(f"{line} --step-times t.json --budget-hours 0.96")

    found = json.loads(out)
    assert code == 0
    assert found["best_mixture"]["mixture"] == "16:320,32:320"
    assert found["hours"] == pytest.approx(0.96)
    again = json.loads(seqdecomp(f"{line} --mixture 16:320,32:320")[1])
    assert again["groups"] == found["groups"]


def test_a_baseline_is_planned_by_the_same_command(seqdecomp: Run) -> None:
    found = json.loads(seqdecomp("plan s --batch-tokens 128 --arm concat+mask --lengths.max 64 --json")[1])
    assert [(group["length"], group["available"]) for group in found["groups"]] == [(64, 20)]


def test_context_and_composition_are_told_of_every_arm(seqdecomp: Run) -> None:
    def of(arm: str) -> tuple[float, dict[str, float]]:
        found = json.loads(seqdecomp(f"plan s --batch-tokens 128 --arm {arm} --lengths.max 64 --json")[1])
        return found["average_context_length"], found["composition"]

    # Documents of 48 and 16 tokens fill rows of 64 in pairs: 48 * 47 / 2 + 16 * 15 / 2 pairs over 64 tokens.
    context, packed = of("best-fit+mask")
    assert context == packed["average_context_length"] == (1128 + 120) / 64
    assert (packed["padding_ratio"], packed["truncation_ratio"], packed["concatenation_ratio"]) == (0, 0, 2)
    context, chunked = of("semantic")
    assert context == chunked["average_context_length"] == 63 / 2
    assert 0 < chunked["truncation_ratio"] < 1
    told = seqdecomp("plan s --batch-tokens 128 --arm concat+mask --lengths.max 64")[1]
    assert told.splitlines()[-1].split()[:3] == ["concat+mask", "20", "64.0"]


def test_context_is_that_of_the_rows_that_the_plan_serves(seqdecomp: Run) -> None:
    line = "plan s --batch-tokens 64 --mixture 16:1 --tokens 320 --json"
    found = json.loads(seqdecomp(line)[1])
    assert (found["average_context_length"], found["composition"]["average_context_length"]) == (7.5, 11.5)


def test_what_fills_no_batch_is_told(seqdecomp: Run) -> None:
    # Steps of 96 tokens take 6 of 40 rows or 3 of 20.
    kept = seqdecomp("plan s --batch-tokens 96")[1].splitlines()
    assert [line.split("  ")[-1] for line in kept[1:3]] == [
        "4 rows in a smaller batch",
        "2 rows in a smaller batch",
    ]
    dropped = seqdecomp("plan s --batch-tokens 96 --leftovers drop")[1].splitlines()
    assert [line.split("  ")[-1] for line in dropped[1:3]] == ["4 rows dropped", "2 rows dropped"]


def test_each_source_may_have_its_own_curriculum_and_mixture(seqdecomp: Run, store: Path) -> None:
    settings = DecompositionSettings(min_length=16, max_length=32)
    (store / "code.jsonl").write_bytes((store / "docs.jsonl").read_bytes())
    sources = {"web": store / "docs.jsonl", "code": store / "code.jsonl"}
    build_store([], store / "two", tokenizer="bytes", settings=settings, sources=sources)

    mixture = "web/16:1,web/32:1,code/16:1,code/32:2"
    line = f"plan two --batch-tokens 64 --cycles 1 --tokens 640 --mixture {mixture}"
    # Odds of 1000 to 1: web goes from short to long, code from long to short.
    found = json.loads(seqdecomp(f"{line} --curriculum web=1000:1,code=1:1000 --steps two.csv --json")[1])

    assert {group["label"]: group["selected"] for group in found["groups"]} == {
        "web/16": 8, "web/32": 4, "code/16": 8, "code/32": 8
    }  # fmt: skip
    rows = [row["group"] for row in csv.DictReader(Path("two.csv").read_text().splitlines())]
    assert [row for row in rows if row.startswith("web")] == ["web/16"] * 2 + ["web/32"] * 2
    assert [row for row in rows if row.startswith("code")] == ["code/32"] * 4 + ["code/16"] * 2


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("plan s --batch-tokens 100", "batch_tokens: 100 is not a multiple of length 16; give 128"),
        ("plan s --batch-tokens 0", "--batch-tokens 0: is not positive; give 1 or more"),
        (
            "plan s --batch-tokens 128 --devices 8",
            "batch_tokens: 128 tokens are 4 rows of length 32, which 8 x 1 (devices x micro-batches) cannot "
            "share evenly; give 256, or change --devices or --accumulate",
        ),
        (
            "plan s --batch-tokens 128 --mixture equal --tokens 4000",
            "bucket 16: 2,000 tokens wanted, 640 available; lower --tokens, change --mixture, or pass "
            "--repeat repeat",
        ),
        (
            "plan s --batch-tokens 128 --curriculum grow",
            "curriculum: 'grow' is not known; give one of",
        ),
        (
            "plan s --batch-tokens 128 --curriculum 1:2:3",
            "curriculum: '1:2:3' gives 3 odds for 2 buckets",
        ),
        ("plan s --seed -1", "seed: -1 is negative; give 0 or more"),
        ("plan s --cycles 0", "cycles: 0 is not positive; give 1 or more"),
        ("plan s --arm best", "arm: 'best' is not one of dd,"),
        ("plan s --batch-tokens 128 --budget-hours 1", "--budget-hours: needs --step-times; give a run,"),
        (
            "plan s --batch-tokens 128 --step-times t.json --budget-hours nan",
            "--budget-hours nan: is not a number above 0; give hours",
        ),
        (
            "plan s --batch-tokens 128 --step-times t.json --budget-hours 0.001",
            "budget: 0.001 hours are too few; one sequence takes 16 hours",
        ),
        (
            "plan s --batch-tokens 128 --floor-fraction 0.5",
            "--floor-fraction: has no effect without --budget-hours; give both or neither",
        ),
        ("plan s --mixture 16:1,16:2", "mixture: '16' is given twice; add up its parts"),
        ("plan s --mixture 16:0", "mixture: '16:0' takes nothing; give some length a part above 0"),
        ("plan s --picture s", "s: is a folder; name a file in it"),
        ("plan nowhere", "nowhere: no store here (manifest.json is missing)"),
        (
            "plan s --batch-tokens 128 --leftovers drop --tokens 64",
            "tokens: 64 tokens in whole sequences give no step of 128;",
        ),
        ("plan s --lengths.max 48", "max_length: 48 is not a power of two; nearest: 32"),
    ],
)
def test_a_mistake_gives_one_line_and_exit_code_two(seqdecomp: Run, line: str, error: str) -> None:
    Path("t.json").write_text(
        json.dumps({"batch_tokens": 1, "milliseconds": {"16": 3600_000, "32": 7200_000}})
    )
    code, out, err = seqdecomp(line)

    assert (code, out) == (2, "")
    assert err.startswith(f"seqdecomp plan: error: {error}"), err
    assert err.count("\n") == 1


def test_sparklines_go_from_blank_to_full() -> None:
    assert sparkline([0, 4, 8]) == " ▄█"
    assert sparkline([3, 3]) == "▄▄"
    assert re.fullmatch("[ █]+", sparkline([0, 1, 0], 0, 1))
