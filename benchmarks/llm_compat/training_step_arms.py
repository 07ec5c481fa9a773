"""The arms of the training-step questions: three models with full logits, and ours, live and from a cache.

All arms train the same adapter (a copy of the new task adapter) on the same batches with AdamW and the
loss of `muscle`; what differs is what is kept in memory and computed. The plain arm is what a loop around
transformers and PEFT does: three whole models, three tensors of full logits, `torch.nn.functional.kl_div`.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from llm_compat.arms import arm_named
from llm_compat.data.teacher_cache import Precision, TeacherCache, fill_cache
from llm_compat.data.token_rows import TokenRows
from llm_compat.model.adapters import Student, save_adapter, student_from_adapter, student_from_base
from llm_compat.model.head import head_of
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.model.loading import attach_adapter
from llm_compat.model.words import words_of, write_head
from llm_compat.objectives.fused import CHUNK_TOKENS
from llm_compat.training.batches import Batch, collate
from llm_compat.training.loop import step_loss
from llm_compat.training.teachers import CachedSource, LiveSource, TeacherSource
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig

PLAIN = "three PEFT models, full logits"
LIVE, CACHED = "two adapters on one base, fused", "cached teachers, fused"
TEMPERATURE = 2.0


@dataclass(frozen=True)
class Sizes:
    """Sizes of the models, the adapters and a batch; Llama, LoRA on all linear layers but the head."""

    width: int
    layers: int
    heads: int
    vocabulary: int
    rank: int
    rows: int
    length: int
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    chunk_tokens: int = CHUNK_TOKENS

    @property
    def tokens(self) -> int:
        """Positions of a step."""
        return self.rows * self.length

    def describe(self) -> str:
        """One phrase for the note of a result."""
        kind = str(self.dtype).removeprefix("torch.")
        return (
            f"Llama width {self.width}, {self.layers} layers, vocabulary {self.vocabulary}, "
            f"LoRA rank {self.rank}; {self.rows} x {self.length} tokens a step, {kind}"
        )


def make_base(sizes: Sizes, seed: int) -> Any:
    """A random model, frozen."""
    config = LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        intermediate_size=sizes.width * 11 // 4,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        max_position_embeddings=sizes.length,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.05)
    return model.requires_grad_(False).eval().to(sizes.device, sizes.dtype)


def make_files(folder: Path, sizes: Sizes, steps: int) -> TokenRows:
    """Write the two task adapters and a cache of both teachers; the rows of all steps."""
    for name, seed in (("old", 1), ("new", 2)):
        adapted = student_from_base(make_base(sizes, seed), rank=sizes.rank, seed=seed)
        with torch.no_grad():
            for parameter in adapted.parameters:
                parameter.add_(0.02 * torch.randn_like(parameter))
        save_adapter(adapted.model, folder / name)
    random = np.random.default_rng(0)
    trained = np.arange(sizes.length) < sizes.length - 1
    shape = (steps * sizes.rows, sizes.length)
    rows = TokenRows.from_rows(
        (row, trained) for row in random.integers(sizes.vocabulary, size=shape).astype(np.int32)
    )
    models = {"old": attach_adapter(make_base(sizes, 1), folder / "old")}
    models["new"] = attach_adapter(make_base(sizes, 2), folder / "new")
    precision: Precision = "float32" if sizes.dtype == torch.float32 else "bfloat16"

    def words(model: Any) -> Callable[[TokenRows, list[int]], Any]:
        def run(rows: TokenRows, taken: list[int]) -> Any:
            batch = collate(rows, taken).to(sizes.device)
            with torch.no_grad():
                return words_of(final_hidden_states(model, batch.input_ids)[batch.trained], precision)

        return run

    fill_cache(
        folder / "cache",
        rows,
        {name: words(model) for name, model in models.items()},
        widths={name: sizes.width for name in models},
        precision=precision,
        of={},
        write_heads=lambda path, name: write_head(head_of(models[name]), path),
        batch_size=sizes.rows,
    )
    return rows


class FusedSteps:
    """Ours: the student on the new base, and the teachers of a source."""

    def __init__(self, folder: Path, rows: TokenRows, sizes: Sizes, *, cached: bool) -> None:
        self.rows, self.sizes, self.arm = rows, sizes, arm_named("muscle")
        self.student: Student = student_from_adapter(make_base(sizes, 2), folder / "new")
        source: TeacherSource = CachedSource(TeacherCache(folder / "cache"), rows)
        if not cached:
            source = LiveSource(attach_adapter(make_base(sizes, 1), folder / "old"))
        self.teachers, self.heads = source.open(self.student, self.arm, torch.device(sizes.device))
        self.optimizer = torch.optim.AdamW(self.student.parameters, lr=1e-4, weight_decay=0)
        self.losses: list[float] = []

    def step(self) -> float:
        """One optimizer step on the next batch; its tokens."""
        batch = batch_of(self.rows, self.sizes, len(self.losses))
        loss = step_loss(
            self.student.model,
            batch,
            arm=self.arm,
            heads=self.heads,
            teachers=self.teachers,
            chunk_tokens=self.sizes.chunk_tokens,
        ).loss
        advance(self.optimizer, loss)
        self.losses.append(loss.item())
        return float(self.sizes.tokens)


class PlainSteps:
    """The peer's way: three models, and the loss as one writes it down from the paper."""

    def __init__(self, folder: Path, rows: TokenRows, sizes: Sizes) -> None:
        self.rows, self.sizes = rows, sizes
        self.old = attach_adapter(make_base(sizes, 1), folder / "old")
        self.new = attach_adapter(make_base(sizes, 2), folder / "new")
        self.student = attach_adapter(make_base(sizes, 2), folder / "new")
        for name, parameter in self.student.named_parameters():
            parameter.requires_grad_("lora_" in name)
        trained = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0)
        self.losses: list[float] = []

    def step(self) -> float:
        """One optimizer step on the next batch; its tokens."""
        input_ids = batch_of(self.rows, self.sizes, len(self.losses)).input_ids
        targets = input_ids[:, 1:]
        with torch.no_grad():
            old, new = (model(input_ids, use_cache=False).logits[:, :-1] for model in (self.old, self.new))
        student = self.student(input_ids, use_cache=False).logits[:, :-1]
        wrong = student.argmax(-1) != targets
        loss = torch.where(wrong, kl(student, old), kl(student, new)).mean()
        advance(self.optimizer, loss)
        self.losses.append(loss.item())
        return float(self.sizes.tokens)


def kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of each token."""
    return F.kl_div(
        F.log_softmax(student.float() / TEMPERATURE, dim=-1),
        F.log_softmax(teacher.float() / TEMPERATURE, dim=-1),
        log_target=True,
        reduction="none",
    ).sum(-1)


def batch_of(rows: TokenRows, sizes: Sizes, step: int) -> Batch:
    """The batch of a step; after the last the first comes again."""
    first = step * sizes.rows % len(rows)
    return collate(rows, range(first, first + sizes.rows)).to(sizes.device)


def advance(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Backward pass and optimizer step."""
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def build(name: str, folder: Path, rows: TokenRows, sizes: Sizes) -> "FusedSteps | PlainSteps":
    """The arm of that name."""
    return (
        PlainSteps(folder, rows, sizes)
        if name == PLAIN
        else FusedSteps(folder, rows, sizes, cached=name == CACHED)
    )


def check_parity(arms: "dict[str, FusedSteps | PlainSteps]", tolerance: float) -> None:
    """Make sure that all arms had the same losses, step by step."""
    expected = torch.tensor(arms[PLAIN].losses)
    for name, arm in arms.items():
        losses = torch.tensor(arm.losses)
        assert torch.allclose(losses, expected, rtol=tolerance), f"{name}: {losses} against {expected}"


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for adapters and cache."""
    return tempfile.TemporaryDirectory(prefix="training-step-")
