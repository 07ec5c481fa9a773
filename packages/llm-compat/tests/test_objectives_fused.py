import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.arms import ARMS, arm_named
from llm_compat.heads import Head, Heads
from llm_compat.objectives import compatibility_loss, fused_compatibility_loss
from loss_steps import VOCABULARY, WIDTH, Step, logits, some_targets
from torch import nn


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("chunk_tokens", [1, 4, 7, 1000])
@pytest.mark.parametrize("head", [{}, {"softcap": 3.0}, {"scale": 0.25, "bias": False}])
def test_the_fused_loss_and_gradient_equal_the_plain_ones_for_any_chunk(name, chunk_tokens, head):
    step, arm = Step(**head), arm_named(name)

    plain, plain_gradient = step.reference(arm)
    fused, fused_gradient = step.fused(arm, chunk_tokens=chunk_tokens)

    for ours, theirs in zip(fused, plain, strict=True):
        assert torch.allclose(ours.double(), theirs.double(), rtol=1e-10, atol=1e-10, equal_nan=True)
    assert plain_gradient.abs().max() > 1e-3
    assert (fused_gradient - plain_gradient).abs().max() < 1e-10


@pytest.mark.parametrize("name", ["muscle", "v1_correct", "ce+ll_seq", "pct_l2"])
def test_a_head_with_trained_parameters_gets_the_gradient_of_the_plain_form(name):
    step, arm = Step(), arm_named(name)
    layer = nn.Linear(WIDTH, VOCABULARY, dtype=torch.float64)
    trained = Head(layer.weight.detach(), module=layer)
    heads = step.heads._replace(student=trained)
    reference = Step()
    reference.heads = heads

    gradients = []
    for run in (lambda: reference.reference(arm), lambda: step.fused(arm, heads, chunk_tokens=4)):
        student = run  # each asks for the gradient of the hidden states and leaves the layer's to us
        loss, hidden = student()
        gradients.append((loss.loss.item(), hidden))

    assert not trained.is_frozen
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-12)
    assert (gradients[0][1] - gradients[1][1]).abs().max() < 1e-10


def test_the_trained_heads_own_parameters_get_their_gradient():
    step, arm = Step(), arm_named("ce+muscle")
    layer = nn.Linear(WIDTH, VOCABULARY, dtype=torch.float64)
    head, trained = Head(layer.weight.detach(), module=layer), step.targets != -100

    plain = compatibility_loss(
        head.logits(step.student), step.targets, arm,
        old_logits=step.heads.old.logits(step.old), new_logits=step.heads.new.logits(step.new),
    )  # fmt: skip
    expected = torch.autograd.grad(plain.loss, list(layer.parameters()))
    fused = fused_compatibility_loss(
        step.student[trained], step.targets[trained], arm, step.heads._replace(student=head),
        old_hidden=step.old[trained], new_hidden=step.new[trained], chunk_tokens=4,
    )  # fmt: skip
    found = torch.autograd.grad(fused.loss, list(layer.parameters()))

    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["kd_old", "kd_new", "ce_more"])  # no mask that jumps
def test_the_fused_gradient_passes_gradcheck(name):
    step, trained = Step(softcap=4.0, scale=0.5), Step().targets != -100

    def loss(student):
        return fused_compatibility_loss(
            student, step.targets[trained], arm_named(name), step.heads,
            old_hidden=step.old[trained], new_hidden=step.new[trained], chunk_tokens=4,
        ).loss  # fmt: skip

    assert torch.autograd.gradcheck(loss, step.student[trained].requires_grad_())


def test_at_initialisation_the_fused_gradient_of_right_tokens_is_zero():
    step = Step(dtype=torch.float32)
    step.student = step.new.clone()
    step.targets[1] = step.heads.new.logits(step.new[1]).argmax(-1)

    loss, gradient = step.fused(arm_named("muscle"), chunk_tokens=5)

    wrong = (step.heads.new.logits(step.new).argmax(-1) != step.targets) & (step.targets != -100)
    # a product of fewer rows may be rounded otherwise
    assert abs(loss.new_divergence.item()) < 1e-5
    assert gradient[~wrong].abs().max() < 1e-7
    assert gradient[wrong].abs().sum(-1).min() > 1e-3


