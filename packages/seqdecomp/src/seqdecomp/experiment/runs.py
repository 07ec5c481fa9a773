"""One run: an arm of the experiment trained from a seed's weights, timed and validated along the way."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from toolkit_shared.evaluation.scorer import Scorer
from toolkit_shared.language_model import OpenLM
from toolkit_shared.language_model.objectives import next_token_loss, weighted_loss
from toolkit_shared.optimization import cosine_schedule, parameter_groups
from toolkit_shared.threads import one_thread
from torch import Tensor, nn

from seqdecomp.data.loading import Batch
from seqdecomp.evaluation.perplexity import evaluate_perplexity
from seqdecomp.experiment.batches import StepBatches
from seqdecomp.experiment.configuration import ArmSettings, ExperimentSettings
from seqdecomp.experiment.documents import TokenizedCorpus, training_store, validation_documents

# Parts of the run after which the validation loss is told; most of the fall towards the end of the cosine is
# near the end, and there the curves cross.
CURVE_FRACTIONS = (0.25, 0.5, 0.625, 0.75, 0.8125, 0.875, 0.9375, 1.0)
ATTENTION = {"row": "auto", "masked": "masked", "per-document": "auto"}
SPIKE_NATS = 0.5


def run_arm(
    arm: ArmSettings,
    seed: int,
    corpus: TokenizedCorpus,
    settings: ExperimentSettings,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Train one arm and tell everything that the experiment wants to know of it, as plain values.

    `seconds` counts the training steps alone (CPU time of this process, or the clock on CUDA): forward,
    backward, clipping and update. Reading of tokens and validation lie outside of it, as do two steps on a
    copy of the model that warm up allocator and kernels.

    Args:
        arm: The arm.
        seed: Chooses documents, weights and order; equal over arms.
        corpus: The tokenised documents.
        settings: Sizes; `device` "cpu" runs on one thread.
        progress: Called with the number of steps done since the last call.
    """
    store = training_store(corpus, settings, seed)
    batches = StepBatches(store, arm, settings, seed)
    model = make_model(arm, corpus.vocab_size, settings, seed)
    optimizer = torch.optim.AdamW(parameter_groups(model, settings.weight_decay), betas=(0.9, 0.95))
    documents = validation_documents(corpus, settings.max_length, settings.validation_tokens)
    curve_documents = validation_documents(corpus, settings.max_length, settings.curve_tokens)
    marks = {max(1, round(fraction * settings.steps)) for fraction in CURVE_FRACTIONS}
    step_seconds: list[float] = []
    losses: list[float] = []
    curve: list[list[float]] = []
    with one_thread(settings.device):
        _warm_up(arm, corpus.vocab_size, settings, batches)
        clock = _clock(settings.device)
        for step in range(settings.steps):
            batch = to_device(batches[step], settings.device)
            started = clock()
            losses.append(float(train_step(model, optimizer, batch, step, settings)))
            step_seconds.append(clock() - started)
            if step + 1 in marks:
                loss = validate(model, curve_documents, settings)["loss"]
                curve.append([step + 1, sum(step_seconds), loss])
            if progress is not None:
                progress(1)
        validation = validate(model, documents, settings)
    return {
        "arm": arm.name,
        "seed": seed,
        "seconds": sum(step_seconds),
        "tokens": batches.tokens,
        "losses": losses,
        "spikes": count_spikes(losses, batches.lengths()),
        "curve": curve,
        "validation": validation,
        "coverage": batches.coverage(),
        "attended_length": batches.attended_length,
        "environment": {
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "load": os.getloadavg()[0],
        },
    }


def make_model(arm: ArmSettings, vocab_size: int, settings: ExperimentSettings, seed: int) -> OpenLM:
    """The model of a seed: the same weights for every arm, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = OpenLM(
            vocab_size=vocab_size,
            width=settings.width,
            num_layers=settings.num_layers,
            num_heads=settings.num_heads,
            max_length=settings.max_length,
            rope_base=settings.rope_base,
            attention=ATTENTION[arm.attention],  # type: ignore[arg-type]
        )
    return model.to(settings.device)


def train_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, step: int, settings: ExperimentSettings
) -> Tensor:
    """One optimizer step; the mean cross-entropy of the batch before it, in nats a token."""
    for group in optimizer.param_groups:
        group["lr"] = cosine_schedule(
            step,
            warmup_steps=settings.warmup_steps,
            total_steps=settings.steps,
            lr=settings.lr,
            final_lr=settings.final_lr,
        )
    with torch.autocast(settings.device, torch.bfloat16, enabled=settings.device == "cuda"):
        logits = model(batch["input_ids"], batch.get("document_ids"))
    sums = next_token_loss(logits, batch["targets"])
    optimizer.zero_grad(set_to_none=True)
    weighted_loss(sums, batch["weight"], z_loss_coefficient=settings.z_loss).backward()  # type: ignore[no-untyped-call]
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    optimizer.step()
    return (sums.cross_entropy / sums.predicted).detach()


def validate(
    model: OpenLM, documents: Sequence[npt.NDArray[np.integer]], settings: ExperimentSettings
) -> dict[str, Any]:
    """Loss of the documents in nats a token, each read alone from position 0; over all and by band.

    `documents` are token ids, [tokens] each. The fields are those of `PerplexityResult.document`.
    """
    model.eval()
    scorer = Scorer(
        model=model,
        max_length=settings.max_length,
        device=settings.device,
        precision="bfloat16" if settings.device == "cuda" else "float32",
        batch_tokens=8192,  # a batch's logits stay within the cache's reach: twice as fast as 16,384 here
    )
    result = evaluate_perplexity(scorer, documents).document()
    model.train()
    return result


def to_device(batch: Batch, device: str) -> Batch:
    """The batch with its tensors on a device."""
    moved = {name: part.to(device) if isinstance(part, Tensor) else part for name, part in batch.items()}
    return moved  # type: ignore[return-value]


def count_spikes(losses: Sequence[float], lengths: Sequence[int]) -> int:
    """Steps whose training loss is more than 0.5 above the lowest one until then of the same length.

    Lengths are told apart because a short sequence is harder to predict than a long one, however stable the
    training: a change of length alone would count as a spike.

    Args:
        losses: Training loss of each step, nats a token.
        lengths: Sequence length of each step.

    Source: the stability demonstration of appendix E of arXiv 2405.13226 is a plot; this count is ours.
    """
    lowest: dict[int, float] = {}
    spikes = 0
    for loss, length in zip(losses, lengths, strict=True):
        spikes += loss > lowest.get(length, loss) + SPIKE_NATS
        lowest[length] = min(loss, lowest.get(length, loss))
    return spikes


def _clock(device: str) -> Callable[[], float]:
    if device == "cpu":
        return time.process_time

    def synchronized() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronized


def _warm_up(arm: ArmSettings, vocab_size: int, settings: ExperimentSettings, batches: StepBatches) -> None:
    """Two steps on a model of its own, with the longest and the shortest rows."""
    model = make_model(arm, vocab_size, settings, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    for step in batches.longest_and_shortest():
        train_step(model, optimizer, to_device(batches[step], settings.device), 0, settings)
