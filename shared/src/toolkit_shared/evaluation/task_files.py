"""The questions of evaluation task files, in the four shapes that such files have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.errors import InputError
from toolkit_shared.records import read_jsonl

QuestionKind = Literal["multiple choice", "schema", "language modeling", "generation"]

# The fields by which a shape is known, the most particular first.
_FIELDS: dict[QuestionKind, tuple[str, ...]] = {
    "schema": ("context_options", "continuation", "gold"),
    "multiple choice": ("query", "choices", "gold"),
    "language modeling": ("context", "continuation"),
    "generation": ("context", "answer"),
}
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        contexts: The texts before the answer: one, or for a schema one an option.
        answers: The answers: one, the choices, or all that are accepted.
        gold: Which choice or option is right; 0 where there is no choice.
        category: Its subject or topic, "" where the file has none.
        chain_of_thought: The worked solution that precedes the answer in an example, or "".
    """

    contexts: tuple[str, ...]
    answers: tuple[str, ...]
    gold: int = 0
    category: str = ""
    chain_of_thought: str = ""

    @property
    def context(self) -> str:
        """The text before the right answer."""
        return self.contexts[self.gold if len(self.contexts) > 1 else 0]

    @property
    def answer(self) -> str:
        """The right answer."""
        return self.answers[self.gold if len(self.contexts) == 1 else 0]


@dataclass(frozen=True)
class TaskFile:
    """The questions of one file, all of one shape.

    Attributes:
        name: Its file name without folder and suffixes, by which a task is known.
        kind: The shape.
        questions: In the file's order.
    """

    name: str
    kind: QuestionKind
    questions: tuple[Question, ...]


def read_task_file(path: str | Path) -> TaskFile:
    """The questions of a JSON lines file, texts without blanks at their ends.

    Shapes and their fields: multiple choice (query, choices, gold), schema (context_options, continuation,
    gold), language modeling (context, continuation), generation (context, answer, and aliases or
    chain_of_thought where there are any). All may have a category.

    Raises:
        InputError: the file is missing or empty, or a line has another shape than these or the first line's.

    Source: the task files of LLM-Foundry and of open_lm's `eval/local_data`.
    """
    path = Path(path)
    kind: QuestionKind | None = None
    questions = []
    for place, record in read_jsonl(path):
        where = f"{path}, {place}"
        found = kind_of(record)
        if found is None or found != (kind or found):
            fields = ", ".join(sorted(map(str, record))[:8]) or "none"
            wanted = ", ".join(_FIELDS[kind]) if kind else " or ".join(", ".join(f) for f in _FIELDS.values())
            raise InputError(f"{where}: has the fields {fields}; give {wanted}")
        kind = found
        questions.append(_question(kind, record, where))
    if kind is None:
        raise InputError(f"{path}: holds no question; give a file with one JSON object a line")
    return TaskFile(task_name(path), kind, tuple(questions))


def task_name(path: Path) -> str:
    """The file name without folder and suffixes."""
    return path.name.partition(".jsonl")[0]


def kind_of(record: Mapping[str, Any]) -> QuestionKind | None:
    """The shape that the fields of a record tell, or None."""
    return next((kind for kind, fields in _FIELDS.items() if all(name in record for name in fields)), None)


def _question(kind: QuestionKind, record: Mapping[str, Any], where: str) -> Question:
    category = str(record.get("category") or "")
    if kind == "schema":
        contexts = _texts(record, "context_options", where)
        answers: tuple[str, ...] = (_text(record, "continuation", where),)
        return Question(contexts, answers, _gold(record, len(contexts), where), category)
    if kind == "multiple choice":
        answers = _texts(record, "choices", where)
        context = (_text(record, "query", where, may_be_empty=True),)
        return Question(context, answers, _gold(record, len(answers), where), category)
    context = (_text(record, "context", where, may_be_empty=True),)
    if kind == "language modeling":
        return Question(context, (_text(record, "continuation", where),), 0, category)
    aliases = _texts(record, "aliases", where) if record.get("aliases") else ()
    thought = _text(record, "chain_of_thought", where) if record.get("chain_of_thought") else ""
    return Question(context, (_text(record, "answer", where), *aliases), 0, category, thought)


def _text(record: Mapping[str, Any], field: str, where: str, *, may_be_empty: bool = False) -> str:
    value = record[field]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)  # answers of arithmetic tasks are numbers in some files
    if not isinstance(value, str) or not (value.strip() or may_be_empty):
        raise InputError(f"{where}: the field '{field}' is {value!r}; give a text that is not empty")
    return value.strip()


def _texts(record: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    value = record[field]
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InputError(f"{where}: the field '{field}' is {value!r}; give a list of texts")
    return tuple(_text({field: item}, field, where) for item in value)


def _gold(record: Mapping[str, Any], number: int, where: str) -> int:
    gold = record["gold"]
    if not isinstance(gold, int) or isinstance(gold, bool) or not 0 <= gold < number:
        raise InputError(f"{where}: the field 'gold' is {gold!r}; give a number from 0 to {number - 1}")
    return gold
