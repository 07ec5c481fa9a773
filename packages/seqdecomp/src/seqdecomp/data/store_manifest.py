"""The manifest of a store: read, checked field by field, and named by a fingerprint of its contents."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import fingerprint
from toolkit_shared.errors import InputError

STORE_KIND = "seqdecomp-store"
STORE_SCHEMA = 1

_Fields = Mapping[str, type | tuple[type, ...]]
_OPTIONAL_INT = (int, type(None))
_FIELDS: _Fields = {
    "settings": dict,
    "tokenizer": dict,
    "sources": list,
    "files": list,
    "buckets": dict,
    "counts": dict,
    "skipped": dict,
    "fingerprint": str,
}
_TOKENIZER_FIELDS: _Fields = {"eos_id": _OPTIONAL_INT, "vocab_size": _OPTIONAL_INT}
_COUNTS = ("documents", "tokens", "dropped_tokens", "surviving_ends", "documents_without_eos")
_COUNTS_FIELDS: _Fields = dict.fromkeys(_COUNTS, int)
_SKIPPED_FIELDS: _Fields = {"records": int, "empty_documents": int, "examples": list}
_FILE_FIELDS: _Fields = {
    "path": str,
    "referenced": bool,
    "dtype": str,
    "offset_bytes": int,
    "tokens": int,
    "bytes": int,
    "source": int,
    "hash": str,
    "documents": int,
    "documents_path": str,
    "documents_hash": str,
}
_BUCKET_FIELDS: _Fields = {"path": str, "sequences": int, "tokens": int, "hash": str}


def read_store_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the finished store in `folder`, with every field that a reader needs.

    Raises:
        InputError: there is none, it is not finished, it is not a store's or of a later version, or a field
            is missing.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        if (folder / "job.json").is_file():
            raise InputError(f"{folder}: the build of this store is not finished; run the same build again")
        raise InputError(f"{folder}: no store here (manifest.json is missing); make one with seqdecomp build")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{path}: not JSON; build the store again") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != STORE_KIND:
        raise InputError(f"{path}: field 'kind' is not '{STORE_KIND}'; name a folder made by seqdecomp build")
    if manifest.get("schema") != STORE_SCHEMA:
        raise InputError(
            f"{path}: field 'schema' is {manifest.get('schema')!r}, and this seqdecomp reads {STORE_SCHEMA}; "
            "build the store again, or install the version that built it"
        )
    _check(path, "", manifest, _FIELDS)
    for name, fields in (
        ("tokenizer", _TOKENIZER_FIELDS), ("counts", _COUNTS_FIELDS), ("skipped", _SKIPPED_FIELDS)
    ):  # fmt: skip
        _check(path, f"{name}.", manifest[name], fields)
    for index, entry in enumerate(manifest["files"]):
        _check(path, f"files[{index}].", entry, _FILE_FIELDS)
    for length, entry in manifest["buckets"].items():
        _check(path, f"buckets.{length}.", entry, _BUCKET_FIELDS)
    return manifest


def store_fingerprint(manifest: Mapping[str, Any]) -> str:
    """A name for a store's contents, free of where its token files lie."""
    places = ("path", "relative_path", "referenced", "documents_path")
    files = [{k: v for k, v in entry.items() if k not in places} for entry in manifest["files"]]
    contents = {name: manifest[name] for name in ("settings", "sources", "buckets", "counts")}
    return str(fingerprint(contents | {"files": files, "eos_id": manifest["tokenizer"]["eos_id"]}))


def locate(folder: Path, entry: Mapping[str, Any]) -> Path:
    """The path of a token file of the store in `folder`, as its manifest entry gives it.

    A file outside the store is looked for at its recorded absolute place, then at its recorded place
    relative to the store, so that a store may move together with the data that it refers to.

    Raises:
        InputError: the file is at none of them, or has another size than when it was indexed.
    """
    candidates = [Path(entry["path"])] if entry["referenced"] else [folder / entry["path"]]
    if entry["referenced"] and entry.get("relative_path"):
        candidates.append(folder / entry["relative_path"])
    for candidate in candidates:
        if candidate.exists():
            size = candidate.stat().st_size
            if size != entry["bytes"]:
                raise InputError(
                    f"{candidate}: has {size} bytes, but {entry['bytes']} when the store was built; "
                    "restore the file or build the store again"
                )
            return candidate
    raise InputError(f"{candidates[0]}: this token file of the store {folder} is missing; put it back")


def _check(path: Path, prefix: str, found: Any, fields: _Fields) -> None:
    for name, kind in fields.items():
        if not isinstance(found, dict) or not isinstance(found.get(name, ...), kind):
            raise InputError(
                f"{path}: field '{prefix}{name}' is missing or of another kind; build the store again"
            )
