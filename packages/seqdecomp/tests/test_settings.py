"""Settings refuse what cannot be meant, where they are made."""

import re

import pytest
import torch
from seqdecomp.settings import ModelSettings, OptimizationSettings
from toolkit_shared.language_model import OpenLM


@pytest.mark.parametrize(
    ("settings", "field", "value", "line"),
    [
        (OptimizationSettings, "lr", 0.0, "lr: 0 is not a number above 0; the paper has 0.003"),
        (OptimizationSettings, "lr", float("nan"), "lr: nan is not a number above 0; the paper has 0.003"),
        (OptimizationSettings, "eps", 0.0, "eps: 0 is not a number above 0; give for example 1e-8"),
        (OptimizationSettings, "beta2", 1.0, "beta2: 1 is not in [0, 1); give for example 0.95"),
        (OptimizationSettings, "z_loss", -1.0, "z_loss: -1 is negative or no number; give 0 or more"),
        (
            OptimizationSettings,
            "gradient_clip",
            float("inf"),
            "gradient_clip: inf is negative or no number; give 0 or more",
        ),
        (
            OptimizationSettings,
            "warmup_steps",
            -1,
            "warmup_steps: -1 is negative or no number; give 0 or more",
        ),
        (
            ModelSettings,
            "rope_base",
            float("nan"),
            "rope_base: nan is not a number above 1; the paper has 100000",
        ),
        (ModelSettings, "norm_eps", 0.0, "norm_eps: 0 is not a number above 0; give for example 1e-5"),
        (ModelSettings, "num_heads", 7, "num_heads: 7 does not divide width 96 into an even head width"),
    ],
)
def test_impossible_numbers_are_refused_with_their_field(settings, field, value, line):
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        settings(**{field: value})


# The paper prints the first two totals; the others follow by the same formula.
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("160m", 162_435_840),
        ("410m", 411_665_408),
        ("1b", 1_439_893_504),
        ("3b", 2_796_096_000),
        ("7b", 6_889_672_704),
    ],
)
def test_the_presets_have_the_parameter_counts_of_the_paper(name, parameters):
    with torch.device("meta"):
        model = OpenLM(**ModelSettings(name=name).arguments())
    assert model.num_parameters() == parameters
