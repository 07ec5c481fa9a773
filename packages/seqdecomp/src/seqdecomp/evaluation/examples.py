"""The examples of an in-context task file, in the four shapes that such files have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from toolkit_shared.errors import InputError
from toolkit_shared.records import read_jsonl

Kind = Literal["multiple choice", "language modeling", "schema", "generation"]

# Fields by which a shape is known, the most particular first.
_FIELDS: dict[Kind, tuple[str, ...]] = {
    "schema": ("context_options", "continuation", "gold"),
    "multiple choice": ("query", "choices", "gold"),
    "language modeling": ("context", "continuation"),
    "generation": ("context", "answer"),
}


@dataclass(frozen=True)
class Example:
    """One question.

    Attributes:
        contexts: The texts before the answer; one, or for a schema one an option.
        answers: The answers; one, the choices, or all that are accepted.
        gold: Index of the right choice or option; 0 where there is no choice.
        category: Category of the question, "" where the file has none.
    """

    contexts: tuple[str, ...]
    answers: tuple[str, ...]
    gold: int = 0
    category: str = ""

    @property
    def context(self) -> str:
        """The text before the right answer."""
        return self.contexts[self.gold if len(self.contexts) > 1 else 0]

    @property
    def answer(self) -> str:
        """The right answer."""
        return self.answers[self.gold if len(self.contexts) == 1 and len(self.answers) > self.gold else 0]


def read_examples(path: str | Path, *, limit: int | None = None) -> tuple[Kind, list[Example]]:
    """The shape of the file and its examples, texts stripped of blanks at both ends.

    Args:
        path: A .jsonl file, compressed or not, one object a line. Shapes and their fields: multiple choice
            (query, choices, gold), schema (context_options, continuation, gold), language modeling (context,
            continuation), generation (context, answer, and aliases if any).
        limit: Read so many examples at most.

    Raises:
        InputError: a line is no object of one of these shapes, or of another than the first line's.
    """
    found: Kind | None = None
    examples = []
    for place, record in read_jsonl(path):
        kind = kind_of(record)
        if kind is None or (found is not None and kind != found):
            wanted = " or ".join(f"{', '.join(fields)}" for fields in _FIELDS.values())
            raise InputError(
                f"{path}: {place}: fields {', '.join(sorted(record)) or 'none'} are no "
                f"{found or 'in-context example'}; expected {', '.join(_FIELDS[found]) if found else wanted}"
            )
        found = kind
        examples.append(_example(kind, record, f"{path}: {place}"))
        if limit is not None and len(examples) >= limit:
            break
    if found is None:
        raise InputError(f"{path}: holds no example; give a file with one object a line")
    return found, examples


def kind_of(record: Mapping[str, Any]) -> Kind | None:
    """The shape that the fields of `record` tell, or None."""
    return next((kind for kind, fields in _FIELDS.items() if all(field in record for field in fields)), None)


def _example(kind: Kind, record: Mapping[str, Any], where: str) -> Example:
    category = str(record.get("category", ""))
    if kind == "schema":
        contexts = _texts(record, "context_options", where)
        gold = _gold(record, len(contexts), where)
        return Example(contexts, (_text(record, "continuation", where),), gold, category)
    if kind == "multiple choice":
        choices = _texts(record, "choices", where)
        gold = _gold(record, len(choices), where)
        return Example((_text(record, "query", where),), choices, gold, category)
    if kind == "language modeling":
        return Example(
            (_text(record, "context", where),), (_text(record, "continuation", where),), 0, category
        )
    answer = _text(record, "answer", where)
    aliases = _texts(record, "aliases", where) if record.get("aliases") else ()
    return Example((_text(record, "context", where),), (answer, *aliases), 0, category)


def _text(record: Mapping[str, Any], field: str, where: str) -> str:
    value = record[field]
    if not isinstance(value, str) or (field in ("continuation", "answer") and not value.strip()):
        raise InputError(f"{where}: field '{field}' is {value!r}; it must be a text that is not empty")
    return value.strip()


def _texts(record: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    value = record[field]
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InputError(f"{where}: field '{field}' is {value!r}; it must be a list of texts")
    if not all(isinstance(item, str) and item.strip() for item in value):
        raise InputError(f"{where}: field '{field}' has an entry that is no text or empty; mend the record")
    return tuple(item.strip() for item in cast(Sequence[str], value))


def _gold(record: Mapping[str, Any], choices: int, where: str) -> int:
    gold = record["gold"]
    if not isinstance(gold, int) or isinstance(gold, bool) or not 0 <= gold < choices:
        raise InputError(f"{where}: field 'gold' is {gold!r}; it must be a number from 0 to {choices - 1}")
    return gold
