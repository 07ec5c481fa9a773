"""The runners of benchmarks and demos: what they find, and that they say what failed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from toolkit_shared.report import render_figures, render_report
from toolkit_shared.results import read_results

from benchmarks import cli_startup, run, run_demos
from benchmarks.question import parse
from tests.workspace import ROOT, TOOLKITS, commands_of, write_script

QUESTION = 'import sys\n\n\ndef main():\n    sys.exit({code})\n\n\nif __name__ == "__main__":\n    main()\n'


def test_a_folder_stands_for_the_questions_in_it(tmp_path: Path) -> None:
    (tmp_path / "ape").mkdir()
    for name in ("speed", "cost"):
        (tmp_path / "ape" / f"{name}.py").write_text(QUESTION.format(code=0))
    for name in ("__init__", "shared_inputs"):
        (tmp_path / "ape" / f"{name}.py").write_text("")
    (tmp_path / "bee_hive").mkdir()
    (tmp_path / "bee_hive" / "cost.py").write_text(QUESTION.format(code=0))
    (tmp_path / "startup.py").write_text(QUESTION.format(code=0))

    assert run.questions_of("ape", tmp_path) == ["ape.cost", "ape.speed"]
    assert run.questions_of("ape.cost", tmp_path) == ["ape.cost"]
    assert run.questions_of("startup", tmp_path) == ["startup"]
    assert run.questions_of("bee-hive", tmp_path) == ["bee_hive.cost"]
    assert run.questions_of("bee", tmp_path) == []


def test_an_unknown_name_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["cli_startup", "nothing"]) == 2
    assert capsys.readouterr().err == "benchmarks: error: no folder or question 'nothing' in benchmarks/\n"


def test_a_question_that_fails_stops_no_other_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given three questions, of which the second fails
    commands = []

    def answer(command: list[str], cwd: Path) -> "subprocess.CompletedProcess[str]":
        commands.append((command[1:], cwd))
        return subprocess.CompletedProcess(command, 3 if "bad" in command[2] else 0)

    monkeypatch.setattr(run, "questions_of", lambda name: [f"ape.{name}"])
    monkeypatch.setattr(run.subprocess, "run", answer)

    code = run.main(["--scale", "smoke", "one", "bad", "two"])

    assert code == 1
    assert commands == [
        (["-m", f"benchmarks.ape.{name}", "--scale", "smoke"], ROOT) for name in ("one", "bad", "two")
    ]
    assert capsys.readouterr().err.endswith("benchmarks: 1 of 3 failed: ape.bad\n")


def test_folders_are_given_on_to_every_question_by_their_full_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []
    monkeypatch.setattr(run, "questions_of", lambda name: [f"ape.{name}"])
    monkeypatch.setattr(
        run.subprocess,
        "run",
        lambda command, cwd: commands.append(command[3:]) or subprocess.CompletedProcess(command, 0),
    )
    monkeypatch.chdir(tmp_path)

    assert run.main(["--data", "real", "--official", "code", "one"]) == 0

    folders = ["--data", str(tmp_path / "real"), "--official", str(tmp_path / "code")]
    assert commands == [["--scale", "cpu", *folders]]


@pytest.mark.parametrize("option", ["--data", "--official"])
def test_a_folder_that_is_not_there_is_refused_in_one_line(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("speed", [option, str(tmp_path / "none")], 7)

    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {option}: {tmp_path / 'none'} is no folder\n")


def test_the_report_is_what_the_results_it_names_give() -> None:
    folder = ROOT / "benchmarks"
    report = (folder / "REPORT.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(results/([^)]+\.json)\)", report))
    results = {name: result for name, result in read_results(folder / "results").items() if name in named}

    assert len(results) == len(named) > 0
    assert report == render_report(results), "the report is old or was edited by hand; run make report"
    for name, picture in render_figures(results).items():
        assert (folder / "figures" / name).read_text(encoding="utf-8") == picture


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_every_toolkit_has_questions(toolkit: str) -> None:
    assert run.questions_of(toolkit)


def test_the_page_of_demos_links_what_is_there(tmp_path: Path) -> None:
    demos = [
        run_demos.Demo("ape", 0, 12.4, [tmp_path / "ape" / "report.html"]),
        run_demos.Demo("bee", 1, 3.0, []),
    ]

    page = run_demos.page(demos, tmp_path)

    assert re.findall(r'href="(.*?)"', page) == ["ape/report.html"]
    assert "<td>ape</td><td>well</td><td>12</td>" in page
    assert "<td>bee</td><td>with exit code 1</td><td>3</td>" in page


def test_a_demo_that_fails_fails_the_job_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_demos, "ROOT", tmp_path)
    monkeypatch.setattr(run_demos, "REPORTS", tmp_path / "reports" / "demo")
    scripts = {}
    for name, code in (("ape", 3), ("bee", 0)):
        scripts[name] = tmp_path / f"{name}.sh"
        scripts[name].write_text(f'#!/bin/sh\nmkdir -p "$3"; echo page > "$3/report.html"; exit {code}\n')
        scripts[name].chmod(0o755)
    monkeypatch.setattr(run_demos, "script", lambda toolkit: str(scripts[toolkit]))

    code = run_demos.main(["ape", "bee"])

    page = (tmp_path / "reports" / "demo" / "index.html").read_text()
    assert code == 3
    assert re.findall(r'href="(.*?)"', page) == ["ape/report.html", "bee/report.html"]


def test_startup_is_judged_by_every_repeat() -> None:
    bare = {cli_startup.BARE: [9.0]}

    assert cli_startup.verdict_of({**bare, "--help": [0.1, 0.19], "a --help": [0.9]}) == "holds"
    assert cli_startup.verdict_of({**bare, "--help": [0.1, 0.21], "a --help": [0.9]}) == "inconclusive"
    assert cli_startup.verdict_of({**bare, "--help": [0.21, 0.3], "a --help": [0.9]}) == "fails"
    assert cli_startup.verdict_of({**bare, "--help": [0.1], "a --help": [0.2, 1.0]}) == "inconclusive"
    assert cli_startup.verdict_of({**bare, "--help": [0.1], "a --help": [1.0]}) == "fails"


def test_startup_is_measured_in_cpu_time_not_by_the_clock() -> None:
    asleep = cli_startup.cpu_seconds([sys.executable, "-c", "import time; time.sleep(1)"])
    busy = cli_startup.cpu_seconds([sys.executable, "-c", "import time\nwhile time.process_time() < 1: pass"])

    assert asleep < 0.6
    assert busy >= 1


def test_a_help_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="failed with 3"):
        cli_startup.cpu_seconds([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_startup_measures_every_command(toolkit: str, tmp_path: Path) -> None:
    script = write_script(toolkit, tmp_path)

    assert cli_startup.commands_of(str(script)) == list(commands_of(toolkit))
