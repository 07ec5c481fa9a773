import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from toolkit_shared.errors import InputError
from toolkit_shared.language_model import (
    OpenLM,
    attend,
    build_model,
    document_layout,
    from_open_lm_state_dict,
    swiglu_width,
    to_open_lm_state_dict,
)
from toolkit_shared.language_model.openlm import RotaryTable, rotate
from toolkit_shared.language_model.weights import load_open_lm_weights, recover_rope_base

GOLDEN = Path(__file__).with_name("goldens") / "open_lm_logits.npz"
TINY = {"vocab_size": 61, "width": 64, "num_layers": 2, "num_heads": 4, "max_length": 64}


@pytest.fixture
def tiny_model():
    torch.manual_seed(0)
    return OpenLM(**TINY)


# The totals of arXiv 2405.13226 and of the spec of DataComp-LM, by the formula below.
@pytest.mark.parametrize(
    ("width", "num_layers", "num_heads", "parameters"),
    [
        (768, 12, 12, 162_435_840),
        (1024, 24, 8, 411_665_408),
        (2048, 24, 16, 1_439_893_504),
        (2560, 32, 32, 2_796_096_000),
        (4096, 32, 32, 6_889_672_704),
    ],
)
def test_a_model_has_the_published_number_of_parameters(width, num_layers, num_heads, parameters):
    with torch.device("meta"):
        model = OpenLM(width=width, num_layers=num_layers, num_heads=num_heads)
    d, hidden, vocabulary = width, swiglu_width(width), 50_432
    assert model.num_parameters() == parameters
    assert parameters == 2 * vocabulary * d + num_layers * (4 * d * d + 3 * d * hidden + 4 * d) + d


def test_the_swiglu_width_is_eight_thirds_rounded_up_to_256():
    assert [swiglu_width(d) for d in (96, 768, 1024, 2048, 2560, 4096)] == [
        256,
        2048,
        2816,
        5632,
        6912,
        11008,
    ]


def test_the_logits_equal_those_of_open_lm_with_the_same_weights():
    with np.load(GOLDEN) as golden:  # made by goldens/make_open_lm_golden.py; a missing file is a failure
        state = {
            name.removeprefix("weight/"): torch.from_numpy(golden[name].astype(np.float32))
            for name in golden.files
            if name.startswith("weight/")
        }
        tokens, expected = torch.from_numpy(golden["tokens"].astype(np.int64)), golden["logits"]

    model = from_open_lm_state_dict(
        {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    )

    assert model.config["rope_base"] == 10_000
    assert (model.config["num_heads"], model.config["num_layers"]) == (4, 2)
    # float32 over two layers; logits are of order one
    np.testing.assert_allclose(model(tokens).detach().numpy(), expected, rtol=0, atol=2e-5)


def test_an_open_lm_state_dict_goes_out_and_comes_back(tiny_model):
    exported = to_open_lm_state_dict(tiny_model, prefix="module.")
    back = from_open_lm_state_dict({"epoch": 3, "state_dict": exported}, max_length=64, rope_base=100_000)

    assert "module.layers.1.attention.pos_embed.inv_freq" in exported
    assert "module.layers.0.feed_forward.w12.weight" in exported
    assert back.config == tiny_model.config
    for name, value in tiny_model.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)


def test_an_open_lm_file_is_read_without_running_code_from_it(tiny_model, tmp_path):
    good, bad = tmp_path / "epoch_1.pt", tmp_path / "evil.pt"
    torch.save({"state_dict": to_open_lm_state_dict(tiny_model)}, good)
    torch.save({"state_dict": {"x": Path("pickled object")}}, bad)

    assert from_open_lm_state_dict(good, max_length=64).config == tiny_model.config
    with pytest.raises(InputError, match=r"evil\.pt: cannot be read as a weights-only checkpoint"):
        from_open_lm_state_dict(bad)
    with pytest.raises(InputError, match="no such file"):
        from_open_lm_state_dict(tmp_path / "absent.pt")


