"""Recipes: an ordered list of named steps with parameters, from YAML or from Python."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from toolkit_shared.errors import InputError

from dclm_bench.heuristics.banlists import is_missing
from dclm_bench.steps.registry import is_corpus_function, make_step
from dclm_bench.steps.step import AnyStep, Compat, Step

LIST = "banlist_from_fname"
MAX_RECIPE_BYTES = 1 << 20
OTHER_RECIPES = ("mix-", "train-", "claims-")
"""Recipes that are settings of other commands begin with one of these."""
# C4's lines are deduplicated as pages of their own; here one corpus step does what the four do.
_SPLIT, _JOIN, _EXACT = "split_lines_modifier", "join_lines_modifier", "exact_dedup"


@dataclass(frozen=True)
class RecipeStep:
    """One entry of a recipe.

    Attributes:
        name: What the audit calls it; unique in the recipe. By default the function's name, with -2, -3 and
            so on from the second use.
        func: The official name of the function.
        parameters: Its parameters, as JSON values.
    """

    name: str
    func: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """An ordered list of named steps.

    Attributes:
        name: The name of the recipe, or of its file.
        steps: Its steps in order.
    """

    name: str
    steps: tuple[RecipeStep, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """The steps as JSON values."""
        return [{"name": step.name, "func": step.func, **step.parameters} for step in self.steps]

    def with_settings(self, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with other parameters.

        Args:
            settings: `STEP.PARAMETER` -> value.

        Raises:
            InputError: there is no such step.
        """
        steps = {step.name: dict(step.parameters) for step in self.steps}
        for full, value in settings.items():
            name, dot, parameter = full.partition(".")
            if not (dot and parameter and name in steps):
                near = get_close_matches(name, steps, n=1)
                known = f"its steps are {', '.join(steps)}"
                hint = f"perhaps you meant the step '{near[0]}'" if near else known
                raise InputError(f"{full}: no STEP.PARAMETER of this recipe; {hint}")
            steps[name][parameter] = value
        changed = tuple(RecipeStep(step.name, step.func, steps[step.name]) for step in self.steps)
        return Recipe(self.name, changed)

    def with_lists(self, folder: str | Path | None) -> "Recipe":
        """The recipe with the lists of a folder in the place of those that it names and that are not there.

        Args:
            folder: Such as `baselines/mappers/banlists` in a checkout of the official code; None: that of the
                variable DCLM_BENCH_LISTS, if it is set.

        Raises:
            InputError: there is no such folder.
        """
        folder = os.environ.get("DCLM_BENCH_LISTS") if folder is None else folder
        if not folder:
            return self
        if not Path(folder).is_dir():
            raise InputError(f"--lists: {folder} is no folder; name the one with the lists of banned words")
        changed = []
        for step in self.steps:
            named = step.parameters.get(LIST)
            found = Path(folder, PurePosixPath(named).name) if isinstance(named, str) else None
            if found is not None and is_missing(named) and found.is_file():
                step = RecipeStep(step.name, step.func, {**step.parameters, LIST: str(found)})
            changed.append(step)
        return Recipe(self.name, tuple(changed))

    def missing_lists(self) -> dict[str, str]:
        """Step name -> the list that it needs and that is not there, so that its rule does not apply."""
        named = {step.name: step.parameters.get(LIST) for step in self.steps}
        return {name: PurePosixPath(path).name for name, path in named.items() if path and is_missing(path)}


@dataclass(frozen=True)
class NamedStep:
    """A step that is ready to run, with its name in the recipe."""

    name: str
    step: AnyStep

    def rule_names(self) -> list[str]:
        """The full names of its rules, as `page_length_filter.min_length`."""
        return [f"{self.name}.{rule.name}" for rule in self.step.rules]


def shipped_recipes() -> list[str]:
    """The names of the recipes of steps in this package."""
    folder = files("dclm_bench") / "recipes"
    files_of_steps = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return sorted(e.name[:-5] for e in files_of_steps if not e.name.startswith(OTHER_RECIPES))


