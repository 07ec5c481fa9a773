"""A run in the official terms: its hyperparameters, and the arguments for open_lm to do the same."""

from toolkit_shared.language_model import OpenLM

from dclm_bench.references import Hyperparameters
from dclm_bench.scales import Scale
from dclm_bench.training.dataset import TrainingData


def hyperparameters(scale: Scale, model: OpenLM, *, accumulation: int) -> Hyperparameters:
    """The settings of a run under the official names."""
    vocab_size = model.config["vocab_size"]
    params = scale.num_parameters(qk_norm=False, vocab_size=vocab_size)
    return Hyperparameters(
        model=scale.model,
        tokens=scale.budget_tokens(),
        warmup=scale.warmup_steps,
        lr=scale.lr,
        wd=scale.weight_decay,
        cd=scale.final_lr,
        global_bs=scale.sequences_per_step,
        acc=accumulation,
        qk_norm=True,
        z_loss=scale.z_loss,
        grad_checkpointing=False,
        params=params,
        params_no_embed=params - vocab_size * scale.width,
        fsdp_flags=[],
        chinchilla_multiplier=scale.multiplier,
        seed=scale.seed,
        vocab_size=vocab_size,
    )


def open_lm_arguments(parameters: Hyperparameters, data: TrainingData, name: str) -> list[str]:
    """The arguments with which open_lm would do the same, as references hold them.

    Source: `training/params.py` of the official code.
    """
    given = {
        "precision": "amp_bfloat16",
        "global-batch-size": parameters.global_bs,
        "grad-clip-norm": 1,
        "lr": parameters.lr,
        "warmup": parameters.warmup,
        "model": parameters.model,
        "wd": parameters.wd,
        "beta2": 0.95,
        "seed": parameters.seed,
        "accum-freq": parameters.acc,
        "model-norm": parameters.norm,
        "lr-cooldown-end": parameters.cd,
        "z-loss": parameters.z_loss,
        "train-num-samples": parameters.tokens,
        "dataset-manifest": data.reference.manifest_url,
        "data-key": data.reference.data_key,
        "name": name,
    }
    pairs = [part for key, value in given.items() for part in (f"--{key}", str(value))]
    return [*pairs, "--qk-norm"]
