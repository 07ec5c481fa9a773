import pytest
import torch
from llm_compat.heads import Head
from llm_compat.model.words import DTYPES, read_head, states_of, words_of, write_head
from toolkit_shared.errors import InputError
from torch import nn


def draw(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def make_head(**more):
    return Head(draw(7, 4), draw(7), **more)


def test_logits_are_a_product_then_a_scale_then_a_cap():
    hidden, head = draw(3, 4), make_head(scale=0.5, softcap=1.5)
    product = 0.5 * (hidden @ head.weight.T + head.bias)
    assert torch.allclose(head.logits(hidden), 1.5 * torch.tanh(product / 1.5))
    assert head.logits(10 * hidden).abs().max() <= 1.5
    assert (head.vocabulary, head.width) == (7, 4)


@pytest.mark.parametrize("more", [{}, {"scale": 0.5}, {"softcap": 1.5}, {"scale": 3.0, "softcap": 2.0}])
def test_the_gradient_of_the_hidden_states_is_autograds(more):
    hidden, head, slope = draw(3, 4).requires_grad_(), make_head(**more), draw(3, 7)
    logits = head.logits(hidden)
    (expected,) = torch.autograd.grad(logits, hidden, slope)
    assert torch.allclose(head.hidden_gradient(slope.clone(), logits.detach()), expected, rtol=1e-12)


def test_hidden_states_of_another_dtype_are_taken_in_the_weights():
    head = make_head().to("cpu", torch.float32)
    assert head.logits(draw(2, 4, dtype=torch.float16)).dtype == torch.float32


def test_a_head_is_frozen_unless_something_of_it_is_trained():
    layer = nn.Linear(4, 7, bias=False)
    trained = Head(layer.weight.detach(), module=layer)
    assert make_head().is_frozen
    assert not trained.is_frozen
    assert trained.to("cpu", torch.float64) is trained
    layer.requires_grad_(False)
    assert trained.is_frozen
    assert not Head(draw(7, 4).requires_grad_()).is_frozen


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_head_comes_back_from_its_file(tmp_path, dtype, bias):
    head = Head(draw(7, 4, dtype=dtype), draw(7, dtype=dtype) if bias else None, scale=0.1, softcap=30.0)
    write_head(head, tmp_path / "head.safetensors")
    again = read_head(tmp_path / "head.safetensors")
    assert torch.equal(again.weight, head.weight)
    assert (again.bias is None) == (not bias)
    assert (again.scale, again.softcap) == (0.1, 30.0)


def test_what_is_no_head_is_refused(tmp_path):
    (tmp_path / "head.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"no readable output head: .*; make the cache anew"):
        read_head(tmp_path / "head.safetensors")


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0), ("float16", 1e-3), ("bfloat16", 8e-3)])
def test_states_come_back_from_words_as_near_as_the_precision_is(precision, tolerance):
    states = draw(5, 4, dtype=torch.float32)
    words = words_of(states, precision)
    again = states_of(words, precision)
    assert words.itemsize == again.element_size()
    assert again.dtype == DTYPES[precision]
    assert torch.equal(again, states.to(DTYPES[precision]))
    assert torch.allclose(again.float(), states, rtol=tolerance, atol=0)
