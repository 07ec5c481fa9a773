"""The lines of a log of lm-evaluation-harness as records, decoded no further than they are needed."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from llm_compat.data.formats.harness_columns import MISSING


class Argument(msgspec.Struct, gc=False):
    """One request's arguments; the prompt is passed over."""

    arg_1: str


class Record(msgspec.Struct, gc=False):
    """What every record has; the scores of its metrics are further fields m0, m1, ... of a subclass.

    Attributes:
        doc_id: As logged; of no use but to name the record and to order equal documents.
        target: The expected answer, as text.
        filtered_resps: What the filter made of the responses, one a request; as the bytes of its JSON.
        filter: Name of the filter.
        metrics: Names of the metrics.
        doc_hash: SHA-256 of the document.
        prompt_hash: SHA-256 of the prompt; the empty text in old logs.
        target_hash: SHA-256 of the target.
    """

    doc_id: int
    target: str
    filtered_resps: msgspec.Raw
    filter: str
    metrics: list[str]
    doc_hash: str
    prompt_hash: str
    target_hash: str


_KNOWN = frozenset({"doc", "arguments", "resps", *Record.__struct_fields__})


class RecordError(Exception):
    """A record that cannot be used: what is wrong and what to do; its place is known to who catches it."""


class RecordDecoder:
    """Decodes lines that have the same metrics, with the further fields that are wanted.

    Args:
        metrics: Names of the metrics, in their order.
        wanted: Of `arguments` (the continuations), `resps`, `doc`.
    """

    def __init__(self, metrics: tuple[str, ...], wanted: frozenset[str]) -> None:
        self.metrics = metrics
        self.wanted = wanted
        further: dict[str, Any] = {
            "arguments": dict[str, Argument],
            "resps": list[Any],
            "doc": dict[str, Any],
        }
        fields = [(name, further[name]) for name in sorted(wanted)]
        scores = [(f"m{place}", Any) for place in range(len(metrics))]
        self._record = msgspec.defstruct(
            "LoggedRecord",
            fields + scores,
            bases=(Record,),
            gc=False,
            rename={f"m{place}": name for place, name in enumerate(metrics)},
        )
        self.decode = cast(Callable[[bytes], Record], msgspec.json.Decoder(self._record).decode)

    def build(self, record: Mapping[str, Any]) -> Record:
        """The record of a decoded line, whatever release wrote it.

        Raises:
            RecordError: A field is missing or of the wrong type.
        """
        target = _target_text(record)
        values: dict[str, Any] = {
            "doc_id": _typed(record, "doc_id", int),
            "target": target,
            "filtered_resps": msgspec.Raw(json.dumps(_typed(record, "filtered_resps", list)).encode()),
            "filter": _typed(record, "filter", str) if "filter" in record else MISSING,
            "metrics": list(self.metrics),
            "doc_hash": _typed(record, "doc_hash", str) if "doc_hash" in record else document_hash(record),
            "prompt_hash": _typed(record, "prompt_hash", str) if "prompt_hash" in record else "",
            "target_hash": _typed(record, "target_hash", str) if "target_hash" in record else _sha256(target),
        }
        if "doc" in self.wanted:
            values["doc"] = _typed(record, "doc", dict)
        if "resps" in self.wanted:
            values["resps"] = _typed(record, "resps", list)
        if "arguments" in self.wanted:
            values["arguments"] = _arguments(record)
        for place, name in enumerate(self.metrics):
            if name not in record:
                raise RecordError(f"metric '{name}' is named but has no value; mend or remove it")
            values[f"m{place}"] = record[name]
        return cast(Record, self._record(**values))


def metrics_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a decoded line's metrics; of old logs, which do not list them, all unknown fields.

    Raises:
        RecordError: The list holds something else than names.
    """
    if "metrics" not in record:
        return tuple(name for name in record if name not in _KNOWN)
    names = _typed(record, "metrics", list)
    if not all(isinstance(name, str) and name not in _KNOWN for name in names) or len(set(names)) < len(
        names
    ):
        raise RecordError("'metrics' is no list of names; mend or remove it")
    return tuple(names)


def document_hash(record: Mapping[str, Any]) -> str:
    """The digest of a record's document, as the harness computes it.

    Source: evaluate() of lm-evaluation-harness 0.4.13.
    """
    return _sha256(json.dumps(_typed(record, "doc", dict), indent=2, ensure_ascii=False))


def parse_line(line: bytes, *, is_cut: bool) -> dict[str, Any]:
    """The object in a line; NaN and infinities are read, for the harness writes them.

    Args:
        line: The bytes.
        is_cut: Whether the line has no end, as the last one of a file that was cut off.

    Raises:
        RecordError: It is no JSON object.
    """
    try:
        record = json.loads(line.rstrip(b"\r\n").decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 at byte {error.start} of the line; mend or remove it") from None
    except json.JSONDecodeError as error:
        if is_cut:
            raise RecordError("the line is cut off, so the log is not whole; copy or run it again") from None
        reason = error.msg.removesuffix(" at")
        raise RecordError(f"no JSON: {reason} at column {error.colno}; mend or remove it") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"no usable JSON: {error}; mend or remove it") from None
    if not isinstance(record, dict):
        raise RecordError("no JSON object; mend or remove it")
    return record


def _typed(record: Mapping[str, Any], name: str, kind: type) -> Any:
    words = {int: "a whole number", str: "text", list: "a list", dict: "an object"}
    if name not in record:
        raise RecordError(f"field '{name}' is missing; the line is no record of lm-evaluation-harness")
    value = record[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise RecordError(f"field '{name}' is not {words[kind]}; mend or remove the line")
    return value


def _target_text(record: Mapping[str, Any]) -> str:
    # old releases logged the target as it was
    if "target" not in record:
        raise RecordError("field 'target' is missing; the line is no record of lm-evaluation-harness")
    return str(record["target"])


def _arguments(record: Mapping[str, Any]) -> dict[str, Argument]:
    """The requests by name; old releases logged lists of prompt and continuation."""
    value = record.get("arguments")
    texts: list[Any] = []
    names: list[str] = []
    if isinstance(value, dict):
        names = list(value)
        texts = [one.get("arg_1") if isinstance(one, dict) else None for one in value.values()]
    elif isinstance(value, list):
        names = [f"gen_args_{place}" for place in range(len(value))]
        texts = [one[1] if isinstance(one, list) and len(one) > 1 else None for one in value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise RecordError("'arguments' holds no prompts with continuations; mend or remove the line")
    return {name: Argument(arg_1=text) for name, text in zip(names, texts, strict=True)}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
