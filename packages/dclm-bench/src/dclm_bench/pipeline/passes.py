"""A recipe cut at its corpus steps: each pass goes once over every shard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from dclm_bench.recipe import NamedStep
from dclm_bench.steps.step import CorpusStep, Step


@dataclass(frozen=True)
class Pass:
    """What one pass over a shard does, in this order.

    Attributes:
        applied: The corpus step whose decisions are applied first; None in the first pass.
        page_steps: The steps on one page at a time.
        collected: The corpus step that collects what it needs at the end; None in the last pass.
    """

    applied: NamedStep | None
    page_steps: tuple[NamedStep, ...]
    collected: NamedStep | None

    def steps(self) -> list[NamedStep]:
        """The steps whose verdicts fall in this pass."""
        return ([self.applied] if self.applied else []) + list(self.page_steps)


def is_corpus_step(named: NamedStep) -> bool:
    """Whether the step needs the whole corpus."""
    return not isinstance(named.step, Step)


def corpus_step(named: NamedStep) -> CorpusStep:
    """The step as one on the corpus."""
    assert is_corpus_step(named)
    return cast(CorpusStep, named.step)


def page_step(named: NamedStep) -> Step:
    """The step as one on a page."""
    assert isinstance(named.step, Step)
    return named.step


def cut_into_passes(steps: Sequence[NamedStep]) -> list[Pass]:
    """The passes of a recipe: one more than it has corpus steps."""
    passes: list[Pass] = []
    applied: NamedStep | None = None
    page_steps: list[NamedStep] = []
    for named in steps:
        if is_corpus_step(named):
            passes.append(Pass(applied, tuple(page_steps), named))
            applied, page_steps = named, []
        else:
            page_steps.append(named)
    passes.append(Pass(applied, tuple(page_steps), None))
    return passes
