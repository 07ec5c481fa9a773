"""The command that keeps what both teachers say of the training data."""

from pathlib import Path
from typing import Literal

from llm_compat.settings.training import (
    AdapterSettings,
    CachePrecision,
    ExampleSettings,
    ExecutionSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimizationSettings,
)


def cache(
    *,
    data: Path,
    out: Path,
    validation: Path | None = None,
    precision: CachePrecision = "auto",
    batch_size: int = 8,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    seed: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
    new: ModelSettings = ModelSettings(),
    old: ModelSettings = ModelSettings(),
    examples: ExampleSettings = ExampleSettings(),
    arm: str = "muscle",
    adapter: AdapterSettings = AdapterSettings(),
    objective: ObjectiveSettings = ObjectiveSettings(),
    optimization: OptimizationSettings = OptimizationSettings(),
    execution: ExecutionSettings = ExecutionSettings(),
) -> None:
    """Store what both teachers say of the training data, so that training needs neither.

    The final hidden states of both task models at every trained token, and their output heads. One cache
    serves every arm and every number of epochs; data, models, examples and seed must be those of the
    training. The file of llm-compat train does as --config: what only training reads is passed over.

    Args:
        data: Training examples, JSONL or parquet.
        out: Folder of the cache.
        validation: Validation examples; unset: a fifth of the data.
        precision: Of the states; auto is that of the models, which loses nothing.
        batch_size: Rows at a time.
        device: Where to run the models.
        seed: Of the validation split.
        resume: Go on with a cache that was cut off.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
        new: The new task model.
        old: The old task model.
        examples: How examples become rows of tokens.
        arm: Not read here.
        adapter: Not read here.
        objective: Not read here.
        optimization: Not read here.
        execution: Not read here.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.errors import require
    from toolkit_shared.progress import progress_bar

    for module in ("torch", "transformers", "peft"):
        require(module, toolkit="llm-compat", extra="train")
    from llm_compat.training.caching import cache_teachers

    with progress_bar(None, "cache", "rows") as progress:
        report = cache_teachers(
            out,
            data=data,
            old=old,
            new=new,
            examples=examples,
            validation=validation,
            precision=precision,
            batch_size=batch_size,
            device=device,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=lambda done, _: progress(done),
        )
    emit(asdict(report), report.to_text(), as_json=json)