def test_weights_of_a_10k_base_are_refused_by_a_100k_model(tiny_model):
    state = to_open_lm_state_dict(OpenLM(**TINY, rope_base=10_000))

    with pytest.raises(InputError, match="the rotary base is 10000 but the model's rope_base is 100000"):
        load_open_lm_weights(tiny_model, state)
    with pytest.raises(InputError, match=r"rope_base is 10000 in the saved .* use 10000"):
        from_open_lm_state_dict(state, rope_base=100_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("base", [10_000.0, 100_000.0, 500_000.0])
def test_the_rotary_base_is_recovered_from_the_saved_buffer(base, dtype):
    assert recover_rope_base(RotaryTable(64, 8, base).inverse_frequencies().to(dtype)) == base


def test_frequencies_of_no_single_base_are_refused():
    with pytest.raises(InputError, match="not rotary frequencies"):
        recover_rope_base(torch.tensor([1.0, 0.5, 0.3, 0.1]))


def test_saving_and_loading_a_model_keeps_weights_and_config(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    first = (tmp_path / "model" / "model.safetensors").read_bytes()
    tiny_model.save_pretrained(tmp_path / "model")
    back = OpenLM.from_pretrained(tmp_path / "model")

    assert back.config == tiny_model.config
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == first
    tokens = torch.arange(20)[None]
    assert torch.equal(back(tokens), tiny_model(tokens))


def test_a_folder_that_holds_another_model_is_refused_in_one_line(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="model_type is 'llama', not 'openlm'"):
        OpenLM.from_pretrained(tmp_path)

    (tmp_path / "config.json").write_text(
        '{"model_type": "openlm", "width": 32, "num_layers": 2, "num_heads": 2}'
    )
    with pytest.raises(InputError) as caught:
        OpenLM.from_pretrained(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: config.json and weights do not fit: layers.0.attention.in_proj.weight is 192 x 64 in "
        "the file and 96 x 32 in the model; layers.0.attention.k_norm.weight is 64 in the file and 32 in the "
        "model; layers.0.attention.out_proj.weight is 64 x 64 in the file and 32 x 32 in the model; 16 more; "
        "correct config.json"
    )


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("width", None, "field 'width' is None; it must be above 0"),
        ("width", "32", "field 'width' is '32'; it must be above 0"),
        ("num_layers", True, "field 'num_layers' is True; it must be above 0"),
        ("max_length", -1, "field 'max_length' is -1; it must be above 0"),
        ("depth", 2, "field 'depth' is not known; remove it"),
        ("num_heads", 3, "num_heads: 3 does not divide width 64 into an even head width"),
    ],
)
def test_a_wrong_field_of_a_models_config_is_named(tiny_model, tmp_path, field, value, line):
    tiny_model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(InputError) as caught:
        OpenLM.from_pretrained(tmp_path)
    assert str(caught.value) == f"{tmp_path}: config.json: {line}"


def test_initial_weights_have_the_stated_spreads_and_limits():
    torch.manual_seed(1)
    model = OpenLM(vocab_size=512, width=256, num_layers=3, num_heads=4, max_length=16)
    hidden, shrink = swiglu_width(256), 0.98658  # std of a normal cut at three standard deviations
    expected = {"tok_embeddings.weight": 1 / 16, "output.weight": 1 / 16}
    for layer in range(3):
        depth = math.sqrt(2 * (layer + 1))
        expected |= {
            f"layers.{layer}.attention.in_proj.weight": 1 / 16,
            f"layers.{layer}.attention.out_proj.weight": 1 / 16 / depth,
            f"layers.{layer}.feed_forward.w12.weight": 1 / 16,
            f"layers.{layer}.feed_forward.w3.weight": 1 / math.sqrt(hidden) / depth,
        }

    weights = dict(model.named_parameters())
    for name, std in expected.items():
        assert weights[name].std().item() == pytest.approx(std * shrink, rel=0.015), name
        assert weights[name].abs().max().item() <= 3 * std * 1.0001, name
    gains = {name for name in weights if name not in expected}
    assert all(torch.all(weights[name] == 1) and weights[name].ndim == 1 for name in gains)
    assert not [name for name in weights if "bias" in name]


def test_queries_and_keys_are_normalised_over_the_full_width_before_the_heads(tiny_model):
    block = tiny_model.layers[0].attention
    assert block.q_norm.weight.shape == (64,)
    assert block.k_norm.weight.shape == (64,)
    assert block.q_norm.eps == 1e-5


def test_under_autocast_the_norms_of_open_lm_work_in_low_precision():
    torch.manual_seed(0)
    exact = OpenLM(**TINY)
    low = OpenLM(**TINY, low_precision_norm=True)
    low.load_state_dict(exact.state_dict())
    x = torch.randn(3, 64)

    assert torch.equal(low.norm(x), exact.norm(x))  # without autocast they are the same
    with torch.autocast("cpu", torch.bfloat16):
        rounded, full = low.norm(x), exact.norm(x)
    assert (rounded.dtype, full.dtype) == (torch.bfloat16, torch.float32)
    assert torch.allclose(rounded.float(), full, atol=2e-2)
    assert low.config == exact.config  # how to compute is no part of the model


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = build_model(TINY, seed=3)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    again, other = build_model(TINY, seed=3), build_model(TINY, seed=4)

    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.output.weight, again.output.weight)
    assert not torch.equal(first.output.weight, other.output.weight)


def test_the_future_does_not_change_the_past(tiny_model):
    tokens = torch.arange(30)[None]
    changed = tokens.clone()
    changed[0, 20] = 50

    before, after = tiny_model(tokens), tiny_model(changed)
    assert torch.allclose(before[0, :20], after[0, :20], atol=1e-6)
    assert not torch.allclose(before[0, 20], after[0, 20], atol=1e-2)


