"""Files that are whole or absent, and output folders that know whether they are finished.

An output folder is claimed first (`job.json` says for what), filled file by file, and finished last
(`manifest.json`). A run that was killed at any moment leaves a folder that the same run goes on with, and
that any other run refuses.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.errors import InputError

JOB = "job.json"
MANIFEST = "manifest.json"
SHOWN_DIFFERENCES = 6

# .tmp-MACHINE-PROCESS-RANDOM-NAME; the name comes last so that writers which look at the suffix find it
_TEMPORARY = re.compile(r"\.tmp-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}-.*", re.DOTALL)
_in_use: set[str] = set()
# No space, quota or size left: these come from a write, which does not tell its file.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what is written there becomes `path` when the block ends.

    The contents are on the disk before the name is, so after a crash `path` is the old file, the new one or
    absent, never half of one. When the block raises, the temporary file is removed and `path` stays as it
    was. Missing parent folders are made. For files only, not for folders.

    Raises:
        InputError: `path` is a folder, or its parent cannot be made.
        FileNotFoundError: the block wrote nothing.
        OSError: the disk is full, or the like; it names `path`.
    """
    path = Path(path)
    require_place(path)
    name = f".tmp-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}-{path.name[-100:]}"
    temporary = path.parent / name
    _in_use.add(name)
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _FULL or error.filename in (temporary, str(temporary)):
            error.filename = str(path)
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _in_use.discard(name)
    _flush(path.parent, os.O_RDONLY)


