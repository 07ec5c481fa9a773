import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.interpolation import interpolate_adapters

NAME = "base_model.model.model.layers.0.self_attn.q_proj"


def adapter(rank, seed, name=NAME):
    random = torch.Generator().manual_seed(seed)
    return {
        f"{name}.lora_A.weight": torch.randn(rank, 5, generator=random, dtype=torch.float64),
        f"{name}.lora_B.weight": torch.randn(7, rank, generator=random, dtype=torch.float64),
    }


def change(state, scale):
    return scale * state[f"{NAME}.lora_B.weight"] @ state[f"{NAME}.lora_A.weight"]


@given(st.floats(0, 1), st.integers(1, 4), st.integers(1, 4))
def test_the_change_of_the_weights_is_interpolated_exactly(fraction, old_rank, new_rank):
    old, new = adapter(old_rank, 1), adapter(new_rank, 2)

    merged = interpolate_adapters(old, new, old_fraction=fraction, old_scale=2.0, new_scale=0.5)

    expected = fraction * change(old, 2.0) + (1 - fraction) * change(new, 0.5)
    assert torch.allclose(change(merged, 1.0), expected, rtol=1e-12, atol=1e-12)
    assert merged[f"{NAME}.lora_A.weight"].shape == (old_rank + new_rank, 5)


def test_averaging_the_factors_would_be_another_function():
    old, new = adapter(3, 1), adapter(3, 2)
    merged = interpolate_adapters(old, new, old_fraction=0.5, old_scale=1.0, new_scale=1.0)
    averaged = {name: (old[name] + new[name]) / 2 for name in old}
    assert not torch.allclose(change(merged, 1.0), change(averaged, 1.0), rtol=0.1)


@pytest.mark.parametrize(
    ("old", "fraction", "message"),
    [
        (adapter(2, 1), 1.5, "old_fraction: 1.5 is not from 0 to 1"),
        (adapter(2, 1, "other"), 0.5, "the adapters do not change the same weights; only one has base_model"),
    ],
)
def test_what_cannot_be_interpolated_is_refused(old, fraction, message):
    with pytest.raises(ValueError, match=message):
        interpolate_adapters(old, adapter(2, 2), old_fraction=fraction, old_scale=1.0, new_scale=1.0)


def test_other_weights_than_lora_matrices_are_refused():
    extra = {"lm_head.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"lm_head.weight is no LoRA matrix"):
        interpolate_adapters(extra, extra, old_fraction=0.5, old_scale=1.0, new_scale=1.0)
