"""Command lines, through a toy toolkit whose commands end in every way there is."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.cli import Command, emit, nearest_name, run
from toolkit_shared.cli.configuration import split_common_options

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
  extra      Need an extra inside.
  missing    Need an extra at import.
  misplaced  Have a default in an instance.
  lines      Print many lines.
  wait       Wait for an interrupt.

'toy-toolkit COMMAND --help' lists the options of one command; 'toy-toolkit --version' the version.
"""

TRAIN_HELP = """\
Usage: toy-toolkit train --out PATH [OPTIONS] DATA

Train the toy.

Arguments:
  DATA: folder with the data. [required]

Parameters:
  --steps INT: optimizer steps. [default: 10]
  --label STR: free text. [default: toy]
  --warm, --no-warm: whether to warm up. [default: True]
  --odds INT INT: two whole numbers. [default: (2, 1)]
  --lengths INT...: any number of whole numbers. [default: ()]
  --weights: name to weight. [default: {}]
  --cache-folder PATH: a folder.
  --optimizer.lr FLOAT: learning rate. [default: 0.001]
  --optimizer.kind CHOICE: update rule. [choices: adamw, sgd] [default: adamw]
  --optimizer.betas FLOAT...: decay rates. [default: (0.9, 0.95)]
  --optimizer.clip FLOAT: gradient norm limit; null for none. [default: 1.0]
  --out PATH: folder written. [required]
  --resume, --no-resume: continue a run that was stopped. [default: True]
  --name STR: name of the run.
  --json, --no-json: print one JSON document. [default: False]

Also --config FILE|RECIPE (repeatable, the later wins)
and --print-config (the resolved YAML, which --config takes back).
"""

DEFAULTS: dict[str, Any] = {
    "steps": 10,
    "label": "toy",
    "warm": True,
    "odds": [2, 1],
    "lengths": [],
    "weights": {},
    "cache_folder": None,
    "optimizer": {"lr": 1e-3, "kind": "adamw", "betas": [0.9, 0.95], "clip": 1.0},
    "out": "o",
    "resume": True,
    "name": None,
    "json": False,
}


@pytest.fixture(autouse=True)
def toy_toolkit() -> Iterator[None]:
    """The toy on the path, and gone afterwards."""
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


