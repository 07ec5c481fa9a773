"""How much of each evaluation question stands in training text, by n-grams of its words.

Only the questions' n-grams are kept, so memory does not grow with the training text, and what was found in
parts of it is put together with "or": the result does not depend on how the text is shared out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.evaluation.task_files import Question

from dclm_bench.text.character_properties import ALPHANUMERIC
from dclm_bench.text.code_points import code_points
from dclm_bench.text.hashes import Hashes, ngram_hashes, token_hashes
from dclm_bench.text.word_breaks import property_flags, word_bounds

NGRAM = 13
"""Words of an n-gram. The paper gives no length; that of its deduplication, and of GPT-3's clean-up, is taken
(UNCONFIRMED)."""
MIN_TOKENS = 5
"""Questions of fewer words are not judged: such phrases are found anywhere."""
THRESHOLD = 0.8
"""A question is contaminated when more than this share of its words is found."""


def content_tokens(text: str) -> Hashes:
    """uint64 [words]: hashes of the words of a text, in lower case, blanks and signs left out."""
    codes = code_points(text.lower())
    bounds = word_bounds(codes)
    return token_hashes(codes, bounds)[property_flags(codes[bounds[:-1]], ALPHANUMERIC)]


def question_text(question: Question) -> str:
    """The question as one would meet it on a page: the right context, and after it the right answer.

    Wrong choices are left out, unless the question's own text lists them: made-up endings, as of HellaSwag,
    stand nowhere, and no such question could ever be contaminated.
    """
    return f"{question.context} {question.answer}"


@dataclass(frozen=True)
class QuestionGrams:
    """The n-grams of questions, by their lengths.

    Questions shorter than the n-gram count as one n-gram of their own length, those below `min_tokens` as
    none.

    Attributes:
        lengths: Length in words of each question, int64 [questions].
        grams: For each length of n-gram, ascending, its distinct hashes, sorted.
        places: For each question the index into `grams[n]` of its n-grams in order, int64 [n-grams].
    """

    lengths: npt.NDArray[np.int64]
    grams: dict[int, Hashes]
    places: tuple[npt.NDArray[np.int64], ...]
    ngram: int
    min_tokens: int

    @classmethod
    def of(cls, texts: Sequence[str], *, ngram: int = NGRAM, min_tokens: int = MIN_TOKENS) -> "QuestionGrams":
        """The n-grams of these texts.

        Raises:
            ValueError: `ngram` or `min_tokens` is below 1.
        """
        if ngram < 1 or min_tokens < 1:
            raise ValueError(f"ngram {ngram} and min_tokens {min_tokens} must be at least 1")
        tokens = [content_tokens(text) for text in texts]
        sizes = [min(ngram, len(one)) if len(one) >= min_tokens else 0 for one in tokens]
        hashed = [
            ngram_hashes(one, n) if n else np.empty(0, np.uint64)
            for one, n in zip(tokens, sizes, strict=True)
        ]
        grams = {
            n: np.unique(np.concatenate([h for h, size in zip(hashed, sizes, strict=True) if size == n]))
            for n in sorted(set(sizes) - {0})
        }
        places = tuple(
            np.searchsorted(grams[n], h).astype(np.int64) if n else np.empty(0, np.int64)
            for h, n in zip(hashed, sizes, strict=True)
        )
        lengths = np.array([len(one) for one in tokens], np.int64)
        return cls(lengths, grams, places, ngram, min_tokens)

    def nothing_found(self) -> dict[int, npt.NDArray[np.bool_]]:
        """For each length of n-gram a flag for each of them, all false."""
        return {n: np.zeros(len(hashes), np.bool_) for n, hashes in self.grams.items()}

    def find(self, text: str, found: dict[int, npt.NDArray[np.bool_]]) -> None:
        """Set the flags in `found` of the n-grams that stand in a training text."""
        tokens = content_tokens(text)
        for n, hashes in self.grams.items():
            here = ngram_hashes(tokens, n)
            place = np.searchsorted(hashes, here)
            place[place == len(hashes)] = 0
            found[n][place[hashes[place] == here]] = True

    def shares(self, found: dict[int, npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
        """float64 [questions]: share of each question's words that stand within an n-gram that was found.

        NaN for a question with fewer than `min_tokens` words.

        Source: section 4.6 of the paper; words in place of a model's tokens, after Llama 2.
        """
        shares = np.full(len(self.lengths), np.nan)
        for index, (length, places) in enumerate(zip(self.lengths.tolist(), self.places, strict=True)):
            if length < self.min_tokens:
                continue
            n = min(self.ngram, length)
            shares[index] = covered_words(found[n][places], n) / length
        return shares


def covered_words(found: npt.NDArray[np.bool_], n: int) -> int:
    """How many words stand within the n-grams (of `n` words, one starting at each word) that were found."""
    changes = np.zeros(len(found) + n, np.int64)
    changes[: len(found)] += found
    changes[n:] -= found
    return int((np.cumsum(changes) > 0).sum())


@dataclass(frozen=True)
class TaskContamination:
    """One task's questions in training text.

    Attributes:
        task: Name of its file.
        num_questions: All of them.
        num_judged: Those with enough words.
        num_contaminated: Of these, those of which more than the threshold is found.
        mean_share: Mean share found over those judged; None where there are none.
    """

    task: str
    num_questions: int
    num_judged: int
    num_contaminated: int
    mean_share: float | None

    @property
    def contaminated_share(self) -> float | None:
        """Share of the judged questions that are contaminated, or None."""
        return self.num_contaminated / self.num_judged if self.num_judged else None


def judge(task: str, shares: npt.NDArray[np.float64], threshold: float = THRESHOLD) -> TaskContamination:
    """The contamination of a task from the shares of its questions.

    Source: section 4.6 of the paper and official tools/plot_decontamination.py (strictly above 0.8).
    """
    judged = shares[~np.isnan(shares)]
    return TaskContamination(
        task=task,
        num_questions=len(shares),
        num_judged=len(judged),
        num_contaminated=int((judged > threshold).sum()),
        mean_share=float(judged.mean()) if len(judged) else None,
    )
