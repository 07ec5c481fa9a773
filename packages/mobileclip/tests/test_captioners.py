"""Captioners: what they draw, that they draw it again, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mobileclip.models.captioners import (
    END,
    PADDING,
    START,
    CocaCaptioner,
    draw_top_p,
    load_captioner,
    sample_tokens,
)
from mobileclip.reinforcement.captioner import first_sentence, read_file_captioner
from tiny_teachers import generated_image, tiny_coca_config, tiny_open_clip_config, write_tiny_open_clip
from toolkit_shared.errors import InputError

KEYS = ("a", "b", "c")


@pytest.fixture(scope="module")
def coca(tmp_path_factory: pytest.TempPathFactory) -> CocaCaptioner:
    folder = tmp_path_factory.mktemp("captioners")
    captioner = load_captioner("open_clip:" + write_tiny_open_clip(folder, "tiny-coca", tiny_coca_config()))
    assert isinstance(captioner, CocaCaptioner)
    return captioner


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_the_token_is_read_off_the_cumulative_distribution_of_the_likeliest_tokens() -> None:
    # by hand: probabilities .5, .3, .15, .05; the first three are needed for 0.9 and hold .95 of it
    logits = torch.log(torch.tensor([[0.05, 0.5, 0.15, 0.3]])).expand(5, 4)
    uniforms = np.array([0.0, 0.5 / 0.95 - 1e-6, 0.5 / 0.95 + 1e-6, 0.65 / 0.95 + 1e-6, 1 - 1e-12])

    assert draw_top_p(logits, uniforms, 0.9).tolist() == [1, 1, 2, 3, 3]


@given(st.integers(0, 200), st.floats(0.05, 1.0))
def test_the_tokens_that_can_be_drawn_are_those_that_transformers_keeps(seed: int, top_p: float) -> None:
    from transformers import TopPLogitsWarper

    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 12)) * 2).float()
    kept = torch.isfinite(TopPLogitsWarper(top_p)(torch.zeros(1, 1, dtype=torch.long), logits))[0]

    drawn = draw_top_p(logits.expand(2000, 12), (np.arange(2000) + 0.5) / 2000, top_p)

    # a token of less than 1/2000 may be missed, none may come that is not kept
    assert set(drawn.tolist()) <= set(torch.nonzero(kept)[:, 0].tolist())
    likely = torch.nonzero(kept & (torch.softmax(logits[0], -1) > 2e-3))[:, 0].tolist()
    assert set(likely) <= set(drawn.tolist())


def test_a_sequence_has_a_start_an_end_and_padding_at_a_fixed_length() -> None:
    def next_logits(tokens: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(tokens), 49408), -100.0)
        logits[:, END] = 5.0  # wants to end at once; 7 is next best
        logits[:, 7] = 0.0
        return logits

    tokens = sample_tokens(next_logits, generators(1, 2), sequence_length=8)

    assert tokens.tolist() == [[START, 7, 7, 7, 7, END, PADDING, PADDING]] * 2


def test_a_sequence_that_never_ends_is_ended_at_the_fixed_length() -> None:
    def next_logits(tokens: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(tokens), 49408), -100.0)
        logits[:, 9] = 0.0
        return logits

    assert sample_tokens(next_logits, generators(0), sequence_length=6).tolist() == [[START, 9, 9, 9, 9, END]]


def test_the_likeliest_tokens_are_those_of_open_clips_own_generation(
    coca: CocaCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # open_clip's generation asks for a class that transformers 5 no longer has, and does not use it here
    import transformers
    from open_clip import coca_model

    monkeypatch.setattr(coca_model, "_has_transformers", True)
    monkeypatch.setitem(coca_model.GENERATION_TYPES, "top_p", transformers.TopPLogitsWarper)
    for name in (
        "LogitsProcessorList",
        "MaxLengthCriteria",
        "MinLengthLogitsProcessor",
        "RepetitionPenaltyLogitsProcessor",
        "StoppingCriteriaList",
    ):
        monkeypatch.setattr(coca_model, name, getattr(transformers, name), raising=False)
    # with a tiny top-p both must take the likeliest token at every step
    images = [generated_image(index) for index in range(2)]
    pixels = torch.stack([coca.transform(image) for image in images])
    theirs = coca.model.generate(pixels, generation_type="top_p", top_p=1e-6, fixed_output_length=True)
    latent, embeddings = coca.model._encode_image(pixels)

    def next_logits(tokens: torch.Tensor) -> torch.Tensor:
        output = coca.model(pixels, tokens, image_latent=latent, image_embs=embeddings, output_labels=False)
        logits: torch.Tensor = output["logits"][:, -1]
        return logits

    with torch.no_grad():
        ours = sample_tokens(next_logits, generators(0, 1), top_p=1e-6)

    assert ours.tolist() == theirs.tolist()


def test_captions_depend_on_the_image_and_its_seed_and_not_on_the_images_beside_it(
    coca: CocaCaptioner,
) -> None:
    images = [generated_image(index) for index in range(3)]

    together = coca.caption(images, 2, [11, 12, 13], KEYS)
    # as many images, for a matrix product of another shape may round otherwise
    among_others = coca.caption([images[2], images[1], images[2]], 2, [13, 12, 1], KEYS)
    reseeded = coca.caption(images, 2, [11, 14, 13], KEYS)

    assert together[1] == among_others[1] != reseeded[1]
    assert [len(texts) for texts in together] == [2, 2, 2]
    assert together[0][0] != together[0][1]


def test_drawing_captions_leaves_the_global_generator_alone(coca: CocaCaptioner) -> None:
    before = torch.random.get_rng_state()

    coca.caption([generated_image(0)], 1, [1], ["a"])

    assert torch.equal(before, torch.random.get_rng_state())


def test_a_transformers_captioner_draws_the_same_captions_from_the_same_seeds(tmp_path: Path) -> None:
    write_tiny_transformers(tmp_path / "captioner")
    images = [generated_image(index) for index in range(2)]

    captioner = load_captioner(f"transformers:{tmp_path / 'captioner'}")
    before = torch.random.get_rng_state()
    together = captioner.caption(images, 3, [1, 2], ["a", "b"])
    alone = captioner.caption([images[1]], 3, [2], ["b"])

    assert together[1] == alone[0]
    assert [len(texts) for texts in together] == [3, 3]
    assert len(set(together[0])) > 1
    assert torch.equal(before, torch.random.get_rng_state())
    assert captioner.name == "transformers:captioner"


def write_tiny_transformers(folder: Path) -> None:
    """Save a vision encoder-decoder of one thin layer a side, with its image processor and tokenizer."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [
        "<pad>",
        "<s>",
        "</s>",
        "<unk>",
        "a",
        "dog",
        "cat",
        "red",
        "green",
        "on",
        "the",
        "mat",
        "runs",
        ".",
    ]
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    encoder = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
    )
    decoder = transformers.GPT2Config(
        vocab_size=len(words),
        n_embd=32,
        n_layer=1,
        n_head=2,
        n_positions=64,
        add_cross_attention=True,
        is_decoder=True,
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    torch.manual_seed(0)
    model = transformers.VisionEncoderDecoderModel(config)
    model.generation_config.decoder_start_token_id = 1
    model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, 2
    model.save_pretrained(folder)


def test_captions_of_a_file_are_looked_up_by_key(tmp_path: Path) -> None:
    lines = [{"key": "b", "captions": ["one", "two", "three"]}, {"key": "a", "captions": ["four"]}]
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    captioner = load_captioner(f"file:{tmp_path / 'captions.jsonl'}")

    images = [generated_image(0)] * 3
    assert captioner.caption(images, 2, [0, 0, 0], KEYS) == [["four"], ["one", "two"], []]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"captions": ["x"]}', "needs a text 'key'"),
        ('{"key": "a", "captions": "x"}', "needs a text 'key' and a list 'captions'"),
        ('{"key": "a", "captions": [" "]}', "a caption of 'a' is empty"),
        ('{"key": "z", "captions": ["x"]}', "the key 'z' comes twice"),
    ],
)
def test_a_line_that_is_no_caption_is_named(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "captions.jsonl").write_text('{"key": "z", "captions": ["y"]}\n' + line + "\n")

    with pytest.raises(InputError, match=re.escape(f"captions.jsonl, line 2: {reason}")):
        read_file_captioner(tmp_path / "captions.jsonl")


def test_no_captioner_writes_no_captions() -> None:
    assert load_captioner("none").caption([generated_image(0)], 0, [1], ["a"]) == [[]]


def test_a_spec_that_names_no_captioner_is_one_line(tmp_path: Path) -> None:
    plain = write_tiny_open_clip(tmp_path, "tiny-no-coca", tiny_open_clip_config())
    for spec, reason in [
        ("coca", "names no captioner"),
        ("open_clip:", "names no captioner"),
        (f"transformers:{tmp_path / 'absent'}", "cannot be loaded"),
        (f"open_clip:{plain}", "writes no captions"),
    ]:
        with pytest.raises(InputError, match=reason):
            load_captioner(spec)


def test_a_caption_ends_at_its_first_full_stop() -> None:
    assert first_sentence("a red dog . it runs .") == "a red dog"
    assert first_sentence("no stop ") == "no stop"


def test_captions_that_are_keyed_by_file_names_belong_to_the_pairs_of_those_files(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text('{"key": "10_69.jpg", "captions": ["a dog"]}\n')

    captioner = read_file_captioner(tmp_path / "captions.jsonl")

    assert captioner.caption([generated_image(0)], 1, [0], ["10_69"]) == [["a dog"]]
