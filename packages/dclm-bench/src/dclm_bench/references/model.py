"""The model reference: which model was trained on which dataset, how, and where its weights lie."""

import dataclasses
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import write_json

from dclm_bench.references.fields import creation_date, from_fields, new_uuid, read_object

VOCABULARY = 50_432
NORM = "gain_only_lp_layer_norm"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """How a model was trained, under the official names.

    Attributes:
        model: Path or name of the open_lm configuration.
        tokens: Token budget, after the multiplier.
        warmup: Steps of linear warm-up.
        lr: Highest learning rate.
        wd: Weight decay.
        cd: Learning rate at the end of the cosine ("cool-down").
        global_bs: Sequences of an optimizer step.
        acc: Micro-batches of each device in a step.
        qk_norm: Whether queries and keys are normalised.
        z_loss: Coefficient of the z-loss.
        grad_checkpointing: Whether activations were computed again.
        params: Official number of parameters, without the gains of QK-norm.
        params_no_embed: The same without one embedding.
        fsdp_flags: Of open_lm.
        chinchilla_multiplier: Token budget as a multiple of the scale's.
        seed: Of the run.
        vocab_size: Rows of the embedding.
        norm: Name of the norm in open_lm.
    """

    model: str
    tokens: int
    warmup: int
    lr: float
    wd: float
    cd: float
    global_bs: int
    acc: int
    qk_norm: bool
    z_loss: float
    grad_checkpointing: bool
    params: int
    params_no_embed: int
    fsdp_flags: list[str]
    # 1 and 1.0 are written differently in names, so what was given stays
    chinchilla_multiplier: int | float
    seed: int = 124
    vocab_size: int = VOCABULARY
    norm: str = NORM


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelReference:
    """A model in the form of the leaderboard's `exp_data/models`.

    Attributes:
        name: See `friendly_name`.
        dataset_name: Name of the dataset's reference.
        dataset_uuid: UUID of the dataset's reference.
        hyperparameters: How it was trained.
        checkpoint_url: Of the weights.
        open_lm_version: Of the trainer.
        open_lm_args: Its arguments.
        results: Metrics that the trainer evaluated.
        params_url: Of the record of all settings.
        uuid: Of this model.
        creation_date: As `2024_02_12-08_45_03`.
        failed: Whether the run ended with an error.
        error: The error.

    Source: section 4 of the specification; `training/model_reference.py` of the official code.
    """

    name: str
    dataset_name: str
    dataset_uuid: str
    hyperparameters: Hyperparameters
    checkpoint_url: str
    open_lm_version: str
    open_lm_args: list[str]
    results: list[Any]
    params_url: str
    uuid: str = dataclasses.field(default_factory=new_uuid)
    creation_date: str = dataclasses.field(default_factory=creation_date)
    failed: bool = False
    error: str = ""

    @classmethod
    def read(cls, path: str | Path) -> "ModelReference":
        """The reference of a file.

        Raises:
            InputError: no such file, or a field is missing, unknown or of another type.
        """
        read = from_fields(cls, read_object(path, "model"), str(path))
        held: Any = read.hyperparameters
        parameters = from_fields(Hyperparameters, held, f"{path}: hyperparameters")
        return dataclasses.replace(read, hyperparameters=parameters)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_json(path, self.to_json())


def friendly_name(data_name: str, parameters: Hyperparameters, *, suffix: str = "") -> str:
    """The official name of a model: dataset, architecture and settings, with "." as "p" and "/" as "-".

    `vocab` and `norm` are named where they are not the usual ones.

    Source: `Hyperparameters.get_friendly_name` of the official code.
    """
    model = parameters.model.rpartition("/")[2].partition(".")[0]
    settings = {
        "warm": parameters.warmup,
        "lr": parameters.lr,
        "wd": parameters.wd,
        "cd": parameters.cd,
        "bs": parameters.global_bs,
        "mult": parameters.chinchilla_multiplier,
        "seed": parameters.seed,
        "tokens": parameters.tokens,
    }
    if parameters.norm != NORM:
        settings["norm"] = parameters.norm  # type: ignore[assignment]
    if parameters.vocab_size != VOCABULARY:
        settings["vocab"] = parameters.vocab_size
    written = (f"{name}={str(value).replace('.', 'p').replace('/', '-')}" for name, value in settings.items())
    return "-".join([data_name, model, *written]) + suffix
