"""diff, gate and flips as a user types them: outputs, exit codes, and one line for every mistake."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from llm_compat.cli import COMMANDS, main


def call(monkeypatch: pytest.MonkeyPatch, *argv: object) -> int:
    monkeypatch.setattr(sys, "argv", ["llm-compat", *map(str, argv)])
    return main()


def table(path: Path, right: list[int], **more: Any) -> Path:
    rows = [{"id": n, "correct": bool(value), **more} for n, value in enumerate(right)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """200 items: 40 lost, 4 gained."""
    old = table(tmp_path / "old.jsonl", [1] * 150 + [0] * 50, task="letters")
    new = table(tmp_path / "new.jsonl", [0] * 40 + [1] * 110 + [1] * 4 + [0] * 46, task="letters")
    return old, new


def test_diff_prints_one_json_document_with_the_promised_keys(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "diff", *runs, "--json") == 0

    (task,) = json.loads(capsys.readouterr().out)["tasks"]
    assert (task["n"], task["nfr"], task["pfr"], task["accuracy_old"]) == (200, 0.2, 0.02, 0.75)
    assert task["nfr_mc"] is None  # the table has no answers
    assert task["verdict"] == "regressed"
    promised = [
        "flips",
        "btc",
        "bec",
        "nfi",
        "rel_nfr",
        "mcnemar_p",
        "gain_magnitude",
        "regression_magnitude",
    ]
    assert set(promised) <= task.keys()


def test_diff_exits_with_1_for_a_regression_only_when_asked(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "diff", *runs) == 0
    assert call(monkeypatch, "diff", *runs, "--fail-on-regression") == 1
    assert call(monkeypatch, "diff", runs[0], runs[0], "--fail-on-regression") == 0


def test_diff_writes_a_page_and_junit(
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page, junit = tmp_path / "out" / "page.html", tmp_path / "out" / "junit.xml"

    assert call(monkeypatch, "diff", *runs, "--html", page, "--junit", junit) == 0

    assert page.read_text().startswith("<!doctype html>")
    assert 'failures="1"' in junit.read_text()
    assert f"page: {page}" in capsys.readouterr().out


def test_diff_gives_the_same_bytes_for_any_number_of_workers(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for workers in (1, 2):
        assert call(monkeypatch, "diff", *runs, "--json", "--workers", workers) == 0
        outputs.append(capsys.readouterr().out)

    assert outputs[0] == outputs[1]


def test_the_gate_fails_says_how_many_items_would_do_and_passes_under_a_higher_limit(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "gate", *runs, "--max-nfr", 0.21) == 1
    assert "allow up to 25.22 %; the same rate would be certified at" in capsys.readouterr().out

    assert call(monkeypatch, "gate", *runs, "--max-nfr", 0.1) == 1
    assert "is not below the limit of 10 %; no number of items certifies it" in capsys.readouterr().out

    assert call(monkeypatch, "gate", *runs, "--max-nfr", 0.26, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is True
    assert document["tasks"][0]["negative_flips"] == 40
    assert document["tasks"][0]["nfr_upper_bound"] == pytest.approx(0.2522, abs=1e-4)


def test_the_gate_writes_junit_also_when_it_fails(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    junit = tmp_path / "gate.xml"

    assert call(monkeypatch, "gate", *runs, "--max-nfr", 0.01, "--junit", junit) == 1

    assert 'failures="1"' in junit.read_text()


def test_flips_lists_the_lost_items_as_table_csv_and_json(
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    csv = tmp_path / "lost.csv"

    assert call(monkeypatch, "flips", *runs, "--limit", 3, "--csv", csv) == 0
    assert capsys.readouterr().out.startswith("letters correct: 40 lost of 200, the first 3 shown\n")
    assert len(csv.read_text().splitlines()) == 41

    assert call(monkeypatch, "flips", *runs, "--kind", "gained", "--json") == 0
    (task,) = json.loads(capsys.readouterr().out)["tasks"]
    assert task["total"] == 4
    assert [item["id"] for item in task["items"]] == ["150", "151", "152", "153"]


MISTAKES = [
    (["diff", "old.jsonl", "nothing"], "diff: error: nothing: no such file or folder; check the path"),
    (
        ["diff", "old.jsonl", "new.jsonl", "--json", "--markdown"],
        "diff: error: --markdown: --json is given as well",
    ),
    (["diff", "old.jsonl", "new.jsonl", "--by", "subjct"], "diff: error: "),
    (["diff", "old.jsonl", "new.jsonl", "--task", "piqa"], "diff: error: old.jsonl: "),
    (["diff", "old.jsonl", "new.jsonl", "--html", "."], "diff: error: .: is a folder; name a file in it"),
    (["diff", "old.jsonl", "new.jsonl", "--compare.draws", "5"], "diff: error: "),
    (
        ["diff", "old.jsonl", "short.jsonl"],
        "diff: error: short.jsonl: letters: 1 of 200 documents of old.jsonl",
    ),
    (["gate", "old.jsonl", "new.jsonl"], "gate: error: "),
    (
        ["gate", "old.jsonl", "new.jsonl", "--max-nfr", "5"],
        "gate: error: --max-nfr: 5 is not between 0 and 1",
    ),
    (
        ["gate", "old.jsonl", "new.jsonl", "--max-nfr", "nan"],
        "gate: error: --max-nfr: nan is not between 0 and 1",
    ),
    (["flips", "old.jsonl", "new.jsonl", "--limit", "-1"], "flips: error: --limit: -1 is negative"),
    (["flips", "old.jsonl", "new.jsonl", "--width", "2"], "flips: error: --width: 2 is too narrow"),
    (["flips", "old.jsonl", "new.jsonl", "--kind", "lots"], "flips: error: "),
]


@pytest.mark.parametrize(("argv", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    runs: tuple[Path, Path],
    argv: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(runs[0].parent)
    table(Path("short.jsonl"), [1] * 199, task="letters")

    assert call(monkeypatch, *argv) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if "error:" in line]
    assert line.startswith(f"llm-compat {message}")
    assert "Traceback" not in captured.err


def test_the_configuration_printed_gives_the_same_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"diff": [], "gate": ["--max-nfr", "0.02"], "flips": []}
    for command, extra in options.items():
        assert call(monkeypatch, command, "a", "b", *extra, "--print-config") == 0
        printed = capsys.readouterr().out
        file = tmp_path / f"{command}.yaml"
        file.write_text(printed)

        assert call(monkeypatch, command, "a", "b", "--config", file, "--print-config") == 0
        assert capsys.readouterr().out == printed


def test_measuring_loads_neither_torch_nor_transformers_nor_the_harness(runs: tuple[Path, Path]) -> None:
    heavy = ("torch", "transformers", "lm_eval", "pandas", "datasets", "peft")
    program = (
        "import sys\nfrom llm_compat.cli import main\n"
        f"sys.argv = ['llm-compat', 'diff', {str(runs[0])!r}, {str(runs[1])!r}, '--json']\n"
        f"code = main()\nprint([name for name in {heavy!r} if name in sys.modules], code, file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stderr.splitlines()[-1] == "[] 0"


def test_the_table_of_commands_holds_what_the_toolkit_promises() -> None:
    assert list(COMMANDS) == ["diff", "gate", "flips", "convert", "cache", "train", "demo", "claims"]
