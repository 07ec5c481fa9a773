"""The five scales against the published integers."""

import dataclasses
import math

import pytest
from dclm_bench.scales import SCALES, find_scale
from toolkit_shared.errors import InputError
from toolkit_shared.language_model import OpenLM
from toolkit_shared.optimization import cosine_schedule

# name: (official parameters, ours with the gains of QK-norm, tokens, steps, peak lr, 6ND): the table of the
# specification, section 2.6, and its oracle 2
PUBLISHED = {
    "400m-1x": (411_616_256, 411_665_408, 8_232_325_120, 7_850, 3e-3, 2.03e19),
    "1b-1x": (1_439_795_200, 1_439_893_504, 28_795_904_000, 54_923, 3e-3, 2.49e20),
    "3b-1x": (2_795_932_160, 2_796_096_000, 55_918_643_200, 106_656, 3e-3, 9.38e20),
    "7b-1x": (6_889_410_560, 6_889_672_704, 137_788_211_200, 32_851, 2e-3, 5.70e21),
    "7b-2x": (6_889_410_560, 6_889_672_704, 275_576_422_400, 65_702, 2e-3, 1.14e22),
}
# "no embed" as in the official configurations
WITHOUT_EMBEDDING = {
    "400m-1x": 359_973_888,
    "1b-1x": 1_336_510_464,
    "3b-1x": 2_666_826_240,
    "7b-1x": 6_682_841_088,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_scale_has_the_published_integers(name):
    official, ours, tokens, steps, lr, flops = PUBLISHED[name]
    scale = find_scale(name)

    assert scale.num_parameters(qk_norm=False) == official
    assert scale.num_parameters() == ours
    assert scale.budget_tokens() == tokens == 20 * official * scale.multiplier
    assert scale.steps() == steps
    assert scale.lr == lr
    assert scale.flops() == pytest.approx(flops, rel=5e-3)
    if name in WITHOUT_EMBEDDING:
        assert official - 50_432 * scale.width == WITHOUT_EMBEDDING[name]


@pytest.mark.parametrize("name", ["400m-1x", "7b-1x"])
def test_the_formula_counts_the_parameters_of_the_model(name):
    import torch

    scale = find_scale(name)
    with torch.device("meta"):
        model = OpenLM(**scale.model_arguments(vocab_size=50_277, sequence_length=2048))

    assert model.num_parameters() == scale.num_parameters()
    assert (model.config["rope_base"], model.config["norm_eps"]) == (10_000.0, 1e-5)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_schedule_keeps_its_identities(name):
    scale = find_scale(name)

    def rate(step):
        return cosine_schedule(
            step,
            warmup_steps=scale.warmup_steps,
            total_steps=scale.steps(),
            lr=scale.lr,
            final_lr=scale.final_lr,
        )

    # oracle 9 of the specification
    assert rate(0) == pytest.approx(scale.lr / scale.warmup_steps, rel=1e-12)
    assert rate(scale.warmup_steps - 1) == pytest.approx(scale.lr, rel=1e-12)
    assert rate(scale.steps()) == pytest.approx(3e-5, rel=1e-8)
    last = scale.steps() - 1
    done = (last - scale.warmup_steps) / (scale.steps() - scale.warmup_steps)
    formula = 3e-5 + 0.5 * (scale.lr - 3e-5) * (1 + math.cos(math.pi * done))
    assert rate(last) == pytest.approx(formula, rel=1e-8)


def test_all_scales_share_what_the_paper_holds_fixed():
    for name in PUBLISHED:
        scale = find_scale(name)
        assert (scale.beta1, scale.beta2, scale.eps, scale.gradient_clip) == (0.9, 0.95, 1e-8, 1.0)
        assert (scale.final_lr, scale.seed, scale.vocab_size, scale.sequence_length) == (
            3e-5,
            124,
            50_432,
            2048,
        )
    assert [find_scale(name).weight_decay for name in PUBLISHED] == [0.033, 0.033, 0.033, 0.05, 0.05]
    assert [find_scale(name).z_loss for name in PUBLISHED] == [1e-4, 1e-4, 1e-4, 5e-6, 5e-6]
    assert [find_scale(name).warmup_steps for name in PUBLISHED] == [2000, 5000, 5000, 5000, 5000]
    assert [find_scale(name).sequences_per_step for name in PUBLISHED] == [512, 256, 256, 2048, 2048]


def test_the_tiny_scale_takes_vocabulary_and_length_from_the_data():
    arguments = SCALES["tiny"].model_arguments(vocab_size=258, sequence_length=64)
    assert (arguments["vocab_size"], arguments["max_length"]) == (320, 64)


def test_a_scale_that_does_not_fit_the_data_is_refused_in_one_line():
    with pytest.raises(
        InputError, match=r"--scale 1b-1x: .* 2048 .* give 64; tokenise with --context-length 2049"
    ):
        find_scale("1b-1x").model_arguments(vocab_size=300, sequence_length=64)
    with pytest.raises(InputError, match="has 50432 ids and the data's tokenizer 60000"):
        find_scale("1b-1x").model_arguments(vocab_size=60_000, sequence_length=2048)
    with pytest.raises(InputError, match="--scale: '2b' is not one of 400m-1x, 1b-1x"):
        find_scale("2b")
    with pytest.raises(ValueError, match="tokens: 0 is not positive"):
        dataclasses.replace(find_scale("tiny"), tokens=0)
