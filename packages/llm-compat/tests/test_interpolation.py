import re

import pytest
import tiny_models
import torch
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.interpolation import interpolate_adapters
from llm_compat.model.loading import attach_adapter, load_causal_lm
from llm_compat.model.merging import interpolate_adapter_folders
from toolkit_shared.errors import InputError

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


def logits_under(base, adapter):
    with torch.no_grad():
        return attach_adapter(load_causal_lm(base), adapter)(input_ids=tiny_models.token_ids(1, 7)).logits


def test_adapters_on_disk_are_merged_into_a_plain_one(tmp_path):
    base = tiny_models.save_model(tmp_path / "base")
    old = tiny_models.save_adapter_for(base, tmp_path / "old", seed=1, rank=2)
    new = tiny_models.save_adapter_for(base, tmp_path / "new", seed=2, rank=3, use_rslora=True)

    for fraction, name in ((0.0, "as-new"), (1.0, "as-old"), (0.4, "between")):
        interpolate_adapter_folders(old, new, tmp_path / name, old_fraction=fraction)

    assert torch.allclose(logits_under(base, tmp_path / "as-new"), logits_under(base, new), atol=1e-4)
    assert torch.allclose(logits_under(base, tmp_path / "as-old"), logits_under(base, old), atol=1e-4)
    between = logits_under(base, tmp_path / "between")
    assert not torch.allclose(between, logits_under(base, old), atol=1e-2)


def test_adapters_of_two_bases_are_not_interpolated(tmp_path):
    bases = [tiny_models.save_model(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 2))]
    folders = [tiny_models.save_adapter_for(base, tmp_path / f"{base.name}-task") for base in bases]
    message = (
        f"{folders[1]}: is an adapter of {bases[1]}, not of {bases[0]} as {folders[0]} is; both need one base"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        interpolate_adapter_folders(*folders, tmp_path / "out", old_fraction=0.5)
    rslora = tiny_models.save_adapter_for(bases[0], tmp_path / "dora", use_dora=True)
    with pytest.raises(InputError, match="dora: is no plain LoRA adapter of one rank and scale"):
        interpolate_adapter_folders(rslora, folders[0], tmp_path / "out", old_fraction=0.5)
    assert not (tmp_path / "out").exists()
