"""The old and the new task model of a seed: what every arm starts from and learns from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError
from torch import nn

from llm_compat.arms import ARMS
from llm_compat.data.token_rows import TokenRows
from llm_compat.experiment.configuration import ExperimentSettings, Scenario
from llm_compat.experiment.fitting import Training, fit, order_of
from llm_compat.experiment.models import add_adapter, make_base
from llm_compat.experiment.task import Task

# The two bases of a seed differ by this number in what is drawn.
NUM_MODELS = 2


@dataclass(frozen=True)
class Pair:
    """Both task models; PEFT models whose bases are frozen.

    Attributes:
        v1: The old one.
        v2: The new one, whose training is the update without mitigation.
    """

    v1: Any
    v2: Any


def make_pair(
    task: Task, scenario: Scenario, seed: int, settings: ExperimentSettings
) -> tuple[Pair, dict[str, Training]]:
    """Both task models, trained from nothing, and how their adapters' trainings went.

    Each base is pretrained as a language model on labelled requests, so that it knows the answers' tokens;
    then an adapter is trained on the updated data. The two differ by their seed, and by the scenario.
    """
    models, trainings = [], {}
    for index, name in enumerate(("v1", "v2")):
        ratio, version = _base_of(scenario, name)
        own = NUM_MODELS * seed + index
        base = make_base(task, ratio, settings, own)
        base.to(settings.device)  # type: ignore[arg-type]
        pretrain(base, task, version, settings, own)
        model = add_adapter(base, settings, own).to(settings.device)
        trainings[name] = train_task(model, task, settings, own, epochs=settings.epochs)
        models.append(model)
    return Pair(*models), trainings


def pretrain(base: nn.Module, task: Task, version: str, settings: ExperimentSettings, seed: int) -> Training:
    """Train a base on all tokens of the labelled requests of one version, answers included."""
    return fit(
        base,
        task.encode(version, "train", "all"),
        task.encode(version, "dev", "all"),
        ARMS["task"],
        settings,
        epochs=settings.pretrain_epochs,
        lr=settings.pretrain_lr,
        order=order_of(seed, "pretraining"),
    )


def train_task(
    model: nn.Module, task: Task, settings: ExperimentSettings, seed: int, *, epochs: int
) -> Training:
    """Train a task adapter on the updated requests, by plain cross-entropy."""
    train, dev = training_parts(task, settings)
    order = order_of(seed, "task adapter")
    return fit(model, train, dev, ARMS["task"], settings, epochs=epochs, lr=settings.lr, order=order)


def training_parts(task: Task, settings: ExperimentSettings) -> tuple[TokenRows, TokenRows]:
    """Training and validation rows of the updated data; the test part is not in reach of a training."""
    return task.encode("updated", "train", settings.loss_on), task.encode("updated", "dev", settings.loss_on)


def copy_of(model: Any, task: Task, settings: ExperimentSettings) -> Any:
    """A new trainable model with the weights of a task model: where compatibility arms start."""
    width_ratio = model.get_base_model().config.hidden_size / settings.width
    twin = add_adapter(make_base(task, width_ratio, settings, 0), settings, 0).to(settings.device)
    twin.load_state_dict(model.state_dict())
    return twin


def fresh_adapter(model: Any, task: Task, settings: ExperimentSettings, seed: int) -> Any:
    """The base of a task model under a new adapter of this seed, which changes nothing yet."""
    twin = copy_of(model, task, settings)
    blank = add_adapter(
        make_base(task, twin.get_base_model().config.hidden_size / settings.width, settings, 0),
        settings,
        seed,
    )
    adapter = {name: value for name, value in blank.state_dict().items() if "lora_" in name}
    twin.load_state_dict(adapter, strict=False)
    return twin


def save_pair(pair: Pair, path: Path) -> None:
    """Write both models' weights as one safetensors file, whole or not at all."""
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name, model in (("v1", pair.v1), ("v2", pair.v2))
        for key, value in model.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def load_pair(path: Path, task: Task, scenario: Scenario, settings: ExperimentSettings) -> Pair:
    """The models that `save_pair` wrote, frozen.

    Raises:
        InputError: the file is not of this task, scenario and size.
    """
    tensors = load_file(path)
    models = []
    for name in ("v1", "v2"):
        model = add_adapter(make_base(task, _base_of(scenario, name)[0], settings, 0), settings, 0)
        own = {
            key.removeprefix(f"{name}."): value
            for key, value in tensors.items()
            if key.startswith(f"{name}.")
        }
        try:
            model.load_state_dict(own)
        except RuntimeError:
            raise InputError(f"{path}: holds models of another task or size; remove the file") from None
        models.append(model.to(settings.device).eval())
    for model in models:
        model.requires_grad_(False)
    return Pair(*models)


def _base_of(scenario: Scenario, name: str) -> tuple[float, str]:
    if name == "v1":
        return scenario.v1_width_ratio, "old"
    return scenario.v2_width_ratio, scenario.v2_pretrained_on
