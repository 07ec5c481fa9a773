"""The audit of a store: hashes, every token in at most one sequence, no sequence across documents, counts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.buckets import Bucket
from seqdecomp.data.fingerprints import hash_file_as
from seqdecomp.data.store import Store
from seqdecomp.data.store_manifest import locate, read_store_manifest, store_fingerprint
from seqdecomp.decomposition import decompose
from seqdecomp.indexing import bucket_spans, count_surviving_ends

SCAN_TOKENS = 1 << 23


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found: one line a problem (none where the store is sound), and what was counted."""

    problems: tuple[str, ...]
    documents: int
    tokens: int
    sequences: int
    sequence_tokens: int
    eos_survival: float

    def to_text(self, name: str) -> str:
        """The audit in words: a line for each problem, or one line of counts."""
        if self.problems:
            number = len(self.problems)
            what = "1 problem" if number == 1 else f"{number} problems"
            return "\n".join([f"{name}: {what}", *(f"  {p}" for p in self.problems)])
        return (
            f"{name}: sound; {self.documents:,} documents, {self.tokens:,} tokens, "
            f"{self.sequences:,} sequences with {self.sequence_tokens:,} of them, "
            f"EOS of {self.eos_survival:.1%} of the documents kept"
        )


def verify_store(path: str | Path) -> Audit:
    """Audit the store at `path`, reading every byte that it owns.

    Token files that the store refers to are checked by the hash that the build took of them (every byte up
    to 256 MiB, samples above).

    Raises:
        InputError: there is no finished store at `path`.
    """
    folder = Path(path)
    manifest = read_store_manifest(folder)
    problems = _check_files(folder, manifest)
    if problems:
        return _unreadable(problems)
    try:
        store = Store.open(folder)
        buckets = {length: store.bucket(length) for length in store.lengths}
        problems = _check_documents(store) + _check_ids(store)
    except InputError as error:
        return _unreadable([str(error)])
    problems += _check_sequences(store, buckets) + _check_counts(store, buckets)
    if not problems:
        problems += _check_decomposition(store, buckets)
    spans = [bucket_spans(length, bucket, store.settings) for length, bucket in buckets.items()]
    surviving = count_surviving_ends(store.document_starts, store.document_lengths, buckets, store.settings)
    documents = len(store.document_lengths)
    return Audit(
        problems=tuple(problems),
        documents=documents,
        tokens=int(store.document_lengths.sum()),
        sequences=sum(len(span) for span in spans),
        sequence_tokens=sum(int(span.sum()) for span in spans),
        eos_survival=surviving / documents if documents else 0.0,
    )


def _unreadable(problems: Sequence[str]) -> Audit:
    """The audit of files that are missing or damaged: the rest would only repeat it, or fail."""
    return Audit(
        problems=tuple(problems), documents=0, tokens=0, sequences=0, sequence_tokens=0, eos_survival=0
    )


