"""Retrieval of one value by its key from a long list of random pairs."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Progress, Scorer
from toolkit_shared.records import read_jsonl

from seqdecomp.data.tokenizer import Tokenizer
from seqdecomp.evaluation.accuracy import Accuracy
from seqdecomp.evaluation.continuations import ContinuationScore, score_continuations
from seqdecomp.evaluation.templates import fill_template, has_field

# Number of pairs: positions of the wanted pair in the published experiments.
PUBLISHED_POSITIONS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {75: (0, 24, 49, 74), 140: (0, 34, 69, 104, 139), 300: (0, 49, 99, 149, 199, 249, 299)}
)


@dataclass(frozen=True)
class KeyValueQuestion:
    """Pairs in order, and the key whose value is wanted; the key is one of them."""

    pairs: tuple[tuple[str, str], ...]
    key: str
    value: str

    @property
    def position(self) -> int:
        """Index of the wanted pair."""
        return next(index for index, (key, _) in enumerate(self.pairs) if key == self.key)

    def moved(self, position: int, num_pairs: int | None = None) -> "KeyValueQuestion":
        """The same question with its pair at `position` among the first `num_pairs` (all when None)."""
        others = [pair for pair in self.pairs if pair[0] != self.key]
        if num_pairs is not None:
            others = others[: num_pairs - 1]
        others.insert(position, (self.key, self.value))
        return KeyValueQuestion(tuple(others), self.key, self.value)


@dataclass(frozen=True, kw_only=True)
class KeyValuePrompt:
    """The words around the pairs; this package's own, replace them to compare with published figures.

    Attributes:
        template: Text with `{records}` (or `{formatted_kv_records}`) and `{key}`. The value follows it in
            quotation marks.
    """

    template: str = 'Find the value of a key in this JSON object.\n\n{records}\n\nKey: "{key}"\nValue:'

    def __post_init__(self) -> None:
        if not has_field(self.template, "key") or not has_field(
            self.template, "records", "formatted_kv_records"
        ):
            raise ValueError("template: lacks {key} or {records}; write both into the prompt file")

    def render(self, question: KeyValueQuestion) -> str:
        """The whole prompt of one question, up to the opening quotation mark of the value."""
        records = "{" + ",\n ".join(f'"{key}": "{value}"' for key, value in question.pairs) + "}"
        filled = fill_template(self.template, records=records, formatted_kv_records=records, key=question.key)
        return filled + ' "'


@dataclass(frozen=True)
class PositionResult:
    """Outcome at one position of the wanted pair.

    Attributes:
        accuracy: Share of questions whose value greedy decoding would write exactly.
        loss_sum: Sum of the losses of the values' tokens, nats.
        tokens: Number of those tokens.
    """

    accuracy: Accuracy
    loss_sum: float
    tokens: int


@dataclass(frozen=True)
class KeyValueResult:
    """Outcome by position of the wanted pair.

    Attributes:
        num_pairs: Pairs in a prompt.
        by_position: Outcome at each position.
        cut_prompts: Prompts whose start was cut away to fit the context.
    """

    num_pairs: int
    by_position: Mapping[int, PositionResult]
    cut_prompts: int

    @property
    def value_loss(self) -> float:
        """Mean loss of a value's token over all positions, nats."""
        results = self.by_position.values()
        return math.fsum(result.loss_sum for result in results) / sum(result.tokens for result in results)

    @property
    def accuracy(self) -> Accuracy:
        """Over all positions."""
        found = [result.accuracy for result in self.by_position.values()]
        return Accuracy(sum(one.correct for one in found), sum(one.total for one in found))

    def document(self) -> dict[str, Any]:
        """Fields for a JSON report."""
        return {
            "num_pairs": self.num_pairs,
            **self.accuracy.document(),
            "value_loss": self.value_loss,
            "cut_prompts": self.cut_prompts,
            "positions": {
                str(place): {
                    **result.accuracy.document(),
                    "value_loss": result.loss_sum / result.tokens,
                    "value_tokens": result.tokens,
                }
                for place, result in self.by_position.items()
            },
        }


