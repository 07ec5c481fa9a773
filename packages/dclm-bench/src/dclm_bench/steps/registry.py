"""Every step by its official name."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.steps.step import AnyStep, Compat, Factory, Step

# Each has a table STEPS: official function name -> "module:factory".
ROOMS = (
    "dclm_bench.heuristics",
    "dclm_bench.repetition",
    "dclm_bench.language",
    "dclm_bench.quality",
    "dclm_bench.dedup",
    "dclm_bench.contamination",
)


def step_table() -> dict[str, str]:
    """Official function name -> "module:factory", for all steps that there are."""
    table: dict[str, str] = {}
    for room in ROOMS:
        table.update(import_module(room).STEPS)
    return table


def find_factory(func: str) -> Factory:
    """What makes the steps of an official name.

    Raises:
        InputError: there is no such step; the nearest is named.
    """
    table = step_table()
    if func not in table:
        near = get_close_matches(func, table, n=1, cutoff=0.5)
        hint = f"; perhaps you meant '{near[0]}'" if near else f"; known are {', '.join(sorted(table))}"
        raise InputError(f"func '{func}' is no step{hint}")
    module, _, name = table[func].partition(":")
    factory: Factory = getattr(import_module(module), name)
    return factory


def is_corpus_function(func: str) -> bool:
    """Whether the steps of an official name need the whole corpus.

    Raises:
        InputError: there is no such step.
    """
    return inspect.signature(find_factory(func)).return_annotation not in (Step, "Step")


def make_step(func: str, parameters: Mapping[str, Any], *, compat: Compat = "official") -> AnyStep:
    """The step of a recipe entry.

    Args:
        func: The official name.
        parameters: The other keys of the entry.
        compat: Whose semantics; passed on to the factories that know more than one.

    Raises:
        InputError: there is no such step, a parameter is unknown, missing or unusable.
    """
    factory = find_factory(func)
    known = inspect.signature(factory).parameters
    given = dict(parameters)
    for parameter in given:
        if parameter not in known or parameter == "compat":
            near = get_close_matches(parameter, known, n=1)
            hint = f"perhaps you meant '{near[0]}'" if near else f"known are {', '.join(known) or 'none'}"
            raise InputError(f"{func}: unknown parameter '{parameter}'; {hint}")
    if "compat" in known:
        given["compat"] = compat
    for parameter, description in known.items():
        if description.default is inspect.Parameter.empty and parameter not in given:
            raise InputError(f"{func}: the parameter '{parameter}' is missing; add it to the step")
    return factory(**given)
