"""OpenLM trained on every arm of a seed in turn, by one compiled step; held-out pages predicted."""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from toolkit_shared.language_model.objectives import IGNORED, next_token_loss, weighted_loss
from toolkit_shared.language_model.weights import build_model
from toolkit_shared.optimization import cosine_schedule, parameter_groups
from torch import Tensor

from dclm_bench.experiment.token_arms import (
    HeldOutRows,
    TokenArms,
    Tokens,
    equal_rows,
    held_out_rows,
)

log = logging.getLogger(__name__)

# 50,257 ids of GPT-NeoX become the 50,432 rows of open_lm.
VOCABULARY_MULTIPLE = 256
PEAK_LR, FINAL_LR, WARM_UP = 3e-3, 3e-5, 0.1
WEIGHT_DECAY, CLIP, Z_LOSS = 0.033, 1.0, 1e-4


@dataclass(frozen=True)
class LadderModel:
    """A size of the model.

    Attributes:
        name: In results.
        width: Of the model.
        num_layers: Blocks.
        num_heads: Attention heads.
    """

    name: str
    width: int
    num_layers: int
    num_heads: int


MODELS = (LadderModel("11m", 96, 8, 4), LadderModel("79m", 512, 8, 8))


@dataclass(frozen=True)
class LadderBudget:
    """How much an arm is trained.

    Attributes:
        tokens: The most that an arm reads; less where it would read its documents more than four times.
        length: Tokens of a row.
        batch_size: Rows of a step. Small, for the budget is: four epochs of what the classifier keeps are
            some 180 steps of 2,048 tokens.
        evaluation_batch_size: Rows that are predicted at once.
    """

    tokens: int
    length: int = 256
    batch_size: int = 8
    evaluation_batch_size: int = 32


