"""DataComp-LM: extraction, filtering, deduplication, ranking, tokenisation, training scales and scores."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "AuditedRun": "pipeline.audited",
    "Page": "data.page",
    "Recipe": "recipe",
    "Rule": "steps.step",
    "Step": "steps.step",
    "explain": "pipeline.explain",
    "load_recipe": "recipe",
    "make_step": "steps.registry",
    "run_recipe": "pipeline.running",
    "what_if": "pipeline.what_if",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Load a public name at its first use, so that importing the package stays light."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