@pytest.fixture
def toy(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the toy in an empty folder; gives exit code, stdout and stderr."""
    from toy_toolkit.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def resolved(toy: Run) -> Callable[..., dict[str, Any]]:
    """The options that `train` would run with, as YAML gives them back."""

    def call(*argv: str) -> dict[str, Any]:
        code, out, err = toy("train", "d", "--out", "o", *argv, "--print-config")
        assert (code, err) == (0, "")
        document: dict[str, Any] = yaml.safe_load(out)
        return document

    return call


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


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
    "--versio": "toy-toolkit: error: unknown option '--versio'; the commands are train, check, refuse, "
    "interrupt, crash, extra, missing, misplaced, lines, wait",
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


FIELDS = "steps, label, warm, odds, lengths, weights, cache_folder, optimizer, out, resume, name, json"
FILE_ERRORS = {
    "stepz: 3": "bad.yaml: unknown field 'stepz'; did you mean 'steps'?",
    "qqqq: 3": f"bad.yaml: unknown field 'qqqq'; known are {FIELDS}",
    "1: 3": f"bad.yaml: unknown field '1'; known are {FIELDS}",
    "optimizer: {lrr: 3}": "bad.yaml: unknown field 'optimizer.lrr'; did you mean 'optimizer.lr'?",
    "optimizer: 3": "bad.yaml: field 'optimizer' is 3; write a mapping of its own fields",
    "optimizer:": "bad.yaml: field 'optimizer' is None; write a mapping of its own fields",
    "data: d": "bad.yaml: field 'data' is an input; give it on the command line",
    "steps: many": 'Invalid value for [steps] from bad.yaml: unable to convert "many" into int.',
    "steps: 1.5": 'Invalid value for [steps] from bad.yaml: unable to convert "1.5" into int.',
    "steps: [1, 2]": 'Invalid value for [steps] from bad.yaml: unable to convert "[1, 2]" into int.',
    "steps:": 'Invalid value for [steps] from bad.yaml: unable to convert "null" into int.',
    "warm: maybe": 'Invalid value for [warm] from bad.yaml: unable to convert "maybe" into bool.',
    "optimizer: {kind: adam}": 'Invalid value "adam" for [optimizer][kind] from bad.yaml. '
    'Choose from: "adamw", "sgd". Did you mean "adamw"?',
    "optimizer: {lr: 0}": "bad.yaml: lr is 0.0; it must be above 0",
    "steps: 1\nsteps : 2": "bad.yaml: line 2, column 1: field 'steps' is given twice; correct the YAML",
    "cache-folder: a\ncache_folder: b": "bad.yaml: field 'cache_folder' is given twice; keep one",
    "a: [1\nb: 2": "bad.yaml: line 2, column 2: expected ',' or ']', but got ':'; correct the YAML",
    "steps: 1\n\tlabel: x": "bad.yaml: line 2, column 1: found character '\\t' that cannot start any token; "
    "correct the YAML",
    "a: !!python/object:os.system x": "bad.yaml: line 1, column 4: could not determine a constructor for "
    "the tag 'tag:yaml.org,2002:python/object:os.system'; correct the YAML",
    "- 1": "bad.yaml: holds a list; write a mapping of 'field: value' lines",
    "word": "bad.yaml: holds a str; write a mapping of 'field: value' lines",
}


@pytest.mark.parametrize(("text", "error"), FILE_ERRORS.items())
def test_a_wrong_file_gives_one_line_with_its_name(toy: Run, text: str, error: str) -> None:
    write("bad.yaml", text)

    assert toy("train", "d", "--out", "o", "--config", "bad.yaml") == (
        2,
        "",
        f"toy-toolkit train: error: {error}\n",
    )


def test_a_file_that_is_not_text_is_named(toy: Run) -> None:
    Path("bad.yaml").write_bytes(b"steps: \xff\n")

    assert toy("train", "d", "--config=bad.yaml")[2] == (
        "toy-toolkit train: error: bad.yaml: not UTF-8 text; name a YAML file\n"
    )


def test_a_bad_value_is_blamed_on_the_option_when_that_overrides_the_file(toy: Run) -> None:
    write("a.yaml", "optimizer: {lr: 0.1}")

    err = toy("train", "d", "--out", "o", "--config", "a.yaml", "--optimizer.lr", "-2")[2]

    assert err == "toy-toolkit train: error: lr is -2.0; it must be above 0\n"


def test_of_two_files_the_guilty_one_is_named(toy: Run) -> None:
    write("good.yaml", "steps: 4")
    write("bad.yaml", "steps: many")
    write("worse.yaml", "optimizer: {lr: -3}")

    files = [f"--config={name}.yaml" for name in ("bad", "good")]
    assert toy("train", "d", "--out", "o", *files)[0] == 0  # the later file wins before values are read
    assert "from bad.yaml" in toy("train", "d", "--out", "o", *reversed(files))[2]
    assert toy("train", "d", "--out", "o", *files, "--config", "worse.yaml")[2].endswith(
        "error: worse.yaml: lr is -3.0; it must be above 0\n"
    )


def test_a_default_in_an_instance_fails_for_the_developer(toy: Run) -> None:
    with pytest.raises(
        TypeError, match=re.escape("default of config.optimizer.lr is 5.0, but Optimizer has")
    ):
        toy("misplaced")


# --- configuration ---


def test_defaults_come_from_the_class(resolved: Callable[..., dict[str, Any]]) -> None:
    assert resolved() == DEFAULTS


def test_the_later_file_wins_field_by_field_and_options_win_over_files(
    resolved: Callable[..., dict[str, Any]],
) -> None:
    write("a.yaml", "steps: 1\nlabel: a\noptimizer: {lr: 0.5, betas: [0.1, 0.2, 0.3]}\n")
    write("b.yaml", "label: b\noptimizer: {betas: [0.7]}\n")

    both = resolved("--config", "a.yaml", "--config=b.yaml", "--steps", "7")

    optimizer = DEFAULTS["optimizer"] | {"lr": 0.5, "betas": [0.7]}  # a list given again replaces the list
    assert both == DEFAULTS | {"steps": 7, "label": "b", "optimizer": optimizer}


def test_an_option_of_a_nested_group_leaves_its_neighbours_alone(
    resolved: Callable[..., dict[str, Any]],
) -> None:
    write("a.yaml", "optimizer: {lr: 0.5, clip: 2}\n")

    optimizer = resolved("--config", "a.yaml", "--optimizer.kind", "sgd")["optimizer"]

    assert optimizer == {"lr": 0.5, "kind": "sgd", "betas": [0.9, 0.95], "clip": 2.0}


@pytest.mark.parametrize("name", ["tiny", "tiny.yaml"])
def test_a_name_that_is_no_file_is_a_recipe(resolved: Callable[..., dict[str, Any]], name: str) -> None:
    document = resolved("--config", name)

    assert (document["steps"], document["optimizer"]["lr"]) == (3, 5e-4)  # written 5e-4, text to PyYAML


def test_a_file_goes_before_the_recipe_of_its_name(resolved: Callable[..., dict[str, Any]]) -> None:
    write("tiny", "steps: 99")

    assert resolved("--config", "tiny")["steps"] == 99


def test_recipes_and_files_layer(resolved: Callable[..., dict[str, Any]]) -> None:
    document = resolved("--config", "tiny", "--config", "paper")

    assert document["steps"] == 1000
    assert document["optimizer"] == DEFAULTS["optimizer"] | {"lr": 5e-4, "betas": [0.9, 0.99]}


def test_dashes_in_a_file_are_read_as_underscores_only_for_known_fields(toy: Run) -> None:
    write("a.yaml", "re-sume: false")

    assert "unknown field 're-sume'; did you mean 'resume'?" in toy("train", "d", "--config", "a.yaml")[2]


def test_an_empty_file_changes_nothing(resolved: Callable[..., dict[str, Any]]) -> None:
    write("empty.yaml", "# nothing\n")

    assert resolved("--config", "empty.yaml") == DEFAULTS


def test_configuration_can_be_printed_before_inputs_and_outputs_are_known(toy: Run) -> None:
    code, out, _ = toy("train", "--config", "tiny", "--print-config")

    document = yaml.safe_load(out)
    assert code == 0
    assert "out" not in document
    assert "data" not in document
    assert document["steps"] == 3


def test_printing_the_configuration_does_not_run_the_command(toy: Run) -> None:
    assert toy("refuse", "--print-config") == (0, "{}\n", "")


def test_a_null_in_a_file_takes_a_default_away(resolved: Callable[..., dict[str, Any]]) -> None:
    write("a.yaml", "optimizer: {clip: null}\nname: null")

    assert resolved("--config", "a.yaml")["optimizer"]["clip"] is None


def test_common_options_end_at_a_double_dash() -> None:
    split = split_common_options(["a", "--config=x", "--", "--config", "y", "--print-config"])

    assert split == (["x"], False, ["a", "--", "--config", "y", "--print-config"])


PIECES = st.sampled_from([["--config", "a"], ["--config=b"], ["--print-config"], ["x"], ["--y", "3"]])


@given(st.lists(PIECES, max_size=6), st.lists(PIECES, max_size=2))
def test_common_options_are_taken_out_and_the_rest_keeps_its_order(
    pieces: list[list[str]], protected: list[list[str]]
) -> None:
    before = list(chain(*pieces))
    after = ["--", *chain(*protected)] if protected else []

    split = split_common_options([*before, *after])

    assert split.configs == [
        piece[-1].removeprefix("--config=") for piece in pieces if piece[0].startswith("--config")
    ]
    assert split.print_config == (["--print-config"] in pieces)
    assert split.tokens == [*chain(*(piece for piece in pieces if "config" not in piece[0])), *after]


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\u2028\u2029\x85"), max_size=12
)
FLOATS = st.floats(allow_nan=False, width=64)
OPTIMIZERS = st.fixed_dictionaries(
    {},
    optional={
        "lr": st.floats(1e-300, 1e300),
        "kind": st.sampled_from(["adamw", "sgd"]),
        "betas": st.lists(FLOATS, max_size=3),
        "clip": st.none() | FLOATS,
    },
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(-(2**63), 2**63),
        "label": TEXTS,
        "warm": st.booleans(),
        "odds": st.lists(st.integers(-5, 5), min_size=2, max_size=2),
        "lengths": st.lists(st.integers(0, 2**40), max_size=3),
        "weights": st.dictionaries(st.from_regex(r"\A[a-z][a-z_0-9]{0,8}\Z"), FLOATS, max_size=3),
        "optimizer": OPTIMIZERS,
        "resume": st.booleans(),
    },
)


@given(settings=SETTINGS)
def test_what_a_file_says_is_what_the_command_gets_and_prints_and_reads_back(
    settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    from toy_toolkit.cli import main

    first, second = (tmp_path_factory.getbasetemp() / name for name in ("first.yaml", "second.yaml"))

    def printed(path: Path) -> str:
        code = main(["train", "d", "--out", "o", "--config", str(path), "--print-config"])
        captured = capsys.readouterr()
        assert (code, captured.err) == (0, "")
        return captured.out

    # given a file with any of the fields, when it is resolved
    first.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    resolved = printed(first)

    # then every field has its value, the others their defaults
    optimizer = DEFAULTS["optimizer"] | settings.get("optimizer", {})
    assert yaml.safe_load(resolved) == DEFAULTS | settings | {"optimizer": optimizer}
    # and the resolved file gives itself
    second.write_text(resolved, encoding="utf-8")
    assert printed(second) == resolved


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
        "import logging; from toy_toolkit.cli import main; main(['check']); "
        "names = ('toy_toolkit.data', 'toolkit_shared.x', 'other'); "
        "[logging.getLogger(name).info('hello') for name in names]; "
        "logging.getLogger('other').warning('careful'); logging.getLogger('toy_toolkit').debug('detail')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)

    assert done.stdout == ""
    assert done.stderr == "toy_toolkit.data: hello\ntoolkit_shared.x: hello\nother: careful\n"


def test_nearest_name_is_silent_when_nothing_is_near() -> None:
    assert nearest_name("grow-p", ["grow-p2", "uniform"]) == "grow-p2"
    assert nearest_name("zzz", ["grow-p2", "uniform"]) is None
