"""Filling a cache with the final hidden states of both teachers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from toolkit_shared.artifacts import sha256_file
from toolkit_shared.errors import InputError

from llm_compat.data.teacher_cache import TEACHERS, TeacherCache, Words, fill_cache
from llm_compat.data.token_rows import TokenRows
from llm_compat.model.head import head_of
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.model.vocabulary import require_same_vocabulary, vocabulary_of
from llm_compat.model.words import words_of, write_head
from llm_compat.settings.training import CachePrecision, ExampleSettings, ModelSettings
from llm_compat.training.batches import collate
from llm_compat.training.preparing import (
    build_old_model,
    head_rows,
    read_rows,
    read_tokenizer,
    source_fingerprint,
    tokenizer_of,
    weights_dtype,
)

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


@dataclass(frozen=True, kw_only=True)
class CachingReport:
    """What a cache holds.

    Attributes:
        out: Its folder.
        rows: Rows of tokens, of training and validation.
        tokens: Trained tokens in them, whose states are kept.
        precision: Of the states.
        bytes: Size of all its files.
    """

    out: Path
    rows: int
    tokens: int
    precision: str
    bytes: int

    def to_text(self) -> str:
        """Two lines for a reader."""
        return (
            f"{self.out}: {self.tokens:,} tokens of {self.rows:,} rows under both teachers, "
            f"{self.precision}, {self.bytes / 1e6:,.1f} MB\n"
            f"train on it with: llm-compat train --cache {self.out} ..."
        )


def cache_teachers(
    out: str | Path,
    *,
    data: Path,
    old: ModelSettings,
    new: ModelSettings,
    examples: ExampleSettings,
    validation: Path | None = None,
    precision: CachePrecision = "auto",
    batch_size: int = 8,
    device: str = "auto",
    seed: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CachingReport:
    """Run the old and the new task model over the training data, one after the other in each batch.

    Args:
        out: Folder of the cache.
        data: Training examples, as for training.
        old: The old task model.
        new: The new task model.
        examples: How examples become rows; the same as for training.
        validation: Validation examples; None: a part of `data`.
        precision: Of the states; auto is that of the models, so that nothing is lost.
        batch_size: Rows at a time.
        device: auto, cpu or cuda.
        seed: Of the validation split; the same as for training.
        resume: Go on with a cache that was cut off.
        overwrite: Start anew.
        progress: Called with (rows done since the last call, rows of all).

    Raises:
        InputError: something that is named cannot be had, or the models have different vocabularies.
    """
    if batch_size < 1:
        raise InputError(f"batch_size: {batch_size} is not positive")
    dtype = weights_dtype(device, "auto")
    kind = _NAMES[dtype] if precision == "auto" else precision
    tokenizer = read_tokenizer(new)
    run = read_rows(data, validation, tokenizer, examples, seed=seed)
    rows = run.all
    models = {"old": build_old_model(old, dtype=dtype), "new": build_old_model(new, dtype=dtype)}
    vocabularies = [
        vocabulary_of(tokenizer_of(settings), head_rows(models[name]))
        for name, settings in (("old", old), ("new", new))
    ]
    require_same_vocabulary(*vocabularies)
    place = torch.device("cuda" if dtype == torch.bfloat16 else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: no CUDA device can be used here; give cpu or auto")
    heads = {name: head_of(model.to(place)) for name, model in models.items()}
    cache = fill_cache(
        out,
        rows,
        {name: _words_under(models[name], kind, place) for name in TEACHERS},
        widths={name: heads[name].width for name in TEACHERS},
        precision=kind,  # type: ignore[arg-type]
        of=cache_subject(old, new, rows, vocabularies[1].fingerprint),
        write_heads=lambda path, name: write_head(heads[name], path),
        batch_size=batch_size,
        resume=resume,
        overwrite=overwrite,
        progress=None if progress is None else lambda number: progress(number, len(rows)),
    )
    size = sum(path.stat().st_size for path in cache.folder.iterdir())
    return CachingReport(
        out=cache.folder, rows=len(rows), tokens=rows.trained_tokens, precision=kind, bytes=size
    )


def cache_subject(old: ModelSettings, new: ModelSettings, rows: TokenRows, vocabulary: str) -> dict[str, Any]:
    """What a cache is of: fingerprints of models with adapters, of the rows and of the vocabulary."""
    return {
        "old model": source_fingerprint(old),
        "new model": source_fingerprint(new),
        "data": rows.fingerprint,
        "vocabulary": vocabulary,
    }


def cache_fingerprint(cache: TeacherCache) -> str:
    """SHA-256 of a cache's manifest, which holds the hashes of its files."""
    return sha256_file(cache.folder / "manifest.json")


def _words_under(model: Any, precision: str, device: torch.device) -> Callable[[TokenRows, list[int]], Words]:
    autocast = device.type == "cuda"

    def words(rows: TokenRows, taken: list[int]) -> Words:
        batch = collate(rows, taken).to(device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            return words_of(final_hidden_states(model, batch.input_ids)[batch.trained], precision)

    return words