def require_place(path: str | Path) -> None:
    """Make sure, before the work whose result it is to hold, that the file `path` can be written.

    Missing parent folders are made.

    Raises:
        InputError: `path` is a folder, or its parent cannot be made or written to.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    _make_folder(path.parent)
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.parent}: cannot be written to; choose another place")


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file that is whole or absent after a crash."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file with its line ends as they are; whole or absent after a crash."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON with sorted keys, one space of indent and a last newline; equal values give equal bytes.

    Raises:
        ValueError: a NaN or an infinity is in it, which JSON cannot hold.
        TypeError: something in it is neither a plain value, a list, a mapping nor a path.
    """
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
    write_text(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """The value of a JSON file.

    Raises:
        InputError: the file is missing, unreadable or no JSON; the message names file, line and column.
    """
    try:
        return json.loads(Path(path).read_bytes().decode("utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"{path}: {_reason(error)}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        reason = error.msg.removesuffix(" at")
        raise InputError(f"{path}: no JSON at {place}: {reason}; mend or replace the file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON: {error}; mend or replace the file") from None


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """A name for a value: 16 hexadecimal digits of the SHA-256 of its canonical JSON.

    The order of mappings does not count; tuples are lists. The same in every process and version.

    Raises:
        ValueError: a NaN or an infinity is in it.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint_file(path: str | Path) -> str:
    """A cheap mark of an input's contents, 16 hexadecimal digits: its size and 16 blocks of 4 KiB, or all."""
    size = os.stat(path).st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as stream:
        if size <= 16 * 4096:
            digest.update(stream.read())
            return digest.hexdigest()[:16]
        for index in range(16):
            stream.seek(max(0, size - 4096) * index // 15)
            digest.update(stream.read(4096))
    return digest.hexdigest()[:16]


def claim_folder(
    out: str | Path, *, kind: str, config: Mapping[str, Any], resume: bool = True, overwrite: bool = False
) -> Literal["new", "resumed", "complete"]:
    """Make `out` the folder of this job, and say what is in it already.

    "new": the folder is empty but for `job.json`. "resumed": an earlier run of the same kind and
    configuration left some of its files. "complete": it had finished, and there is nothing to do. What killed
    runs left half-written is removed. Fill the folder through `atomic_path`, and end with `finish_folder`.

    Args:
        out: the folder; made when it is missing.
        kind: what the folder will hold, such as `seqdecomp store`.
        config: all that the contents depend on, as JSON values.
        resume: go on with an unfinished folder, and accept a finished one.
        overwrite: start anew; what was there is deleted if it is a folder of this kind.

    Raises:
        InputError: the folder holds something else, another configuration (the differing fields are named),
            or earlier work that `resume` does not allow.
    """
    out, config = Path(out), _as_json(config)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder; choose another --out")
    _make_folder(out)
    found = _found(out)
    if found is None:
        _clean(out, only_dead=True)
        if any(not _TEMPORARY.fullmatch(entry.name) for entry in out.iterdir()):
            raise InputError(f"{out}: holds files of something else; choose an empty or new folder as --out")
        write_json(out / JOB, {"kind": kind, "config": config})
        return "new"
    if found["kind"] != kind:
        raise InputError(f"{out}: holds a {found['kind']}, not a {kind}; choose another --out")
    if overwrite or found.get("wiping"):
        _wipe(out, kind)
        write_json(out / JOB, {"kind": kind, "config": config})
        return "new"
    state: Literal["resumed", "complete"] = "complete" if (out / MANIFEST).exists() else "resumed"
    _check_same(out, found, config, state, resume)
    _clean(out, only_dead=True)
    if state == "complete":
        (out / JOB).unlink(missing_ok=True)
    return state


def finish_folder(out: str | Path, manifest: Mapping[str, Any]) -> None:
    """Write `manifest.json` as the folder's last file, and remove `job.json` and what was left half-written.

    `kind` and `config` are taken over from the claim.

    Raises:
        ValueError: the folder was not claimed, or `manifest` names another kind or configuration.
    """
    out = Path(out)
    if not (out / JOB).exists():
        raise ValueError(f"{out} was not claimed, or is finished already")
    job = read_json(out / JOB)
    value = _as_json(manifest)
    for field in ("kind", "config"):
        if value.setdefault(field, job[field]) != job[field]:
            raise ValueError(f"the manifest's {field} is not the one that {out} was claimed for")
    _clean(out, only_dead=False)
    write_json(out / MANIFEST, value)
    (out / JOB).unlink()
    _flush(out, os.O_RDONLY)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: cannot be made a folder ({reason}); choose another place") from None


def _found(out: Path) -> dict[str, Any] | None:
    """What the folder says of itself; None for one that says nothing."""
    for name in (JOB, MANIFEST):
        if (out / name).exists():
            value = read_json(out / name)
            if isinstance(value, dict) and isinstance(value.get("kind"), str) and "config" in value:
                return value
    return None


def _check_same(out: Path, found: Mapping[str, Any], config: Any, state: str, resume: bool) -> None:
    if found["config"] != config:
        differences = _differences(found["config"], config)
        raise InputError(
            f"{out}: was {'made' if state == 'complete' else 'begun'} with other settings ({differences}); "
            "choose another --out, or pass --overwrite"
        )
    if not resume:
        what = "a finished" if state == "complete" else "an unfinished"
        raise InputError(
            f"{out}: holds {what} {found['kind']}; drop --no-resume to keep it, or pass --overwrite"
        )


def _wipe(out: Path, kind: str) -> None:
    # The mark makes a wipe that is cut off go on at the next claim, whatever that one's settings are: the
    # files left are neither a whole folder nor the beginning of one.
    write_json(out / JOB, {"kind": kind, "config": None, "wiping": True})
    for entry in sorted(out.iterdir()):
        if entry.name == JOB:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _clean(out: Path, *, only_dead: bool) -> None:
    """Remove temporary files; `only_dead` spares those of processes that may still be writing them."""
    for path in out.rglob(".tmp-*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and path.is_file() and not (only_dead and _may_be_written(match)):
            path.unlink(missing_ok=True)


def _may_be_written(match: re.Match[str]) -> bool:
    machine, process = match[1], int(match[2])
    if machine != _machine():
        return True
    if process == os.getpid():
        return match[0] in _in_use
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _differences(there: Any, here: Any) -> str:
    old, new = dict(_leaves(there)), dict(_leaves(here))
    fields = [field for field in sorted(old.keys() | new.keys()) if old.get(field) != new.get(field)]
    shown = [
        f"{field} {old.get(field, 'absent')} there, {new.get(field, 'absent')} here"
        for field in fields[:SHOWN_DIFFERENCES]
    ]
    more = len(fields) - len(shown)
    return "; ".join(shown) + (f"; {more} more" if more else "")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value with its dotted name, such as `settings.min_length`."""
    children: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        children = [(f"{name}.{key}" if name else str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and any(isinstance(child, dict | list) for child in value):
        children = [(f"{name}[{index}]", child) for index, child in enumerate(value)]
    if not children:
        yield name, json.dumps(value, ensure_ascii=False)
    for child_name, child in children:
        yield from _leaves(child, child_name)


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value as it will be read back: tuples as lists, keys and paths as text."""
    plain = json.loads(json.dumps(dict(value), allow_nan=False, default=_plain))
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _flush(path: Path, flags: int) -> None:
    """Wait until the file's contents, or the folder's names, are on the disk."""
    handle = os.open(path, flags)
    try:
        # some network folders cannot be flushed; their files can
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(handle)
    finally:
        os.close(handle)


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file; check the path"
    return f"cannot be read: {error.strerror or error}"
