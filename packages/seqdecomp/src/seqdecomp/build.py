"""From text or token files to a store: tokens, document boundaries and the index of buckets; resumable."""

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import atomic_path, claim_folder, fingerprint_file
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards

from seqdecomp.data.encoding import describe_tokenizer, require_documents, require_tokenizer
from seqdecomp.data.formats.detect import Inputs, find_inputs, is_store
from seqdecomp.data.formats.open import plan_units, store_dtype
from seqdecomp.data.store import Store
from seqdecomp.data.store_manifest import STORE_KIND
from seqdecomp.data.tokenizer import Tokenizer, load_tokenizer
from seqdecomp.data.unit_writer import UnitTask, write_unit
from seqdecomp.indexing import BuildReport, finish_store, remove_leftovers
from seqdecomp.settings import DecompositionSettings, ReadSettings

log = logging.getLogger(__name__)


def build_store(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    settings: DecompositionSettings | None = None,
    read: ReadSettings | None = None,
    sources: Mapping[str, str | Path] | None = None,
    workers: int = 1,
    engine: str = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BuildReport:
    """Build a store in the folder `out`, or go on with a build that was cut off; the same for any `workers`.

    Args:
        inputs: Files, folders or globs, each a source of its own; or one finished store, to index it anew.
        out: The folder to write.
        tokenizer: What `load_tokenizer` takes, or a loaded tokenizer; needed where an input holds text.
        settings: How documents are cut.
        read: How the input is read.
        sources: Further inputs, by the name of their source.
        workers: Processes.
        engine: "local" (process pool) or "ray".
        resume: Go on with an unfinished build of the same configuration.
        overwrite: Replace a store of another configuration.
        strict: Stop at the first corrupt record; otherwise it is counted and skipped.
        progress: Called with the number of work units done since the last call.

    Raises:
        InputError: an input, the tokenizer or the folder is unusable.
    """
    settings, read = settings or DecompositionSettings(), read or ReadSettings()
    out = Path(out)
    if any(is_store(Path(item)) for item in inputs):
        return reindex_store(inputs, out, settings=settings, resume=resume, overwrite=overwrite)
    found = find_inputs(inputs, format=read.format, sources=sources)
    loaded = load_tokenizer(tokenizer, eos=read.eos) if isinstance(tokenizer, str | Path) else tokenizer
    require_tokenizer(found.files, loaded)
    described = describe_tokenizer(loaded, read)
    config = _configuration(found, settings, read, described)
    if claim_folder(out, kind=STORE_KIND, config=config, resume=resume, overwrite=overwrite) == "complete":
        remove_leftovers(out)
        report = BuildReport.from_store(Store.open(out))
        _stop_at_skipped(report.examples, strict)
        return report
    places: dict[str, Any] = {"workers": workers, "engine": engine, "progress": progress}
    try:
        markers = write_tokens(found, out, loaded, described, read, strict=strict, **places)
        _stop_at_skipped([example for marker in markers for example in marker["examples"]], strict)
    except InputError:
        if not any((out / "units").glob("*.json")):
            _give_up(out)
        raise
    try:
        skipped = [(e["place"], e["reason"]) for marker in markers for e in marker["examples"]]
        require_documents(sum(marker["file"]["documents"] for marker in markers), found.files, skipped)
    except InputError:
        _give_up(out)
        raise
    return finish_store(out, markers, config, sources=found.sources, tokenizer=described, settings=settings)


def write_tokens(
    found: Inputs,
    out: Path,
    tokenizer: Tokenizer | None,
    described: Mapping[str, Any],
    read: ReadSettings,
    *,
    workers: int = 1,
    engine: str = "local",
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Tokenise all units that are not done yet; the markers of all units in order.

    Each unit gives the files tokens/N.bin and documents/N.npy and, last, the marker units/N.json.
    """
    for name in ("tokens", "documents", "buckets", "units"):
        (out / name).mkdir(exist_ok=True)
    spec = None
    if tokenizer is not None:
        text = tokenizer.to_json()
        spec = "bytes" if text is None else str(out / "tokenizer.json")
        if text is not None:
            with atomic_path(out / "tokenizer.json") as temporary:
                temporary.write_text(text, encoding="utf-8")
    units = plan_units(found.files, read)
    tasks = [
        UnitTask(
            index=index,
            unit=unit,
            out=str(out),
            tokenizer=spec,
            eos_text=tokenizer.eos_text if tokenizer is not None else "",
            eos_id=described["eos_id"],
            vocab_size=described["vocab_size"],
            dtype=store_dtype(read.dtype, described["vocab_size"]),
            read=read,
            strict=strict,
            in_worker=workers > 1 or engine != "local",
        )
        for index, unit in enumerate(units)
    ]
    done = sum((out / f"units/{task.index:05d}.json").exists() for task in tasks)
    if done:
        log.info("resumed with %d of %d units done", done, len(tasks))
    return list(map_shards(write_unit, tasks, workers=workers, engine=engine, progress=progress))


def reindex_store(
    inputs: Sequence[str | Path],
    out: Path,
    *,
    settings: DecompositionSettings,
    resume: bool = True,
    overwrite: bool = False,
) -> BuildReport:
    """A store with other decomposition settings over the token files of an existing one.

    Raises:
        InputError: more than one input is given, or the existing store is not finished.
    """
    if len(inputs) != 1:
        raise InputError(f"{inputs[0]}: a store is indexed anew only by itself; give it as the only input")
    old = Store.open(inputs[0])
    assert old.path is not None
    config = {"store": old.fingerprint, "settings": asdict(settings)}
    if claim_folder(out, kind=STORE_KIND, config=config, resume=resume, overwrite=overwrite) == "complete":
        remove_leftovers(out)
        return BuildReport.from_store(Store.open(out))
    for name in ("tokens", "documents", "buckets"):
        (out / name).mkdir(exist_ok=True)
    if (old.path / "tokenizer.json").exists():
        _copy(old.path / "tokenizer.json", out / "tokenizer.json")
    markers: list[dict[str, Any]] = []
    nothing = {"documents_without_eos": 0, "skipped_records": 0, "empty_documents": 0, "examples": []}
    for file, entry in zip(old.files, old.manifest["files"], strict=True):
        assert file.path is not None
        assert file.boundaries_path is not None
        _copy(file.boundaries_path, out / entry["documents_path"])
        path = file.path.resolve()
        relative = Path(os.path.relpath(path, out)).as_posix()
        markers.append(
            nothing | {"file": entry | {"path": str(path), "relative_path": relative, "referenced": True}}
        )
    if markers:
        skipped = old.manifest["skipped"]
        markers[0] |= {
            "documents_without_eos": old.manifest["counts"]["documents_without_eos"],
            "skipped_records": skipped["records"],
            "empty_documents": skipped["empty_documents"],
            "examples": skipped["examples"],
        }
    return finish_store(
        out, markers, config, sources=old.sources, tokenizer=old.manifest["tokenizer"], settings=settings
    )


def _configuration(
    found: Inputs, settings: DecompositionSettings, read: ReadSettings, described: Mapping[str, Any]
) -> dict[str, Any]:
    """All that a store depends on; a build goes on only where the same was begun."""
    inputs = [
        [item.name, Path(item.path).stat().st_size, fingerprint_file(item.path), item.format, item.source]
        for item in found.files
    ]
    return {
        "inputs": inputs,
        "sources": list(found.sources),
        "settings": asdict(settings),
        "read": asdict(read),
        "tokenizer": dict(described),
    }


def _stop_at_skipped(examples: Sequence[Mapping[str, str]], strict: bool) -> None:
    """Refuse, under `strict`, corrupt records that an earlier run without it left out."""
    if strict and examples:
        raise InputError(
            f"{examples[0]['place']}: {examples[0]['reason']}; mend the record or leave out --strict"
        )


def _give_up(out: Path) -> None:
    """Free a folder whose build gave nothing, so that the mended command may take it."""
    for name in ("tokens", "documents", "buckets", "units"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ("tokenizer.json", "job.json"):
        (out / name).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
