"""The transformer that is the second witness: seeded, and its bits are those of its logits."""

import math

import numpy as np
import pytest
import torch
from dclm_bench.experiment.witness import ROW, train_transformer, transformer_bits

TEXT = b"the cat sat on the mat and the rat sat on the cat " * 20


@pytest.fixture(scope="module")
def model():
    return train_transformer(TEXT, seed=0, steps=3)


def test_equal_seeds_give_equal_weights_and_others_do_not(model):
    again, other = (train_transformer(TEXT, seed=seed, steps=3).state_dict() for seed in (0, 1))
    weights = model.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(weights["output.weight"], other["output.weight"])


def test_training_leaves_the_random_state_of_the_caller_alone():
    before = torch.get_rng_state()
    train_transformer(TEXT, seed=5, steps=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_bits_are_those_of_the_logits_row_by_row(model):
    text = TEXT[: ROW + 30]
    total = 0.0
    for start in (0, ROW):
        row = np.frombuffer(b"\n" + text, np.uint8)[start : start + ROW + 1]
        with torch.no_grad():
            logits = model(torch.from_numpy(row[:-1].astype(np.int64))[None])[0].double()
        chosen = torch.log_softmax(logits, -1)[range(len(row) - 1), row[1:].astype(np.int64)]
        total -= float(chosen.sum()) / math.log(2)
    assert transformer_bits(model, [b"x", text])[1] == pytest.approx(total / len(text), rel=1e-5)


def test_training_lowers_the_bits_of_its_text(model):
    (few,) = transformer_bits(model, [TEXT])
    (many,) = transformer_bits(train_transformer(TEXT, seed=0, steps=20), [TEXT])
    assert many < few - 0.5


def test_a_text_shorter_than_a_row_can_be_trained_on():
    assert np.isfinite(transformer_bits(train_transformer(b"short", seed=0, steps=1), [b"text"])[0])
