"""Command lines, through a toy toolkit whose commands end in every way there is."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toolkit_shared.cli import Command, emit, nearest_name, run
from toolkit_shared.cli.bounds import require_at_least
from toolkit_shared.errors import InputError

HERE = Path(__file__).parent
Run = Callable[..., tuple[int, str, str]]

ROOT_HELP = """\
Usage: toy-toolkit COMMAND [INPUTS] [OPTIONS]

A toolkit for tests.

Commands:
  train      Train the toy.
  check      Check the inputs.
  refuse     Refuse its input.
  interrupt  Be interrupted.
  crash      Have a defect.
  write      Write a file.
  extra      Need an extra inside.
  missing    Need an extra at import.
  misplaced  Have a default in an instance.
  lines      Print many lines.
  wait       Wait for an interrupt.

'toy-toolkit COMMAND --help' lists the options of one command; 'toy-toolkit --version' the version.
"""

TRAIN_HELP = """\
Usage: toy-toolkit train DATA --out OUT [OPTIONS]

Train the toy.

Inputs:
  DATA                        folder with the data. [required]

Options:
  --steps INT                 optimizer steps. [default: 10]
  --label STR                 free text. [default: toy]
  --[no-]warm                 whether to warm up. [default: on]
  --odds INT INT              two whole numbers. [default: 2 1]
  --lengths INT...            any number of whole numbers.
  --weights.NAME VALUE        name to weight.
  --cache-folder PATH         a folder.
  --optimizer.FIELD VALUE     lr, kind, betas, clip; --help-all says more
  --out PATH                  folder written. [required]
  --[no-]resume               continue a run that was stopped. [default: on]
  --name STR                  name of the run.
  --json                      print one JSON document.

Also --config FILE|RECIPE (repeatable, the later wins)
and --print-config (the resolved YAML, which --config takes back).
"""

OPTIMIZER_HELP = """\
  --optimizer.lr FLOAT        learning rate. [default: 0.001]
  --optimizer.kind adamw|sgd  update rule. [default: adamw]
  --optimizer.betas FLOAT...  decay rates. [default: 0.9 0.95]
  --optimizer.clip FLOAT      gradient norm limit; null for none. [default: 1.0]
"""


def in_own_process(*argv: str, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "toy_toolkit.cli", *argv],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# --- help ---


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"]])
def test_root_help_is_the_table(toy: Run, argv: list[str]) -> None:
    assert toy(*argv) == (0, ROOT_HELP, "")


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["d", "--steps", "x", "--help"]])
def test_a_commands_help_lists_its_options_whatever_else_is_given(toy: Run, argv: list[str]) -> None:
    assert toy("train", *argv) == (0, TRAIN_HELP, "")


def test_the_fields_of_a_nested_group_show_when_all_is_asked_for(toy: Run) -> None:
    code, out, err = toy("train", "--help-all")

    group = "  --optimizer.FIELD VALUE     lr, kind, betas, clip; --help-all says more\n"
    assert (code, err) == (0, "")
    assert out == TRAIN_HELP.replace(group, OPTIMIZER_HELP)


def test_help_fits_the_terminal(toy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    options = toy("train", "--help")[1].partition("Options:")[2].splitlines()

    assert max(map(len, options)) <= 60
    assert "  --[no-]warm                 whether to warm up." in options
    assert "                              [default: on]" in options  # not broken at its space


def test_root_help_loads_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); from toy_toolkit.cli import main; main(['--help']); "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(new - set(sys.stdlib_module_names)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)

    assert done.stderr.split() == ["toolkit_shared", "toy_toolkit"]


def test_version_is_that_of_the_installed_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run("toolkit-shared", "about", {"a": Command("b", "c:d")}, ["--version"]) == 0
    assert capsys.readouterr().out == f"toolkit-shared {version('toolkit-shared')}\n"


# --- commands of two words ---

GROUPED = {
    "quality train": Command("Train a scorer.", "toy_toolkit.commands.train:train"),
    "check": Command("Check the inputs.", "toy_toolkit.commands.ends:check"),
    "quality score": Command("Score pages.", "toy_toolkit.commands.ends:check"),
}
GROUP_HELP = """\
Usage: toy-toolkit COMMAND [INPUTS] [OPTIONS]

Commands:
  quality train  Train a scorer.
  quality score  Score pages.

