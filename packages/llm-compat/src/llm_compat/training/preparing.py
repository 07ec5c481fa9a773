"""From paths to the parts of a run: rows, student, teachers, and fingerprints of all that they came from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from toolkit_shared.artifacts import fingerprint, sha256_file
from toolkit_shared.errors import InputError

from llm_compat.arms import Arm
from llm_compat.data.examples import ExampleCounts, split_rows, tokenize_examples
from llm_compat.data.token_rows import TokenRows
from llm_compat.model.adapters import Student, student_from_adapter, student_from_base
from llm_compat.model.loading import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    attach_adapter,
    load_causal_lm,
    load_tokenizer,
)
from llm_compat.settings.training import AdapterSettings, ExampleSettings, ModelSettings


@dataclass(frozen=True)
class RunRows:
    """The rows of a run.

    Attributes:
        training: Rows that are trained on.
        validation: Rows that the epoch is chosen by.
        counts: What became of the records, by "training" (both, when one file is split) and "validation".
    """

    training: TokenRows
    validation: TokenRows
    counts: Mapping[str, ExampleCounts]

    @property
    def all(self) -> TokenRows:
        """Training rows, and after them validation rows: what a cache of teachers holds."""
        parts = (self.training, self.validation)
        return TokenRows.from_rows(part.row(index) for part in parts for index in range(len(part)))


def read_rows(
    data: Path, validation: Path | None, tokenizer: Any, examples: ExampleSettings, *, seed: int
) -> RunRows:
    """The rows of the files, with a part of `data` split off when there is no validation file.

    Raises:
        InputError: a file cannot be read, or gives too few rows.
    """
    options = {
        "loss_on": examples.loss_on,
        "max_length": examples.max_length,
        "too_long": examples.too_long,
        "strict": examples.strict,
        "limit": examples.limit,
    }
    rows, counts = tokenize_examples(data, tokenizer, **options)  # type: ignore[arg-type]
    if validation is None:
        training, held_out = split_rows(rows, validation_fraction=examples.validation_fraction, seed=seed)
        return RunRows(training, held_out, {"training": counts})
    held_out, held_out_counts = tokenize_examples(validation, tokenizer, **options)  # type: ignore[arg-type]
    return RunRows(rows, held_out, {"training": counts, "validation": held_out_counts})


def read_tokenizer(new: ModelSettings) -> Any:
    """The tokenizer of the new model.

    Raises:
        InputError: no new model is named, or it has no tokenizer.
    """
    if new.model is None:
        raise InputError("new.model: no new model is named; give --new.model FOLDER")
    return tokenizer_of(new)


def tokenizer_of(settings: ModelSettings) -> Any:
    """The tokenizer beside a model that is named.

    Raises:
        InputError: it has none.
    """
    assert settings.model is not None
    return load_tokenizer(settings.model)


def build_student(
    arm: Arm, new: ModelSettings, adapter: AdapterSettings, *, dtype: torch.dtype, max_length: int, seed: int
) -> Student:
    """The student on the new base, as the arm lets it start.

    Raises:
        InputError: the model or its adapter cannot be loaded, or the settings do not go with them.
    """
    assert new.model is not None
    if arm.starts_from == "fresh" and new.adapter is not None:
        raise InputError(f"new.adapter: arm '{arm.name}' starts from a fresh adapter; leave it out")
    copies = new.adapter is not None
    if copies:
        given = [name for name in ("alpha", "dropout", "targets") if getattr(adapter, name)]
        if given:
            raise InputError(
                f"adapter.{given[0]}: the adapter starts as a copy of {new.adapter} and keeps its own; "
                "leave it out"
            )
    base = load_causal_lm(new.model, dtype=dtype)
    _check_length(base, max_length, new.model)
    if new.adapter is not None:
        return student_from_adapter(base, new.adapter, rank=adapter.rank, seed=seed)
    return student_from_base(
        base,
        rank=128 if adapter.rank is None else adapter.rank,
        alpha=adapter.alpha,
        dropout=adapter.dropout,
        targets=list(adapter.targets) or "all-linear",
        seed=seed,
    )


def build_old_model(old: ModelSettings, *, dtype: torch.dtype) -> Any:
    """The old task model, frozen and in eval mode.

    Raises:
        InputError: no old model is named, or it cannot be loaded.
    """
    if old.model is None:
        raise InputError("old.model: no old model is named; give --old.model FOLDER, or --cache FOLDER")
    model = load_causal_lm(old.model, dtype=dtype)
    return model if old.adapter is None else attach_adapter(model, old.adapter)


def head_rows(model: Any) -> int:
    """Rows of a model's output head."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return int(inner.get_output_embeddings().weight.shape[0])


def source_fingerprint(settings: ModelSettings) -> str | None:
    """A name for exactly these weights and this adapter; None when no model is named.

    For a folder it is made of the bytes of its weights and configurations; for a name on the Hub, of the
    name.
    """
    if settings.model is None:
        return None
    parts: list[str | None] = []
    for path, files in ((settings.model, ("config.json",)), (settings.adapter, (ADAPTER_CONFIG,))):
        if path is None:
            parts.append(None)
            continue
        folder = Path(path)
        if not folder.is_dir():
            parts.append(f"hub {path}")
            continue
        weights = sorted(file.name for file in folder.glob("*.safetensors") if file.name != ADAPTER_WEIGHTS)
        names = [*files, *(weights if path is settings.model else [ADAPTER_WEIGHTS])]
        digest = hashlib.sha256()
        for name in names:
            if (folder / name).is_file():
                digest.update(f"{name} {sha256_file(folder / name)}\n".encode())
        parts.append(digest.hexdigest())
    return fingerprint(parts)


def weights_dtype(device: str, precision: str) -> torch.dtype:
    """bfloat16 where a run is on CUDA with automatic precision, else float32."""
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return torch.bfloat16 if cuda and precision != "32-true" else torch.float32


def _check_length(model: Any, max_length: int, path: str) -> None:
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(limit, int) and 0 < limit < max_length:
        raise InputError(
            f"examples.max_length: {max_length:,} is above the {limit:,} positions of {path}; lower it"
        )
