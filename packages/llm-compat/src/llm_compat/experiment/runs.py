"""One run: an arm trained from the new task model of a seed, and its answers to the test part."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from llm_compat.arms import Arm, arm_named
from llm_compat.evaluation.choices import label_log_probabilities
from llm_compat.evaluation.ensemble import average_log_probabilities
from llm_compat.experiment.configuration import ENSEMBLE, LONGER, V1, V2, ExperimentSettings, Scenario
from llm_compat.experiment.fitting import Training, fit, order_of
from llm_compat.experiment.measures import measure, pack_answers
from llm_compat.experiment.models import plain_head
from llm_compat.experiment.pairs import Pair, copy_of, fresh_adapter, make_pair, train_task, training_parts
from llm_compat.experiment.task import NUM_MARKS, Task
from llm_compat.experiment.teachers import RememberedTeachers, all_states
from llm_compat.heads import Heads

Answers = npt.NDArray[np.int64]
LONGER_FACTOR = 2
Run = dict[str, Any]


def run_pair(
    task: Task, scenario: Scenario, seed: int, settings: ExperimentSettings
) -> tuple[Pair, dict[str, Run]]:
    """Both task models of a seed, and their runs: v1 and v2, the update without mitigation."""
    started = time.process_time()
    pair, trainings = make_pair(task, scenario, seed, settings)
    seconds = (time.process_time() - started) / 2
    old = answer(pair.v1, task, settings)
    runs = {
        name: _run(scenario, name, seed, task, old, answers, trainings[name], seconds)
        for name, answers in ((V1, old), (V2, answer(pair.v2, task, settings)))
    }
    return pair, runs


def run_arm(
    arm: str, task: Task, scenario: Scenario, seed: int, pair: Pair, settings: ExperimentSettings
) -> tuple[Run, nn.Module | None]:
    """Train one arm and tell all that the experiment wants to know of it; with its model, where it has one.

    `seconds` is the CPU time of training and teachers, evaluation left out.

    Args:
        arm: "ensemble", "ce", or an arm of `llm_compat.arms`, trained from v2's adapter.
        task: The data.
        scenario: Of the pair.
        seed: Of the pair; the order of a compatibility arm depends on it, and is the same for all arms.
        pair: Both task models; they are not changed.
        settings: Sizes.
    """
    old = answer(pair.v1, task, settings)
    started = time.process_time()
    if arm == ENSEMBLE:
        answers = average_log_probabilities(
            label_scores(pair.v1, task, settings), label_scores(pair.v2, task, settings)
        ).argmax(dim=1)
        seconds = time.process_time() - started
        return _run(scenario, arm, seed, task, old, answers.cpu().numpy(), Training(), seconds), None
    if arm == LONGER:
        model = fresh_adapter(pair.v2, task, settings, seed)
        training = train_task(model, task, settings, 2 * seed + 1, epochs=LONGER_FACTOR * settings.epochs)
    else:
        model = copy_of(pair.v2, task, settings)
        training = train_compatibility(model, arm_named(arm), task, seed, pair, settings)
    seconds = time.process_time() - started
    answers_of_model = answer(model, task, settings)
    return _run(scenario, arm, seed, task, old, answers_of_model, training, seconds), model


def train_compatibility(
    model: nn.Module, arm: Arm, task: Task, seed: int, pair: Pair, settings: ExperimentSettings
) -> Training:
    """Train a copy of v2 with the loss of an arm; the teachers' hidden states are computed once."""
    train, dev = training_parts(task, settings)
    old = all_states(pair.v1, train, settings.device) if arm.needs_old else None
    new = all_states(pair.v2, train, settings.device) if arm.needs_new else None
    return fit(
        model,
        train,
        dev,
        arm,
        settings,
        epochs=settings.epochs,
        lr=settings.lr,
        order=order_of(seed, "compatibility adapter"),
        teachers=RememberedTeachers(train, old=old, new=new),
        heads=Heads(plain_head(model), plain_head(pair.v1), plain_head(pair.v2)),
    )


def label_scores(model: nn.Module, task: Task, settings: ExperimentSettings) -> Tensor:
    """Log-probabilities of every intent for every test request, [requests, intents], float32, no gradient."""
    states = all_states(model, task.encode("updated", "test"), settings.device)
    labels = torch.arange(NUM_MARKS, NUM_MARKS + len(task.labels), device=settings.device)
    return label_log_probabilities(plain_head(model).logits(states), labels)


def answer(model: nn.Module, task: Task, settings: ExperimentSettings) -> Answers:
    """The likeliest intent of every test request, int64 [requests]."""
    return label_scores(model, task, settings).argmax(dim=1).cpu().numpy()


def _run(
    scenario: Scenario,
    arm: str,
    seed: int,
    task: Task,
    old: Answers,
    answers: Answers,
    training: Training,
    seconds: float,
) -> Run:
    rates: Sequence[float] = training.mask_rates
    return {
        "scenario": scenario.name,
        "arm": arm,
        "seed": seed,
        "metrics": measure(old, answers, task.test.labels),
        "answers": pack_answers(answers),
        "items": len(answers),
        "mask_rates": list(rates),
        "losses": training.losses,
        "validation_losses": training.validation_losses,
        "kept_epoch": training.kept_epoch,
        "steps": training.steps,
        "seconds": seconds,
    }
