"""Mixtures: a new tokenised dataset out of several, each with its share of the tokens or of the documents.

The mixing arm replaces the Common Crawl part of RedPajama by another set: give that set under the name of the
part, and keep the weights (recipe `mix-redpajama`).
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import claim_folder, fingerprint, finish_folder, read_json, sha256_file
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.randomness import stream

import dclm_bench
from dclm_bench.mixing.shares import By, contexts_to_draw, draw_contexts, mixture_shares
from dclm_bench.references import DatasetReference
from dclm_bench.tokenization.dataset import REFERENCE
from dclm_bench.tokenization.shards import (
    MANIFEST_LINES,
    SHARD_CONTEXTS,
    Shard,
    member_names,
    read_manifest,
    read_offsets,
    shard_name,
    write_manifest,
    write_shard,
)

KIND = "dclm-bench mixture"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A tokenised dataset that takes part in a mixture.

    Attributes:
        name: In the mixture.
        path: Its folder.
        shards: Its shards.
        documents: Pages in it.
        tokens: Real tokens in it.
        config: What its manifest says of tokenizer and context length.
        fingerprint: Of its shards.
        uuid: Of its reference.
    """

    name: str
    path: Path
    shards: tuple[Shard, ...]
    documents: int
    tokens: int
    config: Mapping[str, Any]
    fingerprint: str
    uuid: str

    @property
    def num_contexts(self) -> int:
        """Contexts in all shards."""
        return sum(shard.num_sequences for shard in self.shards)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureReport:
    """What a mixture was made of.

    Attributes:
        out: Its folder.
        status: "new", "resumed", or "complete" when there was nothing left to do.
        contexts: In all.
        tokens: Real tokens, about: a source's are shared out evenly over its contexts.
        sources: For each source its weight, contexts, share of the contexts and epochs.
    """

    out: Path
    status: str
    contexts: int
    tokens: int
    sources: dict[str, dict[str, float]]

    def to_text(self) -> str:
        """A line for the mixture and one for each source."""
        lines = [f"{self.out}: {self.contexts:,} contexts, about {self.tokens:,} tokens"]
        for name, source in self.sources.items():
            lines.append(
                f"{name}: {source['contexts']:,} contexts, share {source['share']:.4f}, "
                f"{source['epochs']:.3f} epochs"
            )
        return "\n".join(lines)


