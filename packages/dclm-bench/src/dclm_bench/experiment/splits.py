"""Which articles are predicted, which the classifier learns from, and which pages may be trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from dclm_bench.experiment.configuration import ExperimentSettings
from dclm_bench.experiment.texts import PageTexts

MIN_ARTICLES = 6


@dataclass(frozen=True)
class Split:
    """One random division of a collection.

    Attributes:
        number: Of the split; all its random choices come from it.
        held_out: English articles whose gold text is predicted.
        positives: English articles of which the classifier has the gold text.
        pool: All other pages, and `positives`, in random order, without those that have 13 words in a row in
            common with a page held out.
        num_shared: How many pages were left out for that.
    """

    number: int
    held_out: tuple[PageTexts, ...]
    positives: tuple[PageTexts, ...]
    pool: tuple[PageTexts, ...]
    num_shared: int

    @property
    def gold(self) -> dict[str, str]:
        """Gold text by id of the pages held out."""
        return {page.id: page.gold or "" for page in self.held_out}


def draw_split(texts: Sequence[PageTexts], number: int, settings: ExperimentSettings) -> Split:
    """The split of that number.

    Raises:
        InputError: there are too few English articles with gold text.
    """
    articles = [page for page in texts if page.source == "article" and page.english and page.gold]
    if len(articles) < MIN_ARTICLES:
        raise InputError(
            f"--data: {len(articles)} English articles with gold text are too few; give {MIN_ARTICLES}"
        )
    order = stream(number, "articles").permutation(len(articles))
    num_held_out = max(2, round(len(articles) * settings.held_out_fraction))
    num_positives = max(2, round(len(articles) * settings.positives_fraction))
    held_out = tuple(articles[index] for index in order[:num_held_out])
    ids = {page.id for page in held_out}
    others = [page for page in texts if page.id not in ids]
    free = [page for page in others if not ids & set(page.shares)]
    positives = [articles[index] for index in order[num_held_out : num_held_out + num_positives]]
    kept = {page.id for page in free}
    shuffled = stream(number, "pool").permutation(len(free))
    return Split(
        number,
        held_out,
        tuple(page for page in positives if page.id in kept),
        tuple(free[index] for index in shuffled),
        len(others) - len(free),
    )