def test_the_rotary_table_stays_float32_and_is_built_for_the_longest_sequence(tiny_model):
    tiny_model.bfloat16()
    assert tiny_model.rotary.cos.dtype == torch.float32
    assert tiny_model.rotary.cos.shape == (64, 8)
    assert tiny_model.rotary.cos[63, 0].item() == pytest.approx(math.cos(63), abs=1e-6)
    assert not [name for name in tiny_model.state_dict() if "rotary" in name]
    with pytest.raises(ValueError, match="a row of 65 tokens is longer than max_length 64"):
        tiny_model(torch.zeros(1, 65, dtype=torch.long))


def test_rotation_turns_the_first_half_against_the_second():
    table = RotaryTable(4, 8, 10_000.0)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 8, 1, 4)

    turned = rotate(x, table(8))[0, 5, 0]

    # by hand: angles 5 and 5/100; pairs (1, 3) and (2, 4)
    fast, slow = 5.0, 0.05
    expected = [
        math.cos(fast) - 3 * math.sin(fast),
        2 * math.cos(slow) - 4 * math.sin(slow),
        3 * math.cos(fast) + math.sin(fast),
        4 * math.cos(slow) + 2 * math.sin(slow),
    ]
    assert turned.tolist() == pytest.approx(expected, abs=1e-5)


PIECES = [[5, 20, 1, 38], [64]]  # tokens of each document in two packed rows


def packed_rows():
    torch.manual_seed(3)
    tokens = torch.randint(61, (2, 64))
    ids = torch.stack([torch.repeat_interleave(torch.arange(len(row)), torch.tensor(row)) for row in PIECES])
    return tokens, ids


@pytest.mark.parametrize("implementation", ["masked", "loop"])
def test_a_masked_row_equals_its_pieces_run_alone(tiny_model, implementation):
    tokens, ids = packed_rows()
    tiny_model.attention = implementation

    logits = tiny_model(tokens, ids)

    log_probabilities = logits.log_softmax(-1)
    for row, lengths in enumerate(PIECES):
        start = 0
        for length in lengths:
            piece = tokens[row : row + 1, start : start + length]
            alone = tiny_model(piece).log_softmax(-1)[0]
            packed = log_probabilities[row, start : start + length]
            # the loss of each token within 1e-5 in float32
            losses = [p[:-1].gather(-1, piece[0, 1:, None]) for p in (alone, packed)]
            assert torch.allclose(*losses, rtol=0, atol=1e-5)
            start += length


@pytest.mark.parametrize("implementation", ["masked", "loop"])
def test_positions_without_reset_give_the_same_up_to_rounding(tiny_model, implementation):
    tokens, ids = packed_rows()
    tiny_model.attention = implementation

    assert torch.allclose(
        tiny_model(tokens, ids), tiny_model(tokens, ids, reset_positions=False), rtol=0, atol=1e-4
    )


def test_all_implementations_agree_in_their_gradients_too(tiny_model):
    tokens, ids = packed_rows()
    gradients = []
    for implementation in ("masked", "loop"):
        tiny_model.attention = implementation
        tiny_model.zero_grad()
        tiny_model(tokens, ids).square().sum().backward()
        gradients.append(tiny_model.layers[0].attention.in_proj.weight.grad.clone())
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-3)


def test_a_layout_counts_positions_from_each_document_start():
    ids = torch.tensor([[7, 7, 2, 2, 2, 7]])

    layout = document_layout(ids, "loop")
    masked = document_layout(ids, "masked")

    assert layout.positions.tolist() == [[0, 1, 0, 1, 2, 0]]
    assert layout.lengths == (2, 3, 1)
    assert masked.mask.int().sum(-1)[0, 0].tolist() == [1, 2, 1, 2, 3, 1]  # the second 7 is another document


def test_documents_do_not_leak_across_rows_of_a_batch():
    q = torch.randn(2, 4, 1, 8)
    layout = document_layout(torch.zeros(2, 4, dtype=torch.long), "loop")
    assert torch.allclose(attend(q, q, q, layout), attend(q, q, q), atol=1e-6)


@pytest.mark.gpu
def test_the_variable_length_kernel_agrees_with_the_mask(tiny_model):
    tokens, ids = (part.cuda() for part in packed_rows())
    model = tiny_model.cuda()
    results = []
    for implementation in ("masked", "varlen"):
        model.attention = implementation
        with torch.autocast("cuda", torch.bfloat16):
            results.append(model(tokens, ids).float())
    assert torch.allclose(*results, rtol=0, atol=5e-2)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="num_heads: 3 does not divide width 64"):
        OpenLM(width=64, num_layers=1, num_heads=3)
