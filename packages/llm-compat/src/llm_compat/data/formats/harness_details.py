"""The texts of single records of lm-evaluation-harness, read again from the log."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.records import open_records

from llm_compat.data.answers import canonical_answer, choice_code
from llm_compat.data.formats.harness_files import PACKED
from llm_compat.data.formats.harness_records import RecordDecoder, RecordError, parse_line
from llm_compat.data.formats.log_lines import MAX_LINE_BYTES, lines_of
from llm_compat.data.outcomes import Detail, Outcomes

_QUESTIONS = (
    "question",
    "query",
    "problem",
    "goal",
    "ctx",
    "input",
    "prompt",
    "sentence",
    "dialogue",
    "text",
)


def harness_details(outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
    """The texts of some items, in the order of `items`.

    Raises:
        InputError: The log is gone, or no longer holds the records where they were.
    """
    lines = _lines_at(outcomes.source, [int(outcomes.places[item]) for item in items])
    return [
        _detail(outcomes, item, _record(outcomes, item, line))
        for item, line in zip(items, lines, strict=True)
    ]


def _lines_at(path: Path, places: Sequence[int]) -> list[bytes]:
    if path.name.endswith(PACKED):
        wanted, found = set(places), {}
        for offset, line in lines_of(path):
            if offset in wanted:
                found[offset] = line
                if len(found) == len(wanted):
                    break
        return [found.get(place, b"") for place in places]
    lines = []
    with open_records(path) as stream:
        for place in places:
            stream.seek(place)
            lines.append(stream.readline(MAX_LINE_BYTES))
    return lines


def _record(outcomes: Outcomes, item: int, line: bytes) -> dict[str, Any]:
    """The record, which must be the one that was read before."""
    try:
        record = parse_line(line, is_cut=False)
        known = RecordDecoder((), frozenset()).build(record)
    except RecordError:
        raise _changed(outcomes.source) from None
    digest = known.target_hash
    if outcomes.targets is not None and len(digest) == 64:
        try:
            code = int.from_bytes(bytes.fromhex(digest[:16]), "little")
        except ValueError:
            raise _changed(outcomes.source) from None
        if code != int(outcomes.targets[item]):
            raise _changed(outcomes.source)
    return record


def _changed(path: Path) -> InputError:
    return InputError(f"{path}: was changed while it was read; run the command again")


def _detail(outcomes: Outcomes, item: int, record: Mapping[str, Any]) -> Detail:
    document = record.get("doc")
    document = document if isinstance(document, dict) else {}
    requests = _requests(record)
    asked = next((name for name in _QUESTIONS if isinstance(document.get(name), str)), None)
    question = document[asked] if asked else (requests[0][0] if requests else "")
    target = str(record.get("target"))
    choices = [continuation.strip() for _, continuation in requests]
    answer, raw = _choice(outcomes, item, choices), None
    if answer is None:
        answer, raw = _text(record)
    elif target.isdigit() and int(target) < len(choices) and target not in choices:
        target = choices[int(target)]
    return Detail(
        id=str(record.get("doc_id")),
        question=question,
        target=target,
        answer=answer,
        raw=raw,
        fields={
            str(name): value if isinstance(value, str) else json.dumps(value)
            for name, value in document.items()
            if name != asked and isinstance(value, str | int | float)
        },
    )


def _requests(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Prompt and continuation of each request; the empty text for what is none."""
    arguments = record.get("arguments")
    pairs: list[list[Any]] = []
    if isinstance(arguments, dict):
        pairs = [list(one.values()) if isinstance(one, dict) else [] for one in arguments.values()]
    elif isinstance(arguments, list):
        pairs = [one if isinstance(one, list) else [] for one in arguments]
    texts = [[part if isinstance(part, str) else "" for part in [*pair[:2], "", ""][:2]] for pair in pairs]
    return [(prompt, continuation) for prompt, continuation in texts]


def _choice(outcomes: Outcomes, item: int, choices: Sequence[str]) -> str | None:
    """The text of the choice that was taken, by the first accuracy; None for other tasks."""
    if len(choices) < 2 or not outcomes.answers:
        return None
    code = int(next(iter(outcomes.answers.values()))[item])
    taken = next((place for place in range(len(choices)) if choice_code(place) == code), None)
    if taken is None:
        return None
    return choices[taken] if len(set(choices)) > 1 else f"choice {taken + 1}"


def _text(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The answer under the filter, and the whole output where that is another text."""
    filtered = _first(record.get("filtered_resps"))
    output = _first(_first(record.get("resps")))
    answer = filtered if isinstance(filtered, str) else None
    answer = None if answer is None or canonical_answer(answer) is None else answer.strip()
    whole = output if isinstance(output, str) else None
    return answer, whole if whole is not None and whole.strip() != answer else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None
