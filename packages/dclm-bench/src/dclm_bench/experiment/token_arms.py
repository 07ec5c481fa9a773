"""Arms as token ids in one file, and the equal rows of tokens that a model is trained on; NumPy only."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

FORMAT = "dclm-bench token arms 1"
MAX_EPOCHS = 4
MAX_FILE_BYTES = 1 << 30
IGNORED = -100
# Names in a plan: an experiment, an arm, a control for selectors, and the domains of held-out text, which are
# gold articles and pages that people called good. The classifier's positives are of the source of the first.
LADDER, UNSELECTED, SAME_BYTES = "ladder", "unselected", "random-same-bytes"
ARTICLES, RATED = "articles", "rated-good"
Tokens = npt.NDArray[np.uint16]


class EqualRows(NamedTuple):
    """Training rows of the arms of one experiment and seed, the same number for each.

    Attributes:
        rows: uint16 [rows, length + 1] by arm; the last token of a row is only predicted.
        epochs: How often each arm reads its pool.
        pool_tokens: Tokens of its pool, ends of documents counted.
    """

    rows: dict[str, Tokens]
    epochs: dict[str, float]
    pool_tokens: dict[str, int]


class HeldOutRows(NamedTuple):
    """Held-out documents as rows that do not know of one another.

    Attributes:
        inputs: int64 [rows, length]; each document begins after an end of text.
        targets: int64 [rows, length], -100 where nothing is predicted.
        owners: int64 [rows], the place of the row's document in `pages`.
        num_bytes: int64 [pages].
        pages: (domain, name) of each document.
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    num_bytes: npt.NDArray[np.int64]
    pages: list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class TokenArms:
    """Documents, and for each seed which of them an arm has and which are held out.

    Attributes:
        tokens: uint16, all documents one after the other, without ends of text.
        bounds: int64 [documents + 1], where each begins.
        num_bytes: int64 [documents], UTF-8 bytes of each.
        plan: tokenizer, vocab_size, eot_id, and seeds: a list of seed, experiments (experiment to arm to
            documents) and held_out (domain to page to document).
    """

    tokens: Tokens
    bounds: npt.NDArray[np.int64]
    num_bytes: npt.NDArray[np.int64]
    plan: Mapping[str, Any]

    @classmethod
    def of_documents(
        cls, documents: Sequence[npt.NDArray[Any]], num_bytes: Sequence[int], plan: Mapping[str, Any]
    ) -> "TokenArms":
        """The arms of these documents.

        Raises:
            InputError: the ids need more than 16 bits.
        """
        if plan["vocab_size"] > 1 << 16:
            raise InputError(
                f"--tokenizer: {plan['vocab_size']:,} ids do not fit 16 bits; use one of at most 65,536"
            )
        bounds = np.cumsum([0, *map(len, documents)], dtype=np.int64)
        joined = np.concatenate(documents).astype(np.uint16) if documents else np.zeros(0, np.uint16)
        return cls(joined, bounds, np.array(num_bytes, np.int64), plan)

    def document(self, index: int) -> Tokens:
        """The ids of a document."""
        return self.tokens[self.bounds[index] : self.bounds[index + 1]]

    def write(self, path: Path) -> None:
        """Write them as a compressed .npz without pickles, whole or not at all."""
        plan = json.dumps({"format": FORMAT, **self.plan}).encode()
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                tokens=self.tokens,
                bounds=self.bounds,
                num_bytes=self.num_bytes,
                plan=np.frombuffer(plan, np.uint8),
            )


def read_token_arms(path: Path) -> TokenArms:
    """What `TokenArms.write` wrote.

    Raises:
        InputError: the file is missing or none of that kind.
    """
    wrong = f"{path}: is no file of arms; make one with benchmarks.dclm_bench.ladder_arms"
    if not path.is_file():
        raise InputError(f"{path}: no such file; make one with benchmarks.dclm_bench.ladder_arms")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_FILE_BYTES:
            raise InputError(
                f"{path}: unpacks to {size:,} bytes, above {MAX_FILE_BYTES:,}; make a smaller one"
            )
        with np.load(path, allow_pickle=False) as stored:
            tokens, bounds, num_bytes = stored["tokens"], stored["bounds"], stored["num_bytes"]
            plan = json.loads(stored["plan"].tobytes())
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        raise InputError(wrong) from None
    sound = (
        isinstance(plan, dict)
        and plan.pop("format", None) == FORMAT
        and tokens.dtype == np.uint16
        and bounds.dtype == num_bytes.dtype == np.int64
        and len(bounds) == len(num_bytes) + 1
        and bounds[0] == 0
        and bounds[-1] == len(tokens)
        and bool((np.diff(bounds) >= 0).all())
    )
    if not sound:
        raise InputError(wrong)
    return TokenArms(tokens, bounds, num_bytes, plan)


