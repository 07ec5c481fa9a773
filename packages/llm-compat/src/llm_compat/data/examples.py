"""Training examples: prompts with answers, plain texts or conversations, as rows of tokens."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream
from toolkit_shared.records import BadRecord, read_jsonl

from llm_compat.data.token_rows import Flags, TokenRows, Tokens

LossOn = Literal["all", "answer"]
TooLong = Literal["truncate", "drop", "refuse"]

_JSONL = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.zstd", ".json", ".json.gz")
_KINDS = "prompt and completion, text, or messages"


@dataclass
class ExampleCounts:
    """What became of the records of a file.

    Attributes:
        records: Records read.
        rows: Rows of tokens made of them.
        truncated: Rows that were longer than max_length, and lost their end.
        merged: Rows in which a token spans the border of prompt and answer; it counts as answer.
        dropped: Records that gave no row, by reason.
    """

    records: int = 0
    rows: int = 0
    truncated: int = 0
    merged: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count a record that gives no row."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def read_examples(
    path: str | Path, *, on_bad: Callable[[BadRecord], None] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a JSONL file (plain, .gz or .zst) or a parquet table, each with its place.

    Args:
        path: The file.
        on_bad: Told of records that cannot be read; without it the first one raises.

    Raises:
        InputError: no such file, another kind of file, or a bad record without `on_bad`.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a JSONL or parquet file")
    if path.name.endswith(".parquet"):
        yield from _parquet(path)
    elif path.name.endswith(_JSONL):
        yield from read_jsonl(path, on_bad=on_bad)
    else:
        raise InputError(f"{path}: not a .jsonl (plain, .gz or .zst) or .parquet file")


def tokenize_examples(
    path: str | Path,
    tokenizer: Any,
    *,
    loss_on: LossOn = "all",
    max_length: int = 512,
    too_long: TooLong = "truncate",
    strict: bool = False,
    limit: int | None = None,
    on_bad: Callable[[BadRecord], None] = lambda bad: None,
) -> tuple[TokenRows, ExampleCounts]:
    """The rows of a file of examples, and what became of its records.

    A record has `prompt` and `completion` (tokenised as one text, as evaluation harnesses do; the answer ends
    with the end-of-text token), or `text`, or `messages` (laid out by the tokenizer's chat template; every
    turn of the assistant is an answer).

    Args:
        path: JSONL or parquet.
        tokenizer: A fast tokenizer of transformers.
        loss_on: Train every token after the first, or those of the answers alone. The paper trains all.
        max_length: Longest row, in tokens.
        too_long: What becomes of longer ones: they lose their end, are dropped, or stop the run.
        strict: Stop at the first record that cannot be used; else count it, tell `on_bad` and go on.
        limit: Read no more records than this.
        on_bad: Told of records that cannot be used.

    Raises:
        InputError: the file cannot be read, gives no row, or has a record that the options do not allow.
    """
    if max_length < 2:
        raise InputError(f"max_length: {max_length} is below 2; a row needs a token and its next")
    counts, rows = ExampleCounts(), []

    def bad(record: BadRecord) -> None:
        if strict:
            raise InputError(f"{record}; mend the record, or leave --data.strict out to skip it")
        counts.records += 1
        counts.drop("not readable")
        on_bad(record)

    for place, record in read_examples(path, on_bad=bad):
        if limit is not None and counts.records >= limit:
            break
        counts.records += 1
        try:
            tokens, trained = _tokenize(record, tokenizer, loss_on, counts)
        except _Unusable as problem:
            if strict:
                raise InputError(f"{path}, {place}: {problem}; mend the record") from None
            counts.drop(str(problem))
            on_bad(BadRecord(Path(path), place, str(problem)))
            continue
        if len(tokens) > max_length:
            if too_long == "refuse":
                raise InputError(
                    f"{path}, {place}: {len(tokens):,} tokens, more than max_length {max_length:,}; raise "
                    "it, or let too_long be 'truncate' or 'drop'"
                )
            if too_long == "drop":
                counts.drop("longer than max_length")
                continue
            tokens, trained = tokens[:max_length], trained[:max_length].copy()
            trained[-1] = False
            counts.truncated += bool(trained.any())
        if not trained.any():
            counts.drop("no token to train on within max_length")
            continue
        rows.append((tokens, trained))
    counts.rows = len(rows)
    if not rows:
        reasons = "; ".join(f"{number:,} x {reason}" for reason, number in counts.dropped.items())
        raise InputError(
            f"{path}: no example in {counts.records:,} records ({reasons or 'the file is empty'}); "
            f"give records with {_KINDS}"
        )
    return TokenRows.from_rows(rows), counts


def split_rows(
    rows: TokenRows, *, validation_fraction: float = 0.2, seed: int = 0
) -> tuple[TokenRows, TokenRows]:
    """Training and validation rows, by chance; the same for equal seeds and numbers of rows.

    Raises:
        InputError: the fraction leaves one of the two without a row.

    Source: arXiv 2407.09435, appendix: the train split of a task is cut 0.8 to 0.2; the seed is not given.
    """
    order = stream(seed, "llm-compat: validation split").permutation(len(rows))
    number = round(validation_fraction * len(rows))
    if not 0 < number < len(rows):
        raise InputError(
            f"validation_fraction: {validation_fraction} of {len(rows):,} rows leaves training or validation "
            "empty; give more examples, or a validation file"
        )
    validation, training = np.sort(order[:number]), np.sort(order[number:])
    return rows.select(training.tolist()), rows.select(validation.tolist())


class _Unusable(Exception):
    """A record that gives no row, and why."""


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            row = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    yield f"row {row}", record
                    row += 1
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from None


def _tokenize(
    record: Mapping[str, Any], tokenizer: Any, loss_on: LossOn, counts: ExampleCounts
) -> tuple[Tokens, Flags]:
    """Tokens, and which positions are trained (those before a token of an answer, or before any)."""
    if record.get("messages") is not None:
        tokens, answers = _conversation(record["messages"], tokenizer)
    elif record.get("completion") is not None:
        tokens, answers = _answered(record, tokenizer, counts)
    elif record.get("text") is not None:
        if loss_on == "answer":
            raise _Unusable("'text' has no answer, and loss_on is 'answer'")
        tokens = _encode(tokenizer, _text(record, "text"), end=True)
        answers = [(0, len(tokens))]
    else:
        raise _Unusable(f"none of the fields {_KINDS}")
    array = np.asarray(tokens, np.int32)
    trained = np.zeros(len(array), np.bool_)
    spans = [(0, len(array))] if loss_on == "all" else answers
    for begin, end in spans:
        trained[max(0, begin - 1) : max(0, end - 1)] = True
    return array, trained


def _answered(
    record: Mapping[str, Any], tokenizer: Any, counts: ExampleCounts
) -> tuple[list[int], list[tuple[int, int]]]:
    prompt, completion = _text(record, "prompt"), _text(record, "completion")
    if not completion:
        raise _Unusable("'completion' is empty")
    alone = _encode(tokenizer, prompt) if prompt else []
    whole = _encode(tokenizer, prompt + completion, end=True)
    begin = next(
        (i for i, pair in enumerate(zip(alone, whole, strict=False)) if pair[0] != pair[1]), len(alone)
    )
    if begin < len(alone):
        counts.merged += 1
    return whole, [(begin, len(whole))]


def _conversation(messages: Any, tokenizer: Any) -> tuple[list[int], list[tuple[int, int]]]:
    if not isinstance(messages, Sequence) or not all(
        isinstance(turn, Mapping)
        and isinstance(turn.get("role"), str)
        and isinstance(turn.get("content"), str)
        for turn in messages
    ):
        raise _Unusable("'messages' is not a list of role and content")
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            "tokenizer: has no chat template, so 'messages' cannot be laid out; give prompt and completion"
        )

    def laid_out(turns: Sequence[Any], *, ask: bool = False) -> list[int]:
        try:
            text = tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=ask)
        except Exception as error:  # whatever the template raises about these turns
            raise _Unusable(f"the chat template refuses 'messages': {str(error).splitlines()[0]}") from None
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    whole, answers = laid_out(messages), []
    for index, turn in enumerate(messages):
        if turn["role"] == "assistant":
            before, after = laid_out(messages[:index], ask=True), laid_out(messages[: index + 1])
            if whole[: len(before)] != before or whole[: len(after)] != after:
                raise _Unusable("the chat template changes earlier turns, so answers cannot be told apart")
            answers.append((len(before), len(after)))
    if not answers:
        raise _Unusable("'messages' has no turn of the assistant")
    return whole, answers


def _encode(tokenizer: Any, text: str, *, end: bool = False) -> list[int]:
    """Tokens of a text with the tokenizer's beginning, and with its end of text where that is asked for."""
    tokens = list(tokenizer(text)["input_ids"])
    stop = tokenizer.eos_token_id
    if stop is not None and tokens and tokens[-1] == stop:
        tokens.pop()
    return [*tokens, stop] if end and stop is not None else tokens


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise _Unusable(f"'{name}' is {'missing' if value is None else 'no text'}")
    return value