def _check_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Every file is there with the recorded hash."""
    problems = []
    named = [(entry["documents_path"], entry["documents_hash"]) for entry in manifest["files"]]
    for entry in manifest["buckets"].values():
        named.append((entry["path"], entry["hash"]))
        if "spans_path" in entry:
            named.append((entry["spans_path"], entry["spans_hash"]))
    for name, recorded in named:
        if not (folder / name).is_file():
            problems.append(f"{name}: missing")
        elif hash_file_as(folder / name, recorded) != recorded:
            problems.append(f"{name}: contents differ from their recorded hash")
    for entry in manifest["files"]:
        try:
            place = locate(folder, entry)
        except InputError as error:
            problems.append(str(error))
            continue
        if hash_file_as(place, entry["hash"]) != entry["hash"]:
            problems.append(f"{entry['path']}: contents differ from their recorded hash")
    if store_fingerprint(manifest) != manifest["fingerprint"]:
        problems.append("manifest.json: contents differ from their fingerprint")
    return problems


def _check_documents(store: Store) -> list[str]:
    """Boundaries ascend; that they stay inside their file is checked when they are opened."""
    problems = []
    for index, file in enumerate(store.files):
        boundaries = np.asarray(file.boundaries)
        name = store.manifest["files"][index]["documents_path"]
        if (np.diff(boundaries) <= 0).any():
            problems.append(
                f"{name}: boundary {int(np.argmax(np.diff(boundaries) <= 0)) + 1} does not ascend"
            )
    return problems


def _check_ids(store: Store) -> list[str]:
    """Every id is below the size of the vocabulary, where that is known."""
    if not store.vocab_size:
        return []
    problems = []
    for index, file in enumerate(store.files):
        if np.dtype(file.dtype).kind == "u" and store.vocab_size > np.iinfo(file.dtype).max:
            continue
        tokens = store.tokens_of_file(index)
        for first in range(0, len(tokens), SCAN_TOKENS):
            block = tokens[first : first + SCAN_TOKENS]
            low, high = int(block.min()), int(block.max())
            if low < 0 or high >= store.vocab_size:
                wrong = low if low < 0 else high
                name = store.manifest["files"][index]["path"]
                problems.append(f"{name}: id {wrong} is not in a vocabulary of {store.vocab_size}")
                break
    return problems


def _check_sequences(store: Store, buckets: Mapping[int, Bucket]) -> list[str]:
    """Each sequence lies inside one document, and no token is in two sequences."""
    problems = []
    starts, lengths = store.document_starts, store.document_lengths
    all_starts, all_ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for length, bucket in buckets.items():
        spans = bucket_spans(length, bucket, store.settings)
        begins = np.asarray(bucket.starts)
        name = f"buckets/{length}.npy"
        full = length + (store.settings.target == "plus1")
        if len(spans) != len(begins) or (spans < 1).any() or (spans > full).any():
            problems.append(f"{name}: a span is not within 1 and {full}")
            continue
        if (np.diff(begins) <= 0).any():
            problems.append(
                f"{name}: starts do not ascend at sequence {int(np.argmax(np.diff(begins) <= 0)) + 1}"
            )
        all_starts.append(begins)
        all_ends.append(begins + spans)
        if len(begins) == 0:
            continue
        document = np.searchsorted(starts, begins, side="right") - 1
        inside = document >= 0
        safe = np.maximum(document, 0)
        if len(starts):
            inside &= begins + spans <= (starts + lengths)[safe]
        else:
            inside[:] = False
        if not inside.all():
            wrong = int(np.argmin(inside))
            problems.append(
                f"{name}: sequence {wrong} at token {begins[wrong]} leaves its document "
                f"({int((~inside).sum())} such sequences)"
            )
    return problems + _check_disjoint(np.concatenate(all_starts), np.concatenate(all_ends))


def _check_disjoint(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> list[str]:
    order = np.argsort(starts, kind="stable")
    overlap = np.flatnonzero(starts[order][1:] < np.maximum.accumulate(ends[order])[:-1])
    if len(overlap) == 0:
        return []
    token = int(starts[order][overlap[0] + 1])
    return [f"buckets: token {token} is in two sequences ({len(overlap)} overlapping sequences)"]


def _check_counts(store: Store, buckets: Mapping[int, Bucket]) -> list[str]:
    """The manifest's counts are those of the arrays."""
    manifest = store.manifest
    kept = {
        length: int(bucket_spans(length, bucket, store.settings).sum()) for length, bucket in buckets.items()
    }
    counted: dict[str, int] = {
        "documents": len(store.document_lengths),
        "tokens": int(store.document_lengths.sum()),
        "dropped_tokens": int(store.document_lengths.sum()) - sum(kept.values()),
        "surviving_ends": count_surviving_ends(
            store.document_starts, store.document_lengths, buckets, store.settings
        ),
    }
    problems = [
        f"manifest.json: counts.{name} is {manifest['counts'][name]}, but {value} are there"
        for name, value in counted.items()
        if manifest["counts"][name] != value
    ]
    for length in buckets:
        recorded = manifest["buckets"][str(length)]["tokens"]
        if recorded != kept[length]:
            problems.append(
                f"manifest.json: buckets.{length}.tokens is {recorded}, but {kept[length]} are there"
            )
    return problems


def _check_decomposition(store: Store, buckets: Mapping[int, Bucket]) -> list[str]:
    """Decomposing the documents again with the recorded settings gives the same buckets."""
    again = decompose(store.document_starts, store.document_lengths, **asdict(store.settings))
    problems = []
    for length in sorted(set(again) | set(buckets)):
        same = (
            length in again
            and length in buckets
            and np.array_equal(again[length].starts, buckets[length].starts)
        )
        if not same:
            problems.append(f"buckets/{length}.npy: is not what the recorded settings give")
    return problems
