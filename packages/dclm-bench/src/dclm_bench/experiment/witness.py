"""The second witness: a small transformer on the bytes that the n-gram model had."""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from toolkit_shared.language_model.objectives import next_token_loss, weighted_loss
from toolkit_shared.language_model.openlm import OpenLM
from toolkit_shared.randomness import stream

from dclm_bench.experiment.arms import Arms, extraction_arms, language_arms, require_text
from dclm_bench.experiment.byte_ngrams import SEPARATOR
from dclm_bench.experiment.configuration import ALL_TEXT, ENGLISH, MAIN, ExperimentSettings
from dclm_bench.experiment.runs import training_texts
from dclm_bench.experiment.splits import draw_split
from dclm_bench.experiment.texts import PageTexts

ROW = 256
BATCH_SIZE = 8
WIDTH, NUM_LAYERS, NUM_HEADS = 64, 2, 4
PEAK_LR, WARM_UP, Z_LOSS = 3e-3, 0.1, 1e-4
EVALUATED_AT_ONCE = 64


def run_witness(texts: Sequence[PageTexts], number: int, settings: ExperimentSettings) -> dict[str, Any]:
    """What the transformer says of extraction and language in a split, in the form of `run_split`.

    All arms of a split start from the same weights and read the same number of bytes.

    Raises:
        InputError: there are too few articles, or held-out text is in an arm.
    """
    started = time.process_time()
    split = draw_split(texts, number, settings)
    compared: dict[str, tuple[Arms, tuple[str, str], int]] = {
        "extraction": (extraction_arms(split), (ALL_TEXT, MAIN), settings.extraction_bytes)
    }
    if any(page.source == "page" for page in split.pool):
        compared["language"] = (language_arms(split), (MAIN, ENGLISH), settings.budget_bytes)
    experiments: dict[str, Any] = {}
    for name, (arms, chosen, budget) in compared.items():
        problem = require_text(arms)
        if problem:
            experiments[name] = {"skipped": problem}
            continue
        budgeted = training_texts(split, arms, budget)
        bits = {}
        for arm in chosen:
            model = train_transformer(budgeted.texts[arm], seed=number, steps=settings.witness_steps)
            values = transformer_bits(
                model, [text.encode("utf-8", "replace") for text in split.gold.values()]
            )
            bits[arm] = dict(zip(split.gold, values, strict=True))
        experiments[name] = {
            "num_bytes": budgeted.num_bytes,
            "num_pages": budgeted.num_pages,
            "read_bytes": settings.witness_steps * BATCH_SIZE * ROW,
            "bits": bits,
        }
    return {"split": number, "experiments": experiments, "seconds": time.process_time() - started}


def train_transformer(text: bytes, *, seed: int, steps: int) -> OpenLM:
    """A byte-level OpenLM after so many steps on random rows of the text; weights and rows come from `seed`.

    Source: section 2.6 of the recipe in small: AdamW with betas 0.9 and 0.95, decay of all weights, warm-up,
    cosine, clipping at 1, z-loss 1e-4.
    """
    data = torch.from_numpy(np.frombuffer(SEPARATOR + text, np.uint8).astype(np.int64))
    if len(data) <= ROW + 1:
        data = data.repeat(math.ceil((ROW + 2) / len(data)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = OpenLM(
            vocab_size=256, width=WIDTH, num_layers=NUM_LAYERS, num_heads=NUM_HEADS, max_length=ROW
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, betas=(0.9, 0.95), weight_decay=0.033)
    warm = max(1, round(steps * WARM_UP))
    rng = stream(seed, "transformer rows")
    for step in range(steps):
        scale = min(
            (step + 1) / warm, 0.5 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm)))
        )
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * scale
        starts = rng.integers(len(data) - ROW - 1, size=BATCH_SIZE)
        rows = torch.stack([data[start : start + ROW + 1] for start in starts.tolist()])
        sums = next_token_loss(model(rows[:, :-1]), rows[:, 1:])
        loss = weighted_loss(sums, 1 / rows[:, 1:].numel(), z_loss_coefficient=Z_LOSS)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@torch.no_grad()
def transformer_bits(model: OpenLM, texts: Sequence[bytes]) -> list[float]:
    """Mean bits for a byte of each text; it is read in rows of 256 bytes that do not know of one another."""
    rows, owners = [], []
    for index, text in enumerate(texts):
        data = np.frombuffer(SEPARATOR[-1:] + text, np.uint8)
        for start in range(0, len(text), ROW):
            rows.append(data[start : start + ROW + 1])
            owners.append(index)
    totals = np.zeros(len(texts))
    for start in range(0, len(rows), EVALUATED_AT_ONCE):
        part = rows[start : start + EVALUATED_AT_ONCE]
        inputs = torch.zeros(len(part), ROW, dtype=torch.long)
        targets = torch.full((len(part), ROW), -100)
        for place, row in enumerate(part):
            inputs[place, : len(row) - 1] = torch.from_numpy(row[:-1].astype(np.int64))
            targets[place, : len(row) - 1] = torch.from_numpy(row[1:].astype(np.int64))
        losses = torch.nn.functional.cross_entropy(
            model(inputs).transpose(1, 2).float(), targets, ignore_index=-100, reduction="none"
        ).sum(dim=1)
        np.add.at(totals, owners[start : start + len(part)], losses.double().numpy())
    return [float(total) / math.log(2) / max(1, len(text)) for total, text in zip(totals, texts, strict=True)]
