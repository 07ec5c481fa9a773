"""The index of a store: documents decomposed into buckets, counted, hashed and sealed by the manifest."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path, finish_folder

from seqdecomp import __version__
from seqdecomp.data.buckets import Bucket
from seqdecomp.data.encoding import MAX_EXAMPLES
from seqdecomp.data.fingerprints import hash_file
from seqdecomp.data.store import Store
from seqdecomp.data.store_manifest import STORE_KIND, STORE_SCHEMA, store_fingerprint
from seqdecomp.decomposition import decompose
from seqdecomp.settings import DecompositionSettings

_WRITTEN = re.compile(r"units/\d+\.json|tokens/\d+\.bin|documents/\d+\.npy|buckets/\d+(\.spans)?\.npy")


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What a build put into a store, and what it left out.

    Attributes:
        out: Folder of the store.
        documents: Documents in it.
        tokens: Tokens of all documents, EOS included.
        buckets: Sequences by length.
        dropped_tokens: Tokens that are in no sequence.
        eos_survival: Fraction of the documents whose last token is in a sequence.
        documents_without_eos: Documents whose last token is not EOS.
        skipped_records: Corrupt records that were left out.
        empty_documents: Records without any text or token, left out.
        examples: The first corrupt records, each with place and reason.
        fingerprint: Names the store's contents.
    """

    out: Path
    documents: int
    tokens: int
    buckets: Mapping[int, int]
    dropped_tokens: int
    eos_survival: float
    documents_without_eos: int
    skipped_records: int
    empty_documents: int
    examples: Sequence[Mapping[str, str]]
    fingerprint: str

    @classmethod
    def from_store(cls, store: Store) -> "BuildReport":
        """The report of a finished store, from its manifest."""
        counts, skipped = store.manifest["counts"], store.manifest["skipped"]
        assert store.path is not None
        return cls(
            out=store.path,
            documents=counts["documents"],
            tokens=counts["tokens"],
            buckets={n: store.manifest["buckets"][str(n)]["sequences"] for n in store.lengths},
            dropped_tokens=counts["dropped_tokens"],
            eos_survival=counts["surviving_ends"] / counts["documents"] if counts["documents"] else 0.0,
            documents_without_eos=counts["documents_without_eos"],
            skipped_records=skipped["records"],
            empty_documents=skipped["empty_documents"],
            examples=skipped["examples"],
            fingerprint=store.fingerprint,
        )

    def to_text(self) -> str:
        """The report as a table of buckets and a few lines of totals."""
        lines = [
            f"{self.out}: {self.documents:,} documents, {self.tokens:,} tokens",
            "",
            "  length   sequences",
        ]
        lines += [f"{length:>8,} {count:>11,}" for length, count in self.buckets.items()]
        dropped = self.dropped_tokens / self.tokens if self.tokens else 0.0
        lines += [
            "",
            f"tokens in no sequence: {self.dropped_tokens:,} ({dropped:.1%})",
            f"documents that keep their last token (EOS): {self.eos_survival:.1%}",
            f"documents that do not end with EOS: {self.documents_without_eos:,}",
            f"corrupt records skipped: {self.skipped_records:,}; empty records: {self.empty_documents:,}",
        ]
        lines += [f"  {example['place']}: {example['reason']}" for example in self.examples]
        return "\n".join(lines)


def finish_store(
    out: Path,
    markers: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    *,
    sources: Sequence[str],
    tokenizer: Mapping[str, Any],
    settings: DecompositionSettings,
) -> BuildReport:
    """Decompose the documents into buckets, write them and the manifest, and remove the markers."""
    files = [marker["file"] for marker in markers]
    starts, lengths = _documents(out, files)
    buckets = decompose(starts, lengths, **asdict(settings))
    entries = {
        str(length): _write_bucket(out, length, bucket, settings) for length, bucket in buckets.items()
    }
    kept = sum(entry["tokens"] for entry in entries.values())
    examples = [example for marker in markers for example in marker["examples"]]
    manifest: dict[str, Any] = {
        "schema": STORE_SCHEMA,
        "kind": STORE_KIND,
        "toolkit_version": __version__,
        "config": dict(config),
        "settings": asdict(settings),
        "tokenizer": dict(tokenizer),
        "sources": list(sources),
        "files": files,
        "buckets": entries,
        "counts": {
            "documents": len(lengths),
            "tokens": int(lengths.sum()),
            "dropped_tokens": int(lengths.sum()) - kept,
            "surviving_ends": count_surviving_ends(starts, lengths, buckets, settings),
            "documents_without_eos": sum(marker["documents_without_eos"] for marker in markers),
        },
        "skipped": {
            "records": sum(marker["skipped_records"] for marker in markers),
            "empty_documents": sum(marker["empty_documents"] for marker in markers),
            "examples": examples[:MAX_EXAMPLES],
        },
    }
    manifest["fingerprint"] = store_fingerprint(manifest)
    finish_folder(out, manifest)
    remove_leftovers(out)
    return BuildReport.from_store(Store.open(out))