def equal_rows(
    arms: TokenArms,
    chosen: Mapping[str, Sequence[int]],
    *,
    seed: int,
    length: int,
    batch_size: int,
    max_tokens: int,
    max_epochs: int = MAX_EPOCHS,
) -> EqualRows:
    """The same number of rows for every arm: whole batches, up to `max_tokens` and to `max_epochs` of an arm.

    Each epoch reads the documents in another order, each with an end of text after it, and cuts the stream
    into rows, whose order is random too. All orders come from the seed and the epoch, so two arms with equal
    documents have equal rows.

    Args:
        arms: The documents.
        chosen: Documents by arm.
        seed: Of the orders.
        length: Tokens of a row that are read.
        batch_size: Rows of a step.
        max_tokens: Of an arm.
        max_epochs: How often the smallest arm may be read; the others get as many rows as that gives.

    Raises:
        InputError: an arm is too small for one step.
    """
    pool_tokens = {
        arm: int(sum(len(arms.document(index)) + 1 for index in indices)) for arm, indices in chosen.items()
    }
    per_epoch = {arm: (tokens - 1) // length for arm, tokens in pool_tokens.items()}
    smallest = min(per_epoch, key=lambda arm: per_epoch[arm])
    number = min(max_tokens // length, max_epochs * per_epoch[smallest]) // batch_size * batch_size
    if number < 1:
        raise InputError(
            f"arm '{smallest}': {pool_tokens[smallest]:,} tokens give no step of {batch_size} x {length}; "
            "give more data or --tokens"
        )
    rows = {arm: _rows(arms, chosen[arm], seed, length, number) for arm in chosen}
    return EqualRows(rows, {arm: number / per_epoch[arm] for arm in chosen}, pool_tokens)


def held_out_rows(
    arms: TokenArms, held_out: Mapping[str, Mapping[str, int]], *, length: int, batch_size: int
) -> HeldOutRows:
    """The held-out documents of a seed in rows, filled up with empty rows to whole batches."""
    pages = [(domain, page) for domain, found in held_out.items() for page in found]
    inputs, targets, owners, num_bytes = [], [], [], []
    for owner, (domain, page) in enumerate(pages):
        index = held_out[domain][page]
        ids = np.concatenate([[arms.plan["eot_id"]], arms.document(index)]).astype(np.int64)
        num_bytes.append(int(arms.num_bytes[index]))
        for start in range(0, len(ids) - 1, length):
            part = ids[start : start + length + 1]
            row = np.zeros(length, np.int64)
            row[: len(part) - 1] = part[:-1]
            target = np.full(length, IGNORED, np.int64)
            target[: len(part) - 1] = part[1:]
            inputs.append(row)
            targets.append(target)
            owners.append(owner)
    while len(inputs) % batch_size:
        inputs.append(np.zeros(length, np.int64))
        targets.append(np.full(length, IGNORED, np.int64))
        owners.append(0)
    return HeldOutRows(
        np.array(inputs), np.array(targets), np.array(owners, np.int64), np.array(num_bytes, np.int64), pages
    )


def _rows(arms: TokenArms, indices: Sequence[int], seed: int, length: int, number: int) -> Tokens:
    end = np.array([arms.plan["eot_id"]], np.uint16)
    parts: list[Tokens] = []
    found = epoch = 0
    while found < number:
        rng = stream(seed, "ladder epoch", epoch)
        order = rng.permutation(len(indices)).tolist()
        text = np.concatenate([piece for place in order for piece in (arms.document(indices[place]), end)])
        starts = np.arange((len(text) - 1) // length) * length
        rows = text[starts[:, None] + np.arange(length + 1)]
        parts.append(rows[rng.permutation(len(rows))][: number - found])
        found += len(parts[-1])
        epoch += 1
    return np.concatenate(parts)