def load_recipe(source: str | Path | Sequence[Mapping[str, Any]]) -> Recipe:
    """A recipe, by the name of a shipped one, from a YAML file, or from a list of entries.

    A file holds under `steps:` a list of entries `func: NAME` with parameters (and `name:`, where the audit
    shall call it so), as the official files do; their `source:` and their keys that begin with `_` are passed
    over. The official sequence split lines, deduplicate, join lines becomes one step on the corpus.

    Raises:
        InputError: there is no such recipe, or the file is no recipe.
    """
    if not isinstance(source, str | Path):
        return Recipe("recipe", _read_steps(list(source), "recipe"))
    shipped = files("dclm_bench") / "recipes" / f"{source}.yaml"
    path = Path(source)
    if path.suffix not in (".yaml", ".yml") and not path.is_file() and "/" not in str(source):
        if not shipped.is_file():
            raise InputError(f"recipe '{source}': there is none; known are {', '.join(shipped_recipes())}")
        return Recipe(
            str(source), _read_steps(_entries(shipped.read_text("utf-8"), str(source)), str(source))
        )
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise InputError(f"{path}: is larger than {MAX_RECIPE_BYTES:,} bytes; a recipe is a short file")
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no UTF-8 text; give a YAML file") from None
    return Recipe(path.stem, _read_steps(_entries(text, str(path)), str(path)))


def build_steps(recipe: Recipe, *, compat: Compat = "official") -> list[NamedStep]:
    """The steps of a recipe, ready to run.

    Raises:
        InputError: a function or a parameter is unknown or unusable; the message names the step.
    """
    built: list[NamedStep] = []
    for index, entry in enumerate(recipe.steps, 1):
        try:
            step = make_step(entry.func, entry.parameters, compat=compat)
        except InputError as error:
            raise InputError(f"{recipe.name}, step {index} ({entry.name}): {error}") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{recipe.name}, step {index} ({entry.name}): a parameter is unusable: {error}; mend it"
            ) from None
        built.append(NamedStep(entry.name, step))
    return built


def notes_of(steps: Iterable[NamedStep]) -> list[str]:
    """What the steps have to say before they are run, each with the step's name."""
    said = [(named.name, named.step.note) for named in steps if isinstance(named.step, Step)]
    return [f"{name}: {note}" for name, note in said if note]


def parse_settings(given: Sequence[str], *, step: str | None = None) -> dict[str, Any]:
    """Parameter -> value, out of STEP.PARAMETER=VALUE texts; the values are read as YAML.

    Args:
        given: The texts.
        step: The step that all belong to; then they are PARAMETER=VALUE.

    Raises:
        InputError: a text is not of that form, or a name comes twice.
    """
    form = "STEP.PARAMETER=VALUE" if step is None else "PARAMETER=VALUE"
    settings = _parse(given, form)
    for name in settings:
        if step is None and "." not in name:
            raise InputError(f"--set: '{name}' is not of the form {form}; name the step before a point")
    return settings


def _parse(given: Sequence[str], form: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"--set: '{text}' is not of the form {form}; give a name, = and a value")
        if name in settings:
            raise InputError(f"--set: {name} is given twice; keep one")
        try:
            settings[name] = _number(yaml.safe_load(value))
        except yaml.YAMLError:
            raise InputError(f"--set: the value of {name}, '{value}', is no YAML; put it in quotes") from None
    return settings