def read_key_values(path: str | Path, *, limit: int | None = None) -> list[KeyValueQuestion]:
    """The questions of a file with the fields ordered_kv_records (pairs), key and value.

    Raises:
        InputError: a field is missing or of another type, keys repeat, or the key is none of the pairs'.
    """
    questions = []
    for place, record in read_jsonl(path):
        questions.append(_question(record, f"{path}: {place}"))
        if limit is not None and len(questions) >= limit:
            break
    if not questions:
        raise InputError(f"{path}: holds no question; give a file with one object a line")
    return questions


def evaluate_key_values(
    scorer: Scorer,
    tokenizer: Tokenizer,
    questions: Sequence[KeyValueQuestion],
    *,
    positions: Sequence[int] | None = None,
    num_pairs: int | None = None,
    prompt: KeyValuePrompt | None = None,
    progress: Progress | None = None,
) -> KeyValueResult:
    """Loss of the value's tokens and exact retrieval, with the wanted pair at each of `positions`.

    Args:
        scorer: The model.
        tokenizer: The model's tokenizer.
        questions: All with the same number of pairs.
        positions: Where the wanted pair is put; None: the published positions of 75, 140 and 300 pairs, else
            first, middle and last.
        num_pairs: Show only so many pairs, for a shorter context.
        prompt: The words around.
        progress: Called with the number of prompts done.

    Raises:
        InputError: a position is outside the pairs, or more pairs are asked for than there are.
    """
    prompt = prompt or KeyValuePrompt()
    available = min(len(question.pairs) for question in questions)
    shown = available if num_pairs is None else num_pairs
    if not 1 <= shown <= available:
        raise InputError(f"num_pairs: {shown} pairs asked for; the questions have {available}")
    places = tuple(positions or PUBLISHED_POSITIONS.get(shown) or sorted({0, (shown - 1) // 2, shown - 1}))
    if min(places) < 0 or max(places) >= shown:
        raise InputError(f"positions: {places} are not all within 0 to {shown - 1}")
    asked = [(place, question.moved(place, shown)) for place in places for question in questions]
    # The opening quotation mark stands in the prompt and the closing one in neither: the value's own tokens.
    pairs = [(prompt.render(question), question.value) for _, question in asked]
    found: dict[int, list[ContinuationScore]] = defaultdict(list)
    for (place, _), score in zip(
        asked, score_continuations(scorer, tokenizer, pairs, progress=progress), strict=True
    ):
        found[place].append(score)
    return KeyValueResult(
        num_pairs=shown,
        by_position={
            place: PositionResult(
                Accuracy.of(score.is_greedy for score in scores),
                math.fsum(score.loss_sum for score in scores),
                sum(score.tokens for score in scores),
            )
            for place, scores in found.items()
        },
        cut_prompts=sum(score.is_cut for scores in found.values() for score in scores),
    )


def _question(record: Mapping[str, Any], where: str) -> KeyValueQuestion:
    raw, key, value = (record.get(field) for field in ("ordered_kv_records", "key", "value"))
    if not isinstance(raw, list) or not isinstance(key, str) or not isinstance(value, str) or not value:
        raise InputError(f"{where}: needs ordered_kv_records (pairs), key and value (texts); mend the record")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in raw):
        raise InputError(f"{where}: an entry of ordered_kv_records is no pair; mend the record")
    pairs = tuple((str(name), str(content)) for name, content in raw)
    if len({name for name, _ in pairs}) < len(pairs):
        raise InputError(f"{where}: a key repeats in ordered_kv_records; mend the record")
    if (key, value) not in pairs:
        raise InputError(
            f"{where}: the pair of 'key' and 'value' is not in ordered_kv_records; mend the record"
        )
    return KeyValueQuestion(pairs, key, value)
