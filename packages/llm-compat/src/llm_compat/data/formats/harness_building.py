"""From decoded records of lm-evaluation-harness to columns: scores, rebuilt choices, answers, slices."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from llm_compat.data.answers import answer_code
from llm_compat.data.formats import harness_choices as choice_rules
from llm_compat.data.formats.harness_choices import Choices, Mismatch
from llm_compat.data.formats.harness_columns import Columns, slices_of
from llm_compat.data.formats.harness_options import LineOptions
from llm_compat.data.outcomes import Codes, Slices, key_of, keys_array
from llm_compat.data.rescoring import flexible_number, same_number, strict_number, target_number
from llm_compat.data.similarity import scorer

_DIGEST_DIGITS = 64
_PAIRS = msgspec.json.Decoder(list[list[tuple[float, bool]]], strict=False)
_CONTINUATION = attrgetter("arg_1")
_LISTS = msgspec.json.Decoder(list[list[Any]])


class RecordRefused(Exception):
    """One of the records cannot be used.

    Attributes:
        row: Its position among them.
        reason: What is wrong, and what to do.
    """

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row, self.reason = row, reason


class ColumnsOfRecords:
    """The columns of records with the same metrics."""

    def __init__(
        self, records: Sequence[Any], places: Sequence[int], metrics: tuple[str, ...], options: LineOptions
    ) -> None:
        self.records, self.metrics, self.options = records, metrics, options
        self.places = np.array(places, np.int64)
        self.scores: dict[str, npt.NDArray[np.float64]] = {}
        self.left_out: dict[str, str] = {}
        self.answers: dict[str, Codes] = {}
        self.mismatches: dict[str, Mismatch] = {}
        self.unlike_accuracy: set[str] = set()
        self.unchecked = 0

    def build(self) -> Columns:
        """The columns.

        Raises:
            RecordRefused: One of the records cannot be used.
        """
        for place, name in enumerate(self.metrics):
            self._add_scores(name, self._all(f"m{place}"))
        if self.options.kind == "choice":
            self._add_choices()
        elif self.options.kind == "generation":
            self._add_texts()
        filters = slices_of(self._all("filter"))
        digests = self._all("prompt_hash")
        slices, present = self._slices()
        return Columns(
            places=self.places,
            keys=keys_array(self._digests("doc_hash", 16)),
            doc_ids=self._doc_ids(),
            filters=filters.codes,
            filter_names=filters.names,
            prompts=np.frombuffer(self._digests("prompt_hash", 8), "<u8") if all(digests) else None,
            targets=np.frombuffer(self._digests("target_hash", 8), "<u8"),
            scores=self.scores,
            left_out=self.left_out,
            answers=self.answers,
            mismatches=self.mismatches,
            unlike_accuracy=frozenset(self.unlike_accuracy),
            unchecked=self.unchecked,
            slices=slices,
            present=present,
            known_fields=tuple(self.records[0].doc) if self.options.fields else (),
        )

    def _all(self, name: str) -> list[Any]:
        return list(map(attrgetter(name), self.records))

    def _digests(self, name: str, size: int) -> bytes:
        """The first bytes of every record's digest; a digest that is none is digested itself."""
        digests = self._all(name)
        joined = "".join(digests)
        if len(joined) == _DIGEST_DIGITS * len(digests) and set(map(len, digests)) == {_DIGEST_DIGITS}:
            try:
                whole = np.frombuffer(bytes.fromhex(joined), np.uint8)
                return whole.reshape(len(digests), -1)[:, :size].tobytes()
            except ValueError:
                pass
        return b"".join(key_of(digest.encode("utf-8", "surrogatepass"))[:size] for digest in digests)

    def _doc_ids(self) -> npt.NDArray[np.int64]:
        ids = self._all("doc_id")
        try:
            return np.array(ids, np.int64)
        except OverflowError:
            row = next(row for row, value in enumerate(ids) if not -(2**63) <= value < 2**63)
            raise RecordRefused(row, "field 'doc_id' is no usable number; mend or remove the line") from None

    def _add_scores(self, name: str, column: list[Any]) -> None:
        """Keep a metric when it is a number in every record; say what else it is."""
        kinds = set(map(type, column))
        if kinds <= {float, int, bool}:
            try:
                values = np.array(column, np.float64)
            except OverflowError:
                row = next(row for row, value in enumerate(column) if abs(value) > 2**1000)
                raise RecordRefused(row, f"metric '{name}' is too large; mend or remove it") from None
        elif kinds & {list, dict, str}:
            numbers = [row for row, value in enumerate(column) if isinstance(value, float | int)]
            if numbers:
                row = next(row for row, value in enumerate(column) if isinstance(value, list | dict | str))
                reason = f"metric '{name}' is no number here, but is in other lines; mend or remove it"
                raise RecordRefused(row, reason)
            self.left_out[name] = "text" if kinds & {str} else "a list or object"
            return
        else:
            values = np.array([np.nan if value is None else value for value in column], np.float64)
        self.scores[name] = values
        if name in choice_rules.METRICS and not ((values == 0) | (values == 1) | np.isnan(values)).all():
            self.unlike_accuracy.add(name)

    def _add_choices(self) -> None:
        choices = self._choices()
        delimiter = self.options.reading[0]
        halved = choices.first_half() if "acc_mutual_info" in self.metrics else choices
        golds = halved.golds(self.options.reading)
        computed = [name for name in self.options.rescore if name in choice_rules.METRICS]
        for name in dict.fromkeys([*self.metrics, *computed]):
            if name not in choice_rules.METRICS or (name in self.metrics and name not in self.scores):
                continue
            taken = choices if name == "acc_mutual_info" else halved
            predictions = taken.predictions(name, delimiter)
            if predictions is None:
                continue
            correct = halved.correct(predictions, golds)
            self.unchecked = int(np.isnan(correct).sum())
            if name in self.scores:
                found = choice_rules.mismatch(self.scores[name], correct)
                if found is not None:
                    self.mismatches[name] = found
            self.answers[name] = choice_rules.choice_codes(predictions)
            if name in computed:
                self.scores[name] = correct

    def _choices(self) -> Choices:
        responses, flat = self._log_probabilities()
        counts = np.fromiter(map(len, responses), np.int64, len(responses))
        arguments = self._all("arguments")
        asked = np.fromiter(map(len, arguments), np.int64, len(arguments))
        bad = np.flatnonzero((counts < 1) | (counts != asked))
        if len(bad):
            found = f"{counts[bad[0]]} responses to {asked[bad[0]]} requests"
            raise RecordRefused(int(bad[0]), f"{found}; mend or remove the line")
        scores = np.full((len(responses), int(counts.max())), -np.inf)
        scores[np.arange(scores.shape[1])[None, :] < counts[:, None]] = flat
        return Choices(
            log_probabilities=scores,
            counts=counts,
            continuations=_in_order(arguments),
            targets=self._all("target"),
            same_continuations=self.options.same_continuations,
        )

    def _log_probabilities(self) -> tuple[Sequence[Sequence[Any]], list[float]]:
        """The responses of each record, and the log-probabilities of all."""
        raw = self._all("filtered_resps")
        try:
            # one call for all; texts such as "-2.5" and "False" become what they mean
            responses = _PAIRS.decode(b"[" + b",".join(raw) + b"]")
            return responses, [pair[0] for response in responses for pair in response]
        except msgspec.MsgspecError:
            pass
        slowly = self._responses()
        for row, response in enumerate(slowly):
            for pair in response:
                if not isinstance(pair, list) or not pair or not _is_number(pair[0]):
                    shown = json.dumps(pair)[:40]
                    reason = f"filtered_resps holds {shown}, no log-probability; mend or remove the line"
                    raise RecordRefused(row, reason)
        return slowly, [float(pair[0]) for response in slowly for pair in response]

    def _responses(self) -> list[list[Any]]:
        """What the filter made of the responses of each record."""
        raw = self._all("filtered_resps")
        try:
            return _LISTS.decode(b"[" + b",".join(raw) + b"]")
        except msgspec.MsgspecError:
            pass
        slowly = [json.loads(bytes(one)) for one in raw]
        for row, response in enumerate(slowly):
            if not isinstance(response, list):
                reason = "field 'filtered_resps' is not a list; mend or remove the line"
                raise RecordRefused(row, reason)
        return slowly

    def _add_texts(self) -> None:
        texts = [_text_of(response) for response in self._responses()]
        codes = np.array([answer_code(text) for text in texts], np.uint64)
        self.answers.update(dict.fromkeys(self.scores, codes))
        for name in self.options.rescore:
            if name.startswith("gsm8k"):
                self._add_numbers(name)
        for name in self.options.similarity:
            self._add_similarity(name, texts)
            self.answers[name] = codes

    def _add_numbers(self, name: str) -> None:
        """The score and the answer of a GSM8K extraction; NaN where the target holds no number."""
        extract: Callable[[str], str | None] = strict_number if name == "gsm8k-strict" else flexible_number
        scores, codes = [], []
        for row, (response, target) in enumerate(zip(self._all("resps"), self._all("target"), strict=True)):
            output = response[0][0] if response and isinstance(response[0], list) and response[0] else None
            if not isinstance(output, str):
                raise RecordRefused(row, f"resps holds no text for {name}; leave --read.rescore {name} out")
            answer, expected = extract(output), target_number(target)
            codes.append(answer_code(answer))
            scores.append(np.nan if expected is None else float(same_number(answer, expected)))
        self.scores[name] = np.array(scores, np.float64)
        self.answers[name] = np.array(codes, np.uint64)

    def _add_similarity(self, name: str, texts: Sequence[str | None]) -> None:
        score = scorer(name)
        pairs = zip(texts, self._all("target"), strict=True)
        self.scores[name] = np.array([score(text or "", target) for text, target in pairs], np.float64)

    def _slices(self) -> tuple[dict[str, Slices], dict[str, bool]]:
        slices, present = {}, {}
        for name in self.options.fields:
            values = [field_text(record.doc, name) for record in self.records]
            slices[name] = slices_of([value or "" for value in values])
            present[name] = any(value is not None for value in values)
        return slices, present


def field_text(document: Mapping[str, Any], name: str) -> str | None:
    """The value of a field as text, or None where it is absent; dots reach into nested objects.

    `doc.` before the name is the same name; a field that has dots in its own name is found as well.
    """
    for path in dict.fromkeys((name, name.removeprefix("doc."))):
        if path in document:
            return _as_text(document[path])
        value: Any = document
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return _as_text(value)
    return None


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _in_order(arguments: Sequence[dict[str, Any]]) -> list[str]:
    """The continuations of all records, each record's by the number of the request.

    A log that was rewritten may have requests by name, `gen_args_10` before `gen_args_2`.
    """
    for names in set(map(tuple, arguments)):
        numbered = tuple(f"gen_args_{place}" for place in range(len(names)))
        if names != numbered and set(names) == set(numbered):
            return [one[f"gen_args_{place}"].arg_1 for one in arguments for place in range(len(one))]
    return list(map(_CONTINUATION, chain.from_iterable(map(dict.values, arguments))))


def _text_of(response: Sequence[Any]) -> str | None:
    """What a filter made of the first request's response; a list of several as its JSON."""
    if not response:
        return None
    return response[0] if isinstance(response[0], str) else json.dumps(response[0], ensure_ascii=False)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)