def _number(value: Any) -> Any:
    """The value; YAML reads 1e-3, which has no point, as text."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def parse_limits(given: Sequence[str]) -> dict[str, float]:
    """Full rule name -> limit, out of STEP.RULE=VALUE texts.

    Whether there is such a rule is for the run to say: it knows the names, and the nearest one.

    Raises:
        InputError: a text is not of that form, or its value no number.
    """
    limits: dict[str, float] = {}
    for name, value in _parse(given, "STEP.RULE=VALUE").items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise InputError(f"--set: the limit of {name} is {value!r}; give a number")
        limits[name] = float(value)
    return limits


def page_steps_only(recipe: Recipe, *, only: Sequence[str] = ()) -> Recipe:
    """The recipe without its steps on the whole corpus.

    Args:
        recipe: The recipe.
        only: The names of the steps to take; all where it is empty.

    Raises:
        InputError: a name is no step on one page of this recipe, or none is left.
    """
    steps = [step for step in recipe.steps if not is_corpus_function(step.func)]
    names = [step.name for step in steps]
    for name in only:
        if name not in names:
            raise InputError(
                f"--only: '{name}' is no step on one page; those of the recipe are {', '.join(names)}"
            )
    chosen = tuple(step for step in steps if not only or step.name in only)
    if not chosen:
        raise InputError(f"{recipe.name}: holds no step on one page at a time; use `dclm-bench run`")
    return Recipe(recipe.name, chosen)


def _entries(text: str, where: str) -> list[Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place is not None else ""
        raise InputError(f"{where}{line}: no YAML ({getattr(error, 'problem', error)}); mend it") from None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "steps" in value[0]:
        value = value[0]
    if (
        isinstance(value, list)
        and len(value) > 1
        and any("source" in e for e in value if isinstance(e, dict))
    ):
        raise InputError(f"{where}: holds {len(value)} sources; give a file for each")
    if isinstance(value, dict):
        value = value.get("steps")
    if not isinstance(value, list):
        raise InputError(f"{where}: a list of steps is wanted, each `func: NAME` with its parameters")
    return value


def _read_steps(entries: list[Any], where: str) -> tuple[RecipeStep, ...]:
    if not entries:
        raise InputError(f"{where}: holds no step; add one, as `- func: page_length_filter`")
    steps: list[RecipeStep] = []
    uses: dict[str, int] = {}
    names: set[str] = set()
    for index, entry in enumerate(_join_line_dedup(entries, where), 1):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("func"), str):
            raise InputError(f"{where}, step {index}: the key 'func' is missing; name the step's function")
        func = entry["func"]
        uses[func] = uses.get(func, 0) + 1
        name = entry.get("name") or (func if uses[func] == 1 else f"{func}-{uses[func]}")
        if not isinstance(name, str) or name in names or "." in name or "=" in name:
            raise InputError(f"{where}, step {index}: the name {name!r} is used already, or no name")
        names.add(name)
        rest = {str(key): value for key, value in entry.items() if key not in ("func", "name")}
        steps.append(RecipeStep(name, func, {k: v for k, v in rest.items() if not k.startswith("_")}))
    return tuple(steps)


def _join_line_dedup(entries: list[Any], where: str) -> list[Any]:
    """Put one step in the place of: split lines, exact deduplications, join lines."""
    funcs = [entry.get("func") if isinstance(entry, Mapping) else None for entry in entries]
    if _SPLIT not in funcs and _JOIN not in funcs:
        return entries
    start = funcs.index(_SPLIT) if _SPLIT in funcs else -1
    end = funcs.index(_JOIN) if _JOIN in funcs else -1
    between = entries[start + 1 : end]
    if not 0 <= start < end or not between or {entry["func"] for entry in between} != {_EXACT}:
        raise InputError(
            f"{where}: between {_SPLIT} and {_JOIN} only {_EXACT} is understood; use one {_EXACT} a key"
        )
    joined: list[Any] = []
    delimiter = entries[start].get("delimiter", "\n")
    for entry in between:
        if entry.get("content_key") in (None, "text", "content"):
            parameters = {key: value for key, value in entry.items() if key not in ("func", "content_key")}
            joined.append({"func": "line_dedup", "delimiter": delimiter, **parameters})
        else:
            joined.append(dict(entry))
    return [*entries[:start], *joined, *entries[end + 1 :]]
