"""The text encoders against the official ones (stored numbers) and open_clip's, with scrambled weights."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mobileclip.architectures import ARCHITECTURES, TextTower
from mobileclip.models.scrambling import scramble
from mobileclip.models.text_encoder import TextEncoder, build_text_encoder
from mobileclip.models.weights.open_clip_names import open_clip_names, to_open_clip_state_dict

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "text_encoder.json").read_text())["encoders"]
TOWERS = {  # those of goldens/make_text_encoder_goldens.py
    "rep blocks": TextTower(width=64, layers=2, heads=2, causal=False, rep_blocks=True, vocabulary=199),
    "bidirectional": TextTower(width=64, layers=3, heads=2, causal=False, vocabulary=199),
    "causal": TextTower(width=64, layers=3, heads=2, causal=True, vocabulary=199),
}


def golden_tokens() -> torch.Tensor:
    rows = torch.zeros(3, 77, dtype=torch.int64)
    for row, length in enumerate((4, 20, 76)):
        rows[row, :length] = 1 + torch.arange(length) * (7 + row) % 197
        rows[row, length] = 198
    return rows


def scrambled(tower: TextTower, embed_dim: int = 8) -> TextEncoder:
    encoder = build_text_encoder(tower, embed_dim).eval()
    scramble(encoder)
    return encoder


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", TOWERS)
def test_features_are_those_of_the_official_encoder(name: str) -> None:
    encoder = scrambled(TOWERS[name])
    with torch.no_grad():
        features = encoder(golden_tokens())
    assert difference(features, torch.tensor(GOLDENS[name]["features"])) < 1e-6


def test_shorter_rows_take_the_first_positions_where_the_official_code_interpolates() -> None:
    encoder = scrambled(TOWERS["causal"])
    with torch.no_grad():
        whole, short = encoder(golden_tokens()[:1]), encoder(golden_tokens()[:1, :5])
    interpolated = torch.tensor(GOLDENS["causal"]["features of 5 columns"])
    assert difference(short, whole) < 1e-6
    assert difference(interpolated, whole) > 0.01


def test_features_are_those_of_open_clips_text_transformer() -> None:
    from open_clip.transformer import TextTransformer

    for causal in (True, False):
        tower = TextTower(width=64, layers=3, heads=2, causal=causal, vocabulary=199)
        encoder = scrambled(tower)
        peer = TextTransformer(
            vocab_size=199, width=64, heads=2, layers=3, output_dim=8, no_causal_mask=not causal
        ).eval()
        own = {f"text_encoder.{key}": value for key, value in encoder.state_dict().items()}
        table = open_clip_names(ARCHITECTURES["MobileCLIP-S1"], own)
        state = {foreign.removeprefix("text."): own[key] for key, (foreign, _) in table.items()}
        state["positional_embedding"] = state["positional_embedding"][0, 0]
        peer.load_state_dict(state)
        with torch.no_grad():
            assert difference(encoder(golden_tokens()), peer(golden_tokens())) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileCLIP-S1", "MobileCLIP-B", "MobileCLIP2-S3"])
def test_published_towers_give_the_features_of_open_clips(name: str) -> None:
    import open_clip
    from mobileclip.models.clip import ImageTextModel
    from open_clip.model import _build_text_tower

    model = ImageTextModel(ARCHITECTURES[name]).eval()
    scramble(model)
    configuration = open_clip.get_model_config(name)
    peer = _build_text_tower(configuration["embed_dim"], configuration["text_cfg"]).eval()
    state = to_open_clip_state_dict(model)
    peer.load_state_dict({k.removeprefix("text."): v for k, v in state.items() if k.startswith("text.")})
    tokens = open_clip.get_tokenizer(name)(["a photo of a cat", "two dogs beside a tree in the rain", ""])
    with torch.no_grad():
        assert difference(model.encode_text(tokens, truncate=False), peer(tokens)) < 1e-6


@pytest.mark.parametrize("name", ["rep blocks", "bidirectional"])
def test_padding_counts_in_a_tower_without_mask(name: str) -> None:
    encoder, tokens = scrambled(TOWERS[name]), golden_tokens()
    changed = tokens.clone()
    changed[0, 10:] = 3  # behind the end of the text, and lower than its end-of-text token
    with torch.no_grad():
        assert difference(encoder(changed)[0], encoder(tokens)[0]) > 0.01


def test_nothing_behind_the_end_of_text_counts_in_a_causal_tower() -> None:
    encoder, tokens = scrambled(TOWERS["causal"]), golden_tokens()
    changed = tokens.clone()
    changed[0, 10:] = 3
    with torch.no_grad():
        assert difference(encoder(changed)[0], encoder(tokens)[0]) < 1e-6


@pytest.mark.parametrize("name", TOWERS)
def test_gradient_checkpointing_gives_the_same_gradients_and_statistics(name: str) -> None:
    results: list[dict[str, Any]] = []
    for enable in (False, True):
        encoder = scrambled(TOWERS[name]).train()
        encoder.set_grad_checkpointing(enable)
        encoder(golden_tokens()).square().mean().backward()
        gradients = {key: weight.grad for key, weight in encoder.named_parameters()}
        results.append(gradients | {key: value.clone() for key, value in encoder.named_buffers()})
    for key, value in results[0].items():
        torch.testing.assert_close(results[1][key], value, msg=key)


def test_rows_of_a_wrong_length_are_refused() -> None:
    expected = (
        "rows of 5 tokens; this text encoder has no causal mask, so the padding counts: pad with 0 to 77"
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        scrambled(TOWERS["rep blocks"])(golden_tokens()[:, :5])
    with pytest.raises(ValueError, match="rows of 154 tokens; the text encoder takes 77"):
        scrambled(TOWERS["causal"])(golden_tokens().repeat(1, 2))


def test_a_causal_tower_with_rep_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="a text encoder with rep blocks cannot be causal"):
        TextEncoder(width=64, layers=1, heads=1, embed_dim=8, causal=True, rep_blocks=True)


def test_initial_weights_follow_the_global_seed_and_have_clips_scales() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        weights.append(build_text_encoder(TOWERS["causal"], 8).state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert float(weights[0]["embedding_layer.weight"].std()) == pytest.approx(0.02, rel=0.05)
    qkv = weights[0]["transformer.0.pre_norm_mha.1.qkv_proj.weight"]
    assert float(qkv.std()) == pytest.approx(64**-0.5, rel=0.05)