'toy-toolkit COMMAND --help' lists the options of one command; 'toy-toolkit --version' the version.
"""


@pytest.fixture
def grouped(toy: Run, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*argv: str) -> tuple[int, str, str]:
        code = run("toy-toolkit", "About.", GROUPED, argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_root_help_shows_the_rows_of_a_group_together(grouped: Run) -> None:
    names = re.findall(r"^  (quality \w+|check) ", grouped("--help")[1], flags=re.MULTILINE)

    assert names == ["quality train", "quality score", "check"]


@pytest.mark.parametrize("argv", [["quality"], ["quality", "-h"], ["quality", "--help"]])
def test_the_help_of_a_group_lists_its_commands(grouped: Run, argv: list[str]) -> None:
    assert grouped(*argv) == (0, GROUP_HELP, "")


def test_the_help_of_a_command_of_two_words_is_its_own(grouped: Run) -> None:
    code, out, err = grouped("quality", "train", "--help")

    assert (code, err) == (0, "")
    assert out == TRAIN_HELP.replace("toy-toolkit train", "toy-toolkit quality train")


@pytest.mark.parametrize("argv", [["quality", "score", "a"], ["quality score", "a"]])
def test_two_words_run_their_command(grouped: Run, argv: list[str]) -> None:
    assert grouped(*argv)[0] == 0
    assert grouped(*argv, "--no-passes")[0] == 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("quality trian", "unknown command 'quality trian'; did you mean 'quality train'?"),
        ("qualitytrain", "unknown command 'qualitytrain'; did you mean 'quality train'?"),
        ("quality --steps", "unknown command 'quality --steps'; did you mean 'quality score'?"),
        ("quality zzzzzzzzzzzz", "unknown command 'quality zzzzzzzzzzzz'; the commands are quality train, "
         "check, quality score"),
        ("quality train d --out o --steps x", 'Invalid value for --steps: unable to convert "x" into int.'),
    ],
)  # fmt: skip
def test_a_wrong_second_word_gives_one_line(grouped: Run, line: str, error: str) -> None:
    where = "toy-toolkit quality train" if "--out" in line else "toy-toolkit"
    assert grouped(*line.split()) == (2, "", f"{where}: error: {error}\n")


# --- exit codes ---


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["check", "a"], 0),
        (["check", "a", "--no-passes"], 1),
        (["refuse"], 2),
        (["interrupt"], 130),
        (["train", "d", "--out", "o"], 0),  # returns None
    ],
)
def test_exit_code_is_the_commands_own(toy: Run, argv: list[str], code: int) -> None:
    assert toy(*argv)[0] == code


def test_an_interrupted_command_says_nothing(toy: Run) -> None:
    assert toy("interrupt") == (130, "", "")


def test_a_defect_keeps_its_traceback(toy: Run) -> None:
    with pytest.raises(ZeroDivisionError, match="a defect"):
        toy("crash")


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "out.bin: no space left on device; make room, and give the same command again"),
        (errno.EACCES, "out.bin: permission denied; choose another place, or change its permissions"),
        (errno.ENOENT, "out.bin: no such file or directory; check the path"),
    ],
)
def test_a_refusal_of_the_operating_system_is_one_line_with_the_file(
    toy: Run, number: int, line: str
) -> None:
    assert toy("write", "out.bin", "--fails", str(number)) == (2, "", f"toy-toolkit write: error: {line}\n")


@pytest.mark.parametrize("argv", [["--help"], ["check"], ["lines"]])
def test_a_closed_stdout_is_no_error(argv: list[str]) -> None:
    command = [sys.executable, "-m", "toy_toolkit.cli", *argv]
    closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], cwd=HERE, capture_output=True)
    assert (closed.returncode, closed.stdout, closed.stderr) == (0, b"", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("argv", [["--help"], ["lines"]])
def test_a_full_stdout_is_one_line(argv: list[str]) -> None:
    command = [sys.executable, "-m", "toy_toolkit.cli", *argv]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=HERE, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith(
        "error: no space left on device; make room, and give the same command again\n"
    )
    assert done.stderr.count("\n") == 1


def test_control_c_ends_a_running_command_quietly_with_130() -> None:
    process = in_own_process("wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"

    process.send_signal(signal.SIGINT)

    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("argv", [["lines"], ["--help"], ["train", "--help"]])
def test_a_reader_that_leaves_early_gets_no_traceback(argv: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # nobody will read
    process = subprocess.run(
        [sys.executable, "-m", "toy_toolkit.cli", *argv],
        cwd=HERE,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)

    assert (process.returncode, process.stderr) == (0, "")


# --- errors, by exact line ---

OPTION_ERRORS = {
    "tran": "toy-toolkit: error: unknown command 'tran'; did you mean 'train'?",
    "--versio": "toy-toolkit: error: unknown option '--versio'; did you mean '--version'?",
    "--lr": "toy-toolkit: error: unknown option '--lr'; the commands are train, check, refuse, "
    "interrupt, crash, write, extra, missing, misplaced, lines, wait",
    "refuse": "toy-toolkit refuse: error: a.json: field 'caption' is missing; add it",
    "extra": "toy-toolkit extra: error: no_such_module_anywhere is not installed; it comes with the extra "
    "'plots': pip install 'toy-toolkit[plots]'",
    "missing": "toy-toolkit missing: error: no_such_module_anywhere is not installed; it comes with the "
    "extra 'train': pip install 'toy-toolkit[train]'",
    "train": "toy-toolkit train: error: input DATA is missing; 'toy-toolkit train --help' shows what to give",
    "train d": "toy-toolkit train: error: option --out is missing; give it here or in a --config file",
    "train d --out": "toy-toolkit train: error: option --out has no value; write one after it",
    "train d e --out o": "toy-toolkit train: error: unexpected input 'e'; "
    "'toy-toolkit train --help' shows what the command takes",
    "train d --out o --stepz 3": "toy-toolkit train: error: Unknown option: --stepz. Did you mean --steps?",
    "train d --out o --steps many": "toy-toolkit train: error: Invalid value for --steps: "
    'unable to convert "many" into int.',
    "train d --out o --steps 1.5": "toy-toolkit train: error: Invalid value for --steps: "
    'unable to convert "1.5" into int.',
    "train d --out o --lengths 1 2.5": "toy-toolkit train: error: Invalid value for --lengths: "
    'unable to convert "2.5" into int.',
    "train d --out o --optimizer.kind adam": "toy-toolkit train: error: "
    'Invalid value "adam" for --optimizer.kind. Choose from: "adamw", "sgd". Did you mean "adamw"?',
    "train d --out o --optimizer 3": "toy-toolkit train: error: option --optimizer is a group; "
    "give its fields, as in --optimizer.FIELD VALUE",
    "train d --out o --optimizer.lr -1": "toy-toolkit train: error: lr is -1.0; it must be above 0",
    "train d --config": "toy-toolkit train: error: --config: no value is given; name a YAML file or a recipe",
    "train d --config tiy": "toy-toolkit train: error: --config tiy: no such file or recipe "
    "(did you mean 'tiny'?); the recipes are paper, tiny",
    "train d --config .": "toy-toolkit train: error: .: Is a directory; name a readable YAML file",
}


@pytest.mark.parametrize(("line", "error"), OPTION_ERRORS.items())
def test_a_wrong_option_gives_one_line_and_exit_code_two(toy: Run, line: str, error: str) -> None:
    assert toy(*line.split()) == (2, "", error + "\n")


def test_two_options_of_one_name_fail_for_the_developer(toy: Run) -> None:
    with pytest.raises(TypeError, match="option lr of twice comes twice"):
        run(
            "toy-toolkit", "about", {"twice": Command("Twice.", "toy_toolkit.commands.ends:twice")}, ["twice"]
        )


def test_a_default_in_an_instance_fails_for_the_developer(toy: Run) -> None:
    with pytest.raises(
        TypeError, match=re.escape("default of config.optimizer.lr is 5.0, but Optimizer has")
    ):
        toy("misplaced")


# --- output ---


def test_json_is_one_document_with_null_for_what_json_cannot_say(capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "loss": float("nan"),
        "losses": [1.5, float("inf"), np.float32("nan")],
        "count": np.int64(3),
        "array": np.array([[1, 2], [3, 4]], dtype=np.uint16),
        "path": Path("a") / "b",
        256: (True, None),
        "ünï": "ü",
    }

    emit(document, "ignored", as_json=True)

    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "loss": None,
        "losses": [1.5, None, None],
        "count": 3,
        "array": [[1, 2], [3, 4]],
        "path": "a/b",
        "256": [True, None],
        "ünï": "ü",
    }


@pytest.mark.parametrize("text", ["a table", "a table\n"])
def test_text_ends_with_one_newline(capsys: pytest.CaptureFixture[str], text: str) -> None:
    emit({"a": 1}, text, as_json=False)

    assert capsys.readouterr().out == "a table\n"


def test_what_json_cannot_hold_is_a_defect() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        emit({"a": object()}, "", as_json=True)


def test_logs_go_to_stderr_from_info_on_for_the_toolkit_and_from_warning_on_for_others() -> None:
    code = (
        "import logging; from toy_toolkit.cli import main; main(['check']); main(['check']); "
        "names = ('toy_toolkit.data', 'toolkit_shared.x', 'other'); "
        "[logging.getLogger(name).info('hello') for name in names]; "
        "logging.getLogger('other').warning('careful'); logging.getLogger('toy_toolkit').debug('detail')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)

    assert done.stdout == ""
    assert done.stderr == "toy_toolkit.data: hello\ntoolkit_shared.x: hello\ncareful\n"


def test_nearest_name_is_silent_when_nothing_is_near() -> None:
    assert nearest_name("grow-p", ["grow-p2", "uniform"]) == "grow-p2"
    assert nearest_name("zzz", ["grow-p2", "uniform"]) is None


def test_numbers_that_are_too_small_are_named_as_the_user_wrote_them() -> None:
    require_at_least(1, batch_size=1, workers=None)
    require_at_least(0, seed=0)

    with pytest.raises(InputError, match=r"^--batch-size: 0 is not positive; give 1 or more$"):
        require_at_least(1, steps=3, batch_size=0)
    with pytest.raises(InputError, match=r"^--seed: -1 is negative; give 0 or more$"):
        require_at_least(0, seed=-1)