@given(
    st.integers(0, 1000), st.sampled_from(sorted(ARMS)), st.integers(1, 30), st.sampled_from([0.7, 2.0, 9.0])
)
def test_any_step_in_float32_agrees_with_float64(seed, name, chunk_tokens, temperature):
    arm = arm_named(name).adjusted(temperature=temperature)
    exact, exact_gradient = Step(seed).reference(arm)
    rough = Step(seed)
    rough.student, rough.old, rough.new = rough.student.float(), rough.old.float(), rough.new.float()
    heads = Heads(*(head.to("cpu", torch.float32) for head in rough.heads))

    fused, gradient = rough.fused(arm, heads, chunk_tokens=chunk_tokens)

    assert fused.loss.dtype == gradient.dtype == torch.float32
    assert fused.loss.item() == pytest.approx(exact.loss.item(), rel=1e-4, abs=1e-4)
    assert torch.allclose(gradient.double(), exact_gradient, rtol=1e-3, atol=1e-3)


def test_micro_batches_with_a_common_denominator_add_up_to_the_whole_batch():
    step, arm = Step(), arm_named("ce+muscle")
    whole, whole_gradient = step.fused(arm)
    parts, gradients = 0.0, []
    for row in range(3):
        part = Step()
        for name in ("student", "old", "new", "targets"):
            setattr(part, name, getattr(step, name)[row : row + 1])
        loss, gradient = part.fused(arm, denominator=19.0)
        parts += loss.loss.item()
        gradients.append(gradient)

    assert parts == pytest.approx(whole.loss.item(), rel=1e-12)
    assert torch.allclose(torch.cat(gradients), whole_gradient, rtol=1e-12)


def test_a_batch_without_a_trained_token_costs_nothing():
    step = Step()
    step.targets[:] = -100

    for name in ("muscle", "ce+ll_seq", "pct"):
        loss, gradient = step.fused(arm_named(name))
        assert loss.loss.item() == 0
        assert math.isnan(loss.mask_rate.item())
        assert torch.all(gradient == 0)


def test_no_tensor_of_the_vocabulary_outlives_its_chunk():
    tokens, vocabulary = 512, 4000
    head = Head(torch.randn(vocabulary, 8))
    shapes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                shapes.append(result.numel())
            return result

    hidden = torch.randn(tokens, 8, requires_grad=True)
    with Watch():
        fused_compatibility_loss(
            hidden, torch.randint(vocabulary, (tokens,)), arm_named("muscle"), Heads(head, head, head),
            old_hidden=torch.randn(tokens, 8), new_hidden=torch.randn(tokens, 8), chunk_tokens=32,
        ).loss.backward()  # fmt: skip

    assert max(shapes) == 32 * vocabulary


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"old_hidden": None}, "arm 'muscle' reads the old model: give its head and hidden states"),
        ({"new_hidden": None}, "arm 'muscle' reads the new model: give its head and hidden states"),
        ({"chunk_tokens": 0}, "chunk_tokens: 0 is not positive"),
    ],
)
def test_what_an_arm_reads_must_be_given(change, message):
    step, trained = Step(), Step().targets != -100
    given = {"old_hidden": step.old[trained], "new_hidden": step.new[trained], **change}
    with pytest.raises(ValueError, match=f"^{message}$"):
        fused_compatibility_loss(
            step.student[trained], step.targets[trained], arm_named("muscle"), step.heads, **given
        )
    with pytest.raises(ValueError, match="arm 'muscle' reads the old model: give old_logits"):
        compatibility_loss(logits(1), some_targets(), arm_named("muscle"))