def count_surviving_ends(
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    buckets: Mapping[int, Bucket],
    settings: DecompositionSettings,
) -> int:
    """Documents whose last token is in a sequence: for such a document one sequence ends where it ends.

    `starts` and `lengths` are int64 [documents], in tokens.
    """
    ends = np.sort((starts + lengths)[lengths > 0])
    if len(ends) == 0:
        return 0
    surviving = 0
    for length, bucket in buckets.items():
        sequence_ends = bucket.starts + bucket_spans(length, bucket, settings)
        place = np.minimum(np.searchsorted(ends, sequence_ends), len(ends) - 1)
        surviving += int((ends[place] == sequence_ends).sum())
    return surviving


def bucket_spans(length: int, bucket: Bucket, settings: DecompositionSettings) -> npt.NDArray[np.int64]:
    """Tokens that each sequence of a bucket holds in the store, int64 [sequences]."""
    if bucket.spans is not None:
        return np.asarray(bucket.spans, dtype=np.int64)
    return np.full(len(bucket.starts), length + (settings.target == "plus1"), dtype=np.int64)


def remove_leftovers(out: Path) -> None:
    """Remove what only an unfinished build needs.

    Of the files that a build writes, a finished store holds exactly those which its manifest names, however
    often its build was cut off. What else lies in the folder is left alone.
    """
    manifest = Store.open(out).manifest
    wanted = {"manifest.json", "tokenizer.json"}
    wanted |= {entry["documents_path"] for entry in manifest["files"]}
    wanted |= {entry["path"] for entry in manifest["files"] if not entry["referenced"]}
    for entry in manifest["buckets"].values():
        wanted |= {entry["path"], entry.get("spans_path") or entry["path"]}
    for path in sorted(out.glob("*/*")):
        name = path.relative_to(out).as_posix()
        if _WRITTEN.fullmatch(name) and name not in wanted:
            path.unlink(missing_ok=True)
    for name in ("units", "tokens"):
        with contextlib.suppress(OSError):
            (out / name).rmdir()


def _documents(
    out: Path, files: Sequence[Mapping[str, Any]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Global start and length of every document, int64 [documents] each."""
    starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    first = 0
    for entry in files:
        boundaries = np.load(out / entry["documents_path"], allow_pickle=False)
        starts.append(boundaries[:-1] + first)
        lengths.append(np.diff(boundaries))
        first += entry["tokens"]
    return np.concatenate(starts), np.concatenate(lengths)


def _write_bucket(out: Path, length: int, bucket: Bucket, settings: DecompositionSettings) -> dict[str, Any]:
    path = f"buckets/{length}.npy"
    with atomic_path(out / path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, np.ascontiguousarray(bucket.starts, dtype=np.int64), allow_pickle=False)
    entry: dict[str, Any] = {
        "path": path,
        "sequences": len(bucket.starts),
        "tokens": int(bucket_spans(length, bucket, settings).sum()),
        "hash": hash_file(out / path, whole=True),
    }
    if bucket.spans is not None:
        entry["spans_path"] = f"buckets/{length}.spans.npy"
        with atomic_path(out / entry["spans_path"]) as temporary, open(temporary, "wb") as stream:
            np.save(stream, np.ascontiguousarray(bucket.spans, dtype=np.int32), allow_pickle=False)
        entry["spans_hash"] = hash_file(out / entry["spans_path"], whole=True)
    return entry