class LadderTrainer:
    """One model whose weights and optimizer are set back for each arm, so that it is compiled once.

    Args:
        size: Of the model.
        vocab_size: Ids of the tokenizer; rounded up to a multiple of 256.
        budget: Shapes.
        device: "cuda" (bfloat16 autocast, compiled, fused AdamW) or "cpu" (float32).

    Source: section 2.6 of the recipe: QK-norm, z-loss 1e-4, AdamW with betas 0.9 and 0.95 and decay of all
    weights, warm-up, cosine, clipping at 1.
    """

    def __init__(self, size: LadderModel, vocab_size: int, budget: LadderBudget, device: str) -> None:
        self.size, self.budget, self.device = size, budget, device
        self.arguments = {
            "vocab_size": VOCABULARY_MULTIPLE * -(-vocab_size // VOCABULARY_MULTIPLE),
            "width": size.width,
            "num_layers": size.num_layers,
            "num_heads": size.num_heads,
            "max_length": budget.length,
            "rope_base": 10_000.0,
        }
        self.on_gpu = device == "cuda"
        self.model = build_model(self.arguments, seed=0, low_precision_norm=True).to(device)
        self.initial = {0: self._snapshot()}
        self._loss_of = torch.compile(self._loss, dynamic=False) if self.on_gpu else self._loss

    def train(self, rows: Tokens, seed: int) -> float:
        """Train from the seed's initial weights on these rows in their order; the loss of the last step.

        Raises:
            ValueError: the loss is not finite at the end.
        """
        if seed not in self.initial:
            fresh = build_model(self.arguments, seed=seed, low_precision_norm=True)
            # only those of the seed at hand are kept
            self.initial = {seed: {n: w.to(self.device) for n, w in fresh.state_dict().items()}}
        self.model.load_state_dict(self.initial[seed])
        optimizer = torch.optim.AdamW(
            parameter_groups(self.model, WEIGHT_DECAY, decay_vectors=True),
            lr=PEAK_LR,
            betas=(0.9, 0.95),
            fused=self.on_gpu,
        )
        steps = len(rows) // self.budget.batch_size
        data = torch.from_numpy(rows[: steps * self.budget.batch_size].astype(np.int64)).to(self.device)
        data = data.view(steps, self.budget.batch_size, -1)
        inputs, targets = data[..., :-1].contiguous(), data[..., 1:].contiguous()
        loss = torch.zeros(())
        for step in range(steps):
            lr = cosine_schedule(
                step,
                warmup_steps=max(1, round(steps * WARM_UP)),
                total_steps=steps,
                lr=PEAK_LR,
                final_lr=FINAL_LR,
            )
            for group in optimizer.param_groups:
                group["lr"] = lr
            with self._autocast():
                loss = self._loss_of(inputs[step], targets[step])
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        last = float(loss.detach())
        if not math.isfinite(last):
            raise ValueError(f"model {self.size.name}, seed {seed}: the loss is {last} after {steps} steps")
        return last

    @torch.no_grad()
    def bits_per_byte(self, held_out: HeldOutRows) -> npt.NDArray[np.float64]:
        """Bits that the model needs for a byte of each held-out page, float64 [pages].

        Not compiled: it runs once an arm, and a second graph would cost more than it saves.
        """
        size = self.budget.evaluation_batch_size
        inputs = torch.from_numpy(held_out.inputs).to(self.device)
        targets = torch.from_numpy(held_out.targets).to(self.device)
        parts = []
        for start in range(0, len(inputs), size):
            with self._autocast():
                parts.append(self._nats(inputs[start : start + size], targets[start : start + size]))
        nats = torch.cat(parts).double().cpu().numpy()
        totals = np.zeros(len(held_out.pages))
        np.add.at(totals, held_out.owners, nats)
        return totals / math.log(2) / held_out.num_bytes

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        sums = next_token_loss(self.model(inputs), targets)
        return weighted_loss(sums, 1 / targets.numel(), z_loss_coefficient=Z_LOSS)

    def _nats(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Sum of -log p of the targets of each row, float32 [rows]."""
        logits = self.model(inputs).float()
        picked = logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        nats = torch.logsumexp(logits, -1) - picked
        return torch.where(targets == IGNORED, 0.0, nats).sum(-1)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.on_gpu)

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}


def run_arms(
    trainer: LadderTrainer, arms: TokenArms, plan: Mapping[str, Any], *, deadline: float = math.inf
) -> dict[str, Any] | None:
    """What a model found in a seed, as JSON values: by experiment and arm, the bits a byte of held-out pages.

    All arms start from the same weights; those of an experiment read as many tokens as each other.

    Args:
        trainer: The model.
        arms: The documents.
        plan: The seed's entry in the plan of `arms`.
        deadline: By `time.monotonic`; once it has passed no further arm is begun (None).

    Raises:
        InputError: an arm is too small for one step.
    """
    seed, budget = int(plan["seed"]), trainer.budget
    held_out = held_out_rows(
        arms, plan["held_out"], length=budget.length, batch_size=budget.evaluation_batch_size
    )
    experiments: dict[str, Any] = {}
    for name, chosen in plan["experiments"].items():
        equal = equal_rows(
            arms,
            chosen,
            seed=seed,
            length=budget.length,
            batch_size=budget.batch_size,
            max_tokens=budget.tokens,
        )
        entry: dict[str, Any] = {
            "tokens": len(next(iter(equal.rows.values()))) * budget.length,
            "epochs": equal.epochs,
            "pool_tokens": equal.pool_tokens,
            "pool_pages": {arm: len(indices) for arm, indices in chosen.items()},
            **{measured: {} for measured in ("bits", "loss", "seconds")},
        }
        for arm, rows in equal.rows.items():
            started = time.monotonic()
            if started > deadline:
                return None
            entry["loss"][arm] = trainer.train(rows, seed)
            bits = trainer.bits_per_byte(held_out)
            entry["bits"][arm] = _by_domain(held_out, bits)
            seconds = entry["seconds"][arm] = time.monotonic() - started
            log.info("%s, %d tokens: %.3f bits/byte", arm, entry["tokens"], float(bits.mean()))
            log.info("seed %d, %s: %s took %.1f s", seed, trainer.size.name, arm, seconds)
        experiments[name] = entry
    return {"model": trainer.size.name, "seed": seed, "experiments": experiments}


def _by_domain(held_out: HeldOutRows, bits: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (domain, page), value in zip(held_out.pages, bits.tolist(), strict=True):
        found.setdefault(domain, {})[page] = value
    return found