def mix_datasets(
    sources: Mapping[str, str | Path],
    weights: Mapping[str, float],
    out: str | Path,
    *,
    by: By = "tokens",
    tokens: int | None = None,
    repeat: bool = False,
    shard_contexts: int = SHARD_CONTEXTS,
    seed: int = 0,
    name: str = "",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> MixtureReport:
    """Write a mixture of tokenised datasets, shuffled, into the folder `out`.

    It has the layout of a tokenised dataset, so it can be trained on or mixed again; the contexts themselves
    are copied byte by byte. The order of all contexts is one random permutation, held in memory (8 bytes a
    context).

    Args:
        sources: Name to folder.
        weights: Name to weight, for the same names.
        out: The folder.
        by: What the weights are shares of.
        tokens: Size of the mixture; None: the largest in which nothing is repeated.
        repeat: Whether a source may be seen more than once.
        shard_contexts: Contexts of a shard.
        seed: Of what is drawn, and of the order.
        name: Of the mixture in its reference; empty: the folder's.
        workers: Processes; the mixture is the same for any number.
        engine: Where they run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        progress: Called with 1 for each shard that is done.

    Raises:
        InputError: the sources do not fit each other or their weights, one is too small without `repeat`, or
            the folder holds something else.

    Source: section 2.4 of the specification, mixing arm.
    """
    out = Path(out)
    _same_names(sources, weights)
    opened = [_open_source(name_, Path(path)) for name_, path in sources.items()]
    _same_tokens(opened)
    shares = mixture_shares(
        {source.name: weights[source.name] for source in opened},
        by=by,
        tokens={source.name: source.tokens for source in opened},
        documents={source.name: source.documents for source in opened},
    )
    available = {source.name: source.num_contexts for source in opened}
    length = opened[0].config["context_length"]
    drawn = contexts_to_draw(shares, available, num_contexts=None if tokens is None else tokens // length)
    _check_drawn(drawn, available, repeat)
    config = {
        **opened[0].config,
        "sources": [{"name": source.name, "fingerprint": source.fingerprint} for source in opened],
        "drawn": drawn,
        "by": by,
        "weights": {source.name: weights[source.name] for source in opened},
        "shard_contexts": shard_contexts,
        "seed": seed,
    }
    status = claim_folder(out, kind=KIND, config=config, resume=resume, overwrite=overwrite)
    if status != "complete":
        num_contexts = sum(drawn.values())
        write = partial(
            _write_shard,
            folder=out,
            mixture=_Mixture(tuple(opened), tuple(drawn.values()), seed),
            shard_contexts=shard_contexts,
        )
        shards = range(-(-num_contexts // shard_contexts))
        sizes = list(map_shards(write, shards, workers=workers, engine=engine, progress=progress))
        _finish(out, config, opened, drawn, sizes, name or out.resolve().name)
    manifest = read_json(out / "manifest.json")
    counts = manifest["counts"]
    return MixtureReport(
        out=out,
        status=status,
        contexts=counts["contexts"],
        tokens=counts["tokens"],
        sources=manifest["mixture"],
    )


@dataclasses.dataclass(frozen=True)
class _Mixture:
    """What a worker needs to look up the contexts of a shard."""

    sources: tuple[Source, ...]
    drawn: tuple[int, ...]
    seed: int

    def __hash__(self) -> int:
        return hash((self.drawn, self.seed, *(source.fingerprint for source in self.sources)))


@lru_cache(maxsize=1)
def _order_of(mixture: _Mixture) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Source and context number of every position of the mixture."""
    source = np.repeat(np.arange(len(mixture.drawn)), mixture.drawn)
    context = np.concatenate(
        [
            draw_contexts(one.num_contexts, drawn, seed=mixture.seed, source=one.name)
            for one, drawn in zip(mixture.sources, mixture.drawn, strict=True)
        ]
    )
    order = stream(mixture.seed, "mixing: order").permutation(len(source))
    return source[order], context[order]


@lru_cache(maxsize=4096)
def _offsets(path: Path) -> npt.NDArray[np.int64]:
    return read_offsets(path)


def _write_shard(shard: int, *, folder: Path, mixture: _Mixture, shard_contexts: int) -> tuple[int, int]:
    """Write one shard unless it is there; its number of contexts and its bytes."""
    path = folder / shard_name(shard)
    sources, contexts = (
        part[shard * shard_contexts : (shard + 1) * shard_contexts] for part in _order_of(mixture)
    )
    if not path.exists():
        packed: list[bytes] = [b""] * len(sources)
        for number, source in enumerate(mixture.sources):
            starts = np.cumsum([0, *(one.num_sequences for one in source.shards)])
            mine = np.flatnonzero(sources == number)
            held_in = np.searchsorted(starts, contexts[mine], side="right") - 1
            for index in np.unique(held_in):
                places = mine[held_in == index]
                rows = contexts[places] - starts[index]
                _read_into(packed, places, source.shards[int(index)], rows)
        names = member_names(len(packed), seed=mixture.seed, shard=shard)
        write_shard(path, zip(names, packed, strict=True))
    return len(sources), path.stat().st_size


def _read_into(
    packed: list[bytes], places: npt.NDArray[np.int64], shard: Shard, rows: npt.NDArray[np.int64]
) -> None:
    offsets = _offsets(shard.path)
    if len(offsets) != shard.num_sequences:
        raise InputError(
            f"{shard.path}: holds {len(offsets)} contexts and the manifest says {shard.num_sequences}; "
            "tokenise anew"
        )
    with open(shard.path, "rb") as file:
        for place, row in sorted(zip(places.tolist(), rows.tolist(), strict=True), key=lambda pair: pair[1]):
            offset, size = offsets[row].tolist()
            file.seek(offset)
            packed[place] = file.read(size)


def _same_names(sources: Mapping[str, Any], weights: Mapping[str, float]) -> None:
    if not sources:
        raise InputError("--source: none is given; name at least one as --source.NAME FOLDER")
    if missing := [name for name in weights if name not in sources]:
        raise InputError(
            f"--source: '{missing[0]}' has a weight and no folder; add --source.{missing[0]} FOLDER, or "
            "leave its weight out"
        )
    if missing := [name for name in sources if name not in weights]:
        raise InputError(f"--weight.{missing[0]}: is missing; give the source a weight")


def _open_source(name: str, path: Path) -> Source:
    shards = read_manifest(path)
    manifest = read_json(path / "manifest.json")
    try:
        config = {key: manifest["config"][key] for key in ("tokenizer", "eot_id", "pad_id", "context_length")}
        documents, tokens = int(manifest["counts"]["documents"]), int(manifest["counts"]["tokens"])
        mark = str(manifest["fingerprint"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: manifest.json is none of a tokenised dataset; tokenise the pages"
        ) from None
    reference = path / REFERENCE
    uuid = DatasetReference.read(reference).uuid if reference.is_file() else ""
    return Source(
        name=name,
        path=path,
        shards=tuple(shards),
        documents=documents,
        tokens=tokens,
        config=config,
        fingerprint=mark,
        uuid=uuid,
    )


def _same_tokens(sources: Sequence[Source]) -> None:
    first = sources[0]
    for source in sources[1:]:
        for key, value in first.config.items():
            if source.config[key] != value:
                raise InputError(
                    f"{source.path}: {key} is {source.config[key]}, and {value} in {first.path}; "
                    "tokenise both alike"
                )


def _check_drawn(drawn: Mapping[str, int], available: Mapping[str, int], repeat: bool) -> None:
    if not sum(drawn.values()):
        raise InputError("--tokens: less than one context; raise it")
    for name, number in drawn.items():
        if number > available[name] and not repeat:
            raise InputError(
                f"--source {name}: has {available[name]:,} contexts and the mixture needs {number:,} "
                f"({number / available[name]:.2f} epochs); pass --repeat, or lower --tokens"
            )


def _finish(
    out: Path,
    config: Mapping[str, Any],
    sources: Sequence[Source],
    drawn: Mapping[str, int],
    sizes: Sequence[tuple[int, int]],
    name: str,
) -> None:
    total = sum(drawn.values())
    parts = {source.name: drawn[source.name] / source.num_contexts for source in sources}
    tokens = round(sum(parts[source.name] * source.tokens for source in sources))
    lines = [(shard_name(index), count) for index, (count, _) in enumerate(sizes)]
    write_manifest(out, lines)
    mixture = {
        source.name: {
            "weight": config["weights"][source.name],
            "contexts": drawn[source.name],
            "share": drawn[source.name] / total,
            "epochs": parts[source.name],
        }
        for source in sources
    }
    for source in sources:
        log.info("%s: %.3f epochs", source.name, parts[source.name])
    DatasetReference(
        name=name,
        dataset_url=f"{out.resolve()}/",
        manifest_url=str(out.resolve() / MANIFEST_LINES),
        sources=[{"uuid": source.uuid, "name": source.name} for source in sources],
        tokenized=True,
        num_tokens=tokens,
        size=sum(size for _, size in sizes),
        tokenizer=config["tokenizer"]["name"],
        sampling_yaml={name: part["share"] for name, part in mixture.items()},
    ).write(out / REFERENCE)
    shards = {line: sha256_file(out / line) for line, _ in lines}
    manifest = {
        "schema": 1,
        "toolkit_version": dclm_bench.__version__,
        "kind": KIND,
        "config": dict(config),
        "mixture": mixture,
        "counts": {
            "documents": round(sum(parts[source.name] * source.documents for source in sources)),
            "tokens": tokens,
            "contexts": total,
            "shards": len(sizes),
        },
        "shards": shards,
        "fingerprint": fingerprint(shards),
    }
    finish_folder(out, manifest)
