"""Recipes are read from names, files and lists, and say what is wrong with them."""

import re
from pathlib import Path

import pytest
from dclm_bench.recipe import build_steps, load_recipe, parse_limits, parse_settings, shipped_recipes
from dclm_bench.steps.step import Rule
from toolkit_shared.errors import InputError

INFINITY, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("keep", "value", "kept"),
    [
        ("<=", 0.3, True),
        ("<", 0.3, False),
        (">=", 0.3, True),
        (">", 0.3, False),
        ("<=", 0.31, False),
        (">=", 0.31, True),
        ("<=", INFINITY, False),
        (">=", -INFINITY, False),
        (">", NAN, True),
    ],
)
def test_a_rule_keeps_on_the_right_side_of_its_limit(keep: str, value: float, kept: bool) -> None:
    rule = Rule("max_ratio", keep, 0.3)  # type: ignore[arg-type]

    assert rule.keeps(value) is kept


def test_a_margin_is_negative_where_a_page_is_dropped() -> None:
    assert Rule("most", "<=", 10).margin(12) == -2
    assert Rule("least", ">=", 10).margin(12) == 2
    assert Rule("least", ">=", INFINITY).margin(INFINITY) == 0


# the others need a model
COMPLETE = [name for name in shipped_recipes() if "classifier" not in name and "fasttext" not in name]


@pytest.mark.parametrize("name", COMPLETE)
def test_every_shipped_recipe_can_be_built(name: str) -> None:
    steps = build_steps(load_recipe(name))

    rules = [rule for named in steps for rule in named.rule_names()]
    assert len(rules) == len(set(rules)) > 5


def test_the_official_layout_runs_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "official.yaml"
    path.write_text(
        "- source: cc\n  steps:\n    - {func: page_length_filter, length_type: word, min_length: 5}\n"
        "    - {func: page_length_filter, length_type: char, _profile: true}\n"
    )

    recipe = load_recipe(path)

    assert [step.name for step in recipe.steps] == ["page_length_filter", "page_length_filter-2"]
    assert recipe.steps[1].parameters == {"length_type": "char"}
    assert len(build_steps(recipe)) == 2


def test_c4s_split_deduplicate_and_join_become_steps_on_the_corpus() -> None:
    names = [step.func for step in load_recipe("c4").steps]

    assert names.index("exact_dedup") + 1 == names.index("line_dedup")
    assert "split_lines_modifier" not in names


def test_settings_change_a_parameter_of_one_step() -> None:
    recipe = load_recipe("heuristics").with_settings(parse_settings(["page_length_filter.min_length=7"]))

    (step,) = [step for step in recipe.steps if step.name == "page_length_filter"]
    assert step.parameters["min_length"] == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 5", "a list of steps is wanted"),
        ("steps: []", "holds no step"),
        ("steps: [{length_type: word}]", "step 1: the key 'func' is missing"),
        ("steps:\n  - func: [", "no YAML"),
        ("steps: [{func: page_lenght_filter}]", "perhaps you meant 'page_length_filter'"),
        ("steps: [{func: page_length_filter}]", "the parameter 'length_type' is missing"),
        ("steps: [{func: page_length_filter, length_type: word, min_len: 3}]", "unknown parameter 'min_len'"),
        ("steps: [{func: a, name: b}, {func: c, name: b}]", "step 2: the name 'b' is used already"),
        ("steps: [{func: split_lines_modifier}, {func: join_lines_modifier}]", "only exact_dedup is"),
        ("- source: a\n  steps: []\n- source: b\n  steps: []", "holds 2 sources"),
    ],
)
def test_a_recipe_that_is_none_says_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match=re.escape(message)):
        build_steps(load_recipe(path))


@pytest.mark.parametrize("source", ["refinedwep", "no/such.yaml"])
def test_a_recipe_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(InputError, match=re.escape(source)):
        load_recipe(source)


def test_a_recipe_never_names_code(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("steps: [!!python/object/apply:os.system [true]]")

    with pytest.raises(InputError, match="no YAML"):
        load_recipe(path)


@pytest.mark.parametrize("text", ["min_length=3", "a.b", "=3"])
def test_a_setting_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not of the form STEP\.PARAMETER=VALUE"):
        parse_settings([text])


def test_a_limit_must_be_a_number() -> None:
    assert parse_limits(["a.b=1e-3", "a.c=2"]) == {"a.b": 0.001, "a.c": 2.0}
    with pytest.raises(InputError, match=r"the limit of a\.b is 'many'; give a number"):
        parse_limits(["a.b=many"])


def test_a_limit_of_no_known_form_is_told_the_form_of_limits_and_a_name_alone_is_left_to_the_run() -> None:
    assert parse_limits(["nope=1"]) == {"nope": 1.0}
    with pytest.raises(InputError, match=r"'nope' is not of the form STEP\.RULE=VALUE; give a name"):
        parse_limits(["nope"])


def test_a_step_that_is_misspelt_is_told_the_nearest() -> None:
    with pytest.raises(InputError, match="perhaps you meant the step 'page_length_filter'"):
        load_recipe("heuristics").with_settings({"page_lenght_filter.min_length": 3})
