"""Configuration files: precedence, recipes, errors by exact line, and the round trip of what is printed."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.cli.configuration import split_common_options

Run = Callable[..., tuple[int, str, str]]

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


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


# --- errors ---

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


# --- precedence ---


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
