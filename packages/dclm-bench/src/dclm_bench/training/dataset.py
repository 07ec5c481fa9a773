"""The tokenised dataset of a run: its shards, what its manifest tells, and how it is called."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import fingerprint, read_json, sha256_file
from toolkit_shared.errors import InputError

from dclm_bench.references import DatasetReference
from dclm_bench.scales import VOCABULARY
from dclm_bench.tokenization.dataset import REFERENCE
from dclm_bench.tokenization.shards import MANIFEST_LINES, Shard, context_length_of, read_manifest

# What shards hold whose folder says nothing of it: those of the official tools.
OFFICIAL_END_OF_TEXT, OFFICIAL_PAD = 0, 50_256

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Shards of contexts, ready to be trained on.

    Attributes:
        path: The folder.
        shards: Its shards.
        reference: What it is called; made up from the folder's name where it has no reference.
        context_length: Tokens of a context.
        vocab_size: Ids that may occur.
        eot_id: End of text.
        pad_id: Fill.
        tokens: Real tokens; None where the folder does not tell.
        fingerprint: Of the manifest.
    """

    path: Path
    shards: tuple[Shard, ...]
    reference: DatasetReference
    context_length: int
    vocab_size: int
    eot_id: int
    pad_id: int
    tokens: int | None
    fingerprint: str

    @property
    def num_contexts(self) -> int:
        """Contexts in all shards."""
        return sum(shard.num_sequences for shard in self.shards)

    @classmethod
    def open(cls, path: str | Path) -> "TrainingData":
        """The dataset of a folder of `dclm-bench tokenize` or `mix`, of a manifest, or of a reference.

        Raises:
            InputError: there is none, or a shard is missing.
        """
        path = Path(path)
        if path.suffix == ".json" and path.is_file():
            url = DatasetReference.read(path).manifest_url
            if "://" in url:
                raise InputError(
                    f"{path}: its manifest is at {url}; download the shards and give their folder"
                )
            path = Path(url)
        shards = read_manifest(path)
        folder = path if path.is_dir() else path.parent
        held = read_json(folder / "manifest.json") if (folder / "manifest.json").is_file() else {}
        config = held.get("config", {}) if isinstance(held, dict) else {}
        facts: dict[str, Any]
        try:
            facts = {
                "context_length": int(config["context_length"]),
                "vocab_size": int(config["tokenizer"]["vocab_size"]),
                "eot_id": int(config["eot_id"]),
                "pad_id": int(config["pad_id"]),
                "tokens": int(held["counts"]["tokens"]),
            }
        except (KeyError, TypeError, ValueError):
            log.info("%s: no manifest.json of dclm-bench, so the ids of GPT-NeoX are taken", folder)
            facts = {
                "context_length": context_length_of(shards),
                "vocab_size": VOCABULARY,
                "eot_id": OFFICIAL_END_OF_TEXT,
                "pad_id": OFFICIAL_PAD,
                "tokens": None,
            }
        mark = sha256_file(path if path.is_file() else path / MANIFEST_LINES)
        if isinstance(held.get("fingerprint"), str):
            mark = fingerprint([mark, held["fingerprint"]])
        return cls(
            path=folder,
            shards=tuple(shards),
            reference=_reference(folder, shards, facts),
            fingerprint=mark,
            **facts,
        )


def _reference(folder: Path, shards: Sequence[Shard], facts: dict[str, Any]) -> DatasetReference:
    if (folder / REFERENCE).is_file():
        return DatasetReference.read(folder / REFERENCE)
    contexts = sum(shard.num_sequences for shard in shards)
    return DatasetReference(
        name=folder.resolve().name,
        dataset_url=f"{folder.resolve()}/",
        manifest_url=str(folder.resolve() / MANIFEST_LINES),
        sources=[],
        tokenized=True,
        num_tokens=contexts * facts["context_length"],
        size=sum(shard.path.stat().st_size for shard in shards),
    )
