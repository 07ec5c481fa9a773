"""A whole training run from paths and settings: what the command `train` does."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from toolkit_shared.errors import InputError

from llm_compat.arms import Arm, arm_named
from llm_compat.data.teacher_cache import TeacherCache
from llm_compat.model.adapters import Student
from llm_compat.model.vocabulary import require_same_vocabulary, vocabulary_of
from llm_compat.settings.training import (
    AdapterSettings,
    ExampleSettings,
    ExecutionSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimizationSettings,
)
from llm_compat.training.caching import cache_fingerprint, cache_subject
from llm_compat.training.fit import TrainingReport, fit
from llm_compat.training.preparing import (
    RunRows,
    build_old_model,
    build_student,
    head_rows,
    read_rows,
    read_tokenizer,
    source_fingerprint,
    tokenizer_of,
    weights_dtype,
)
from llm_compat.training.teachers import CachedSource, LiveSource, TeacherSource


def train_compatibility_adapter(
    out: str | Path,
    *,
    data: Path,
    new: ModelSettings,
    old: ModelSettings | None = None,
    arm: str = "muscle",
    cache: Path | None = None,
    validation: Path | None = None,
    examples: ExampleSettings | None = None,
    adapter: AdapterSettings | None = None,
    objective: ObjectiveSettings | None = None,
    optimization: OptimizationSettings | None = None,
    execution: ExecutionSettings | None = None,
    device: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    seed: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> TrainingReport:
    """Train an adapter on the new model, from paths; `out/adapter` is then an ordinary PEFT adapter.

    Args:
        out: Folder of the run.
        data: Training examples: JSONL (plain, .gz, .zst) or parquet.
        new: The new task model, from whose adapter the student starts.
        old: The old task model; not needed with a cache, or by an arm that does not read it.
        arm: What is minimised; a name of `llm_compat.arms.ARMS`.
        cache: Folder of `cache_teachers`, in place of running the teachers.
        validation: Examples that the epoch is chosen by; None: a part of `data`.
        examples: How examples become rows.
        adapter: The adapter that is trained.
        objective: Temperature, lambda, chunk size.
        optimization: AdamW, schedule, batch and epochs.
        execution: Precision, how often to save.
        device: auto, cpu or cuda.
        devices: Number of devices.
        strategy: auto, or a name of Lightning's.
        seed: Of the split, the order of the rows and new parts of the adapter.
        resume: Go on with a run that was cut off.
        overwrite: Delete what an earlier run left in `out`.
        progress: Called with the number of steps done since the last call.

    Raises:
        InputError: something that is named cannot be had or does not fit; nothing is trained then.
    """
    examples, adapter = examples or ExampleSettings(), adapter or AdapterSettings()
    objective, execution = objective or ObjectiveSettings(), execution or ExecutionSettings()
    old = old or ModelSettings()
    chosen = arm_named(arm).adjusted(
        temperature=objective.temperature, distillation_weight=objective.distillation_weight
    )
    if chosen.needs_old and cache is None and old.model is None:
        raise InputError(
            f"old.model: arm '{arm}' reads the old model; give --old.model FOLDER, or --cache FOLDER"
        )
    dtype = weights_dtype(device, execution.precision)
    tokenizer = read_tokenizer(new)
    rows = read_rows(data, validation, tokenizer, examples, seed=seed)
    student = build_student(
        chosen, new, adapter, dtype=dtype, max_length=int(rows.all.lengths.max()), seed=seed
    )
    source, of = _source(chosen, old, new, cache, rows, student, tokenizer, dtype)
    return fit(
        student,
        source,
        chosen,
        rows,
        out,
        objective=objective,
        optimization=optimization,
        execution=execution,
        config={"teachers": of, "adapter": asdict(adapter), "examples": asdict(examples)},
        facts={"models": {"old": asdict(old), "new": asdict(new)}, "data": str(data)},
        device=device,
        devices=devices,
        strategy=strategy,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def _source(
    arm: Arm,
    old: ModelSettings,
    new: ModelSettings,
    cache: Path | None,
    rows: RunRows,
    student: Student,
    tokenizer: Any,
    dtype: torch.dtype,
) -> tuple[TeacherSource, dict[str, Any]]:
    """The teachers, and what identifies them in the manifest."""
    vocabulary = vocabulary_of(tokenizer, head_rows(student.model))
    subject = cache_subject(old, new, rows.all, vocabulary.fingerprint)
    if cache is not None:
        opened = TeacherCache(cache)
        names = [name for name, read in (("old", arm.needs_old), ("new", arm.needs_new)) if read]
        expected = {name: value for name, value in subject.items() if value is not None}
        opened.check_fits(expected, teachers=tuple(names))
        subject["old model"] = opened.manifest["config"]["of"]["old model"]
        return CachedSource(opened, rows.all), {**subject, "cache": cache_fingerprint(opened)}
    if not arm.needs_old:
        return LiveSource(None), {**subject, "old model": None}
    old_model = build_old_model(old, dtype=dtype)
    require_same_vocabulary(vocabulary_of(tokenizer_of(old), head_rows(old_model)), vocabulary)
    return LiveSource(old_model), {**subject, "old model": source_fingerprint(old)}
