"""Cutting rows behind the end of the text: exact under a causal mask, refused without one."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import pytest
import torch
from mobileclip.architectures import ARCHITECTURES, Architecture, ConvolutionalTower, TextTower
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.scrambling import scramble
from mobileclip.models.truncation import encode_prompts, text_lengths, truncate_tokens
from toolkit_shared.errors import InputError

VOCABULARY = 199
EOT = VOCABULARY - 1
CAUSAL = TextTower(width=64, layers=3, heads=2, causal=True, vocabulary=VOCABULARY)
REFUSAL = (
    "truncate: this model's text encoder has no causal mask, so padding is part of its input and shorter "
    "rows give other features; use truncate='auto' or False"
)


def tiny(text: TextTower) -> ImageTextModel:
    tower = ARCHITECTURES["MobileCLIP-Tiny"].image
    assert isinstance(tower, ConvolutionalTower)
    model = ImageTextModel(Architecture(embed_dim=8, image=tower, text=text)).eval()
    scramble(model)
    return model


def rows(lengths: list[int], seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(len(lengths), 77, dtype=torch.int64)
    for row, length in zip(tokens, lengths, strict=True):
        row[: length - 1] = torch.randint(1, EOT, (length - 1,), generator=generator)
        row[length - 1] = EOT
    return tokens


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def causal() -> ImageTextModel:
    return tiny(CAUSAL)


@pytest.fixture(scope="module")
def with_rep_blocks() -> ImageTextModel:
    return tiny(TextTower(width=64, layers=2, heads=1, causal=False, rep_blocks=True, vocabulary=VOCABULARY))


def test_rows_are_cut_behind_the_longest_text() -> None:
    tokens = rows([3, 9, 5])
    assert text_lengths(tokens).tolist() == [3, 9, 5]
    assert torch.equal(truncate_tokens(tokens, causal=True), tokens[:, :9])
    assert torch.equal(truncate_tokens(tokens, causal=True, truncate=False), tokens)
    assert torch.equal(truncate_tokens(tokens, causal=False), tokens)


def test_a_causal_tower_gives_the_same_features_when_cut(causal: ImageTextModel) -> None:
    tokens = rows([3, 9, 30])
    with torch.no_grad():
        whole, cut = causal.encode_text(tokens, truncate=False), causal.encode_text(tokens, truncate=True)
    assert difference(cut, whole) < 5e-7
    assert not torch.equal(cut, whole)  # it was another computation


def test_a_tower_with_rep_blocks_refuses_to_be_cut(with_rep_blocks: ImageTextModel) -> None:
    with pytest.raises(InputError) as caught:
        with_rep_blocks.encode_text(rows([5]), truncate=True)
    assert str(caught.value) == REFUSAL
    with pytest.raises(InputError) as caught:
        encode_prompts(with_rep_blocks, rows([5]), truncate=True)
    assert str(caught.value) == REFUSAL


def test_cutting_a_tower_with_rep_blocks_would_change_its_features(with_rep_blocks: ImageTextModel) -> None:
    """The refusal has a reason: the same tower made for rows of five tokens gives something else."""
    encoder, tokens = with_rep_blocks.text_encoder, rows([5])
    short = dataclasses.replace(with_rep_blocks.architecture.text, context_length=5)
    other = tiny(short).text_encoder
    state = encoder.state_dict()
    key = "positional_embedding.pos_embed.pos_embed"
    other.load_state_dict(state | {key: state[key][:, :, :5]})
    with torch.no_grad():
        assert difference(other(tokens[:, :5]), encoder(tokens)) > 0.1


def test_auto_leaves_a_tower_without_mask_whole(with_rep_blocks: ImageTextModel) -> None:
    tokens = rows([5, 12])
    with torch.no_grad():
        expected = with_rep_blocks.encode_text(tokens, truncate=False)
        assert torch.equal(with_rep_blocks.encode_text(tokens), expected)


@hypothesis.given(st.lists(st.integers(1, 77), min_size=1, max_size=12), st.integers(1, 5), st.booleans())
@hypothesis.settings(max_examples=10)
def test_prompts_keep_their_order_for_any_lengths_and_batches(
    causal: ImageTextModel, lengths: list[int], batch_size: int, normalize: bool
) -> None:
    tokens = rows(lengths)
    with torch.no_grad():
        expected = causal.encode_text(tokens, normalize=normalize, truncate=False)
    done: list[int] = []
    found = encode_prompts(causal, tokens, batch_size=batch_size, normalize=normalize, progress=done.append)
    assert difference(found, expected) < 2e-6
    assert sum(done) == len(lengths)


def test_prompts_of_a_tower_without_mask_are_encoded_whole(with_rep_blocks: ImageTextModel) -> None:
    tokens = rows([5, 40, 9])
    with torch.no_grad():
        expected = with_rep_blocks.encode_text(tokens, normalize=True)
    assert difference(encode_prompts(with_rep_blocks, tokens, batch_size=2), expected) < 1e-6


def test_prompts_of_like_length_are_encoded_together(
    causal: ImageTextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    encode = causal.encode_text

    def recorded(tokens: torch.Tensor, **arguments: bool) -> torch.Tensor:
        widths.append(tokens.shape[1])
        return encode(tokens, **arguments)

    monkeypatch.setattr(causal, "encode_text", recorded)
    encode_prompts(causal, rows([30, 4, 31, 5]), batch_size=2)
    assert widths == [5, 31]


def test_no_prompts_are_an_error(causal: ImageTextModel) -> None:
    with pytest.raises(ValueError, match="no texts to encode"):
        encode_prompts(causal, rows([]))


@pytest.mark.slow
def test_truncation_is_exact_on_b_and_far_off_on_s0() -> None:
    from mobileclip.models.text_encoder import build_text_encoder
    from mobileclip.tokenization import ClipTokenizer

    tokens = ClipTokenizer()(["a photo of a cat", "a bad photo of the large dog"])
    causal, bidirectional = (
        build_text_encoder(ARCHITECTURES[name].text, 512).eval() for name in ("MobileCLIP-B", "MobileCLIP-S0")
    )
    scramble(causal)
    scramble(bidirectional)
    length = int(text_lengths(tokens).max())
    with torch.no_grad():
        assert difference(causal(tokens[:, :length]), causal(tokens)) < 1e-6
        whole = bidirectional(tokens)
        bidirectional.context_length = length  # past the guard, to see what it guards against
        assert difference(bidirectional(tokens[:, :length]), whole) > 0.1
