"""Steps of a recipe on pages in memory, one page or one small corpus at a time."""

from collections.abc import Sequence
from typing import cast

from dclm_bench.data.page import Page
from dclm_bench.recipe import NamedStep
from dclm_bench.steps.step import CorpusStep, Step, keeps_all


def passes_steps(steps: Sequence[NamedStep], page: Page) -> bool:
    """Whether every rule keeps the page; its text and record are edited up to the first that does not."""
    return all(keeps_all(named.step.rules, cast(Step, named.step).apply(page)) for named in steps)


def keep_of_corpus(step: CorpusStep, pages: Sequence[Page]) -> list[bool]:
    """Whether a step on the whole corpus keeps each page, the pages being all there are; it may edit them."""
    collected = step.collect(pages)
    (decided,) = step.decide(lambda: iter([collected]))
    return [keeps_all(step.rules, values) for values in step.apply(pages, decided)]
