import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.arms import ARMS, arm_named
from llm_compat.heads import Head, Heads
from llm_compat.objectives import (
    compatibility_loss,
    fused_compatibility_loss,
    likelihood_mask_sequences,
    token_kl,
    wrong_student_mask,
)
from torch import nn

VOCABULARY, WIDTH, OLD_WIDTH = 13, 6, 5


class Step:
    """Random hidden states under random heads, in float64: three rows of eight, some not trained."""

    def __init__(self, seed=0, dtype=torch.float64, softcap=None, scale=1.0, bias=True):
        random = torch.Generator().manual_seed(seed)

        def draw(*shape):
            return torch.randn(*shape, generator=random, dtype=dtype)

        def head(width):
            return Head(
                draw(VOCABULARY, width),
                draw(VOCABULARY) if bias else None,
                scale=scale,
                softcap=softcap,
            )

        self.student, self.new = draw(3, 8, WIDTH), draw(3, 8, WIDTH)
        self.old = draw(3, 8, OLD_WIDTH)
        self.targets = torch.randint(VOCABULARY, (3, 8), generator=random)
        self.targets[0, :3] = -100
        self.targets[2, 6:] = -100
        shared = head(WIDTH)
        self.heads = Heads(student=shared, old=head(OLD_WIDTH), new=shared)

    def reference(self, arm, **options):
        student = self.student.detach().requires_grad_()
        loss = compatibility_loss(
            self.heads.student.logits(student),
            self.targets,
            arm,
            old_logits=self.heads.old.logits(self.old),
            new_logits=self.heads.new.logits(self.new),
            **options,
        )
        (gradient,) = torch.autograd.grad(loss.loss, student)
        return loss, gradient

    def fused(self, arm, heads=None, **options):
        student, trained = self.student.detach().requires_grad_(), self.targets != -100
        loss = fused_compatibility_loss(
            student[trained],
            self.targets[trained],
            arm,
            heads or self.heads,
            old_hidden=self.old[trained],
            new_hidden=self.new[trained],
            sequences=trained.nonzero()[:, 0],
            **options,
        )
        (gradient,) = torch.autograd.grad(loss.loss, student)
        return loss, gradient


def logits(seed, rows=2, length=5, scale=2.0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, VOCABULARY, generator=random, dtype=torch.float64) * scale


def some_targets(rows=2, length=5, seed=9):
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


# oracles of the loss ----------------------------------------------------------------------------------------


def test_the_divergence_is_torchs_forward_kl_with_the_teacher_first():
    student, teacher = logits(1), logits(2)

    ours = token_kl(student, teacher, 2.0)

    theirs = F.kl_div(
        F.log_softmax(student / 2, -1), F.log_softmax(teacher / 2, -1), log_target=True, reduction="none"
    ).sum(-1)
    assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(ours, token_kl(teacher, student, 2.0), rtol=0.01)


def test_a_mask_of_ones_is_torchs_batch_mean():
    student, old, targets = logits(1), logits(2), some_targets()

    ours = compatibility_loss(student, targets, arm_named("kd_old"), old_logits=old).loss

    flat = [F.log_softmax(one.flatten(0, 1) / 2, -1) for one in (student, old)]
    assert ours.item() == pytest.approx(F.kl_div(*flat, log_target=True, reduction="batchmean").item(), 1e-12)


def test_muscle_is_the_papers_formula_token_by_token():
    student, old, new, targets = logits(1), logits(2), logits(3), some_targets()
    targets[1, 1:] = student[1, 1:].argmax(-1)
    by_hand = masked = 0.0
    for row in range(2):
        for i in range(5):
            wrong = student[row, i].argmax() != targets[row, i]
            p, q = (torch.softmax(z[row, i] / 2, -1) for z in (student, old if wrong else new))
            by_hand += (q * (q / p).log()).sum().item() / 10
            masked += wrong.item()

    loss = compatibility_loss(student, targets, arm_named("muscle"), old_logits=old, new_logits=new)

    assert loss.loss.item() == pytest.approx(by_hand, rel=1e-12)
    assert 0 < masked < 10
    assert loss.mask_rate.item() == masked / 10
    assert loss.tokens.item() == 10


def test_at_initialisation_only_wrong_tokens_have_a_loss_and_a_gradient():
    new, old, targets = logits(3), logits(2), some_targets()
    targets[0] = new[0].argmax(-1)  # the first row is right throughout
    student = new.clone().requires_grad_()

    loss = compatibility_loss(student, targets, arm_named("muscle"), old_logits=old, new_logits=new)
    loss.loss.backward()

    wrong = student.argmax(-1) != targets
    assert loss.loss.item() == pytest.approx((token_kl(new, old, 2.0) * wrong).sum().item() / 10, rel=1e-12)
    assert torch.all(student.grad[~wrong].abs() < 1e-15)
    assert torch.all(student.grad[wrong].abs().sum(-1) > 1e-3)


def test_three_equal_models_have_no_loss():
    same = logits(4)
    loss = compatibility_loss(same, some_targets(), arm_named("muscle"), old_logits=same, new_logits=same)
    assert loss.loss.item() == 0


def test_the_gradient_is_the_difference_of_the_distributions_over_temperature_and_tokens():
    student, old, new, targets = logits(1).requires_grad_(), logits(2), logits(3), some_targets()

    compatibility_loss(student, targets, arm_named("muscle"), old_logits=old, new_logits=new).loss.backward()

    wrong = (student.argmax(-1) != targets)[..., None]
    teacher = torch.softmax(torch.where(wrong, old, new) / 2, -1)
    expected = (torch.softmax(student / 2, -1) - teacher) / (2.0 * 10)
    assert torch.allclose(student.grad, expected, rtol=1e-12, atol=1e-15)


def test_at_high_temperature_the_divergence_is_the_variance_of_the_difference_of_logits():
    student, teacher, temperature = logits(1), logits(2), 1e4

    ours = token_kl(student, teacher, temperature)

    difference = student - teacher
    variance = (difference - difference.mean(-1, keepdim=True)).square().sum(-1)
    assert torch.allclose(ours, variance / (2 * VOCABULARY * temperature**2), rtol=1e-3)


@pytest.mark.parametrize(("weight", "alike"), [(1.0, "muscle"), (0.0, "ce_more")])
def test_lambda_goes_from_cross_entropy_alone_to_distillation_alone(weight, alike):
    student, old, new, targets = logits(1), logits(2), logits(3), some_targets()
    given = {"old_logits": old, "new_logits": new}

    mixed = compatibility_loss(
        student, targets, arm_named("ce+muscle").adjusted(distillation_weight=weight), **given
    )

    assert mixed.loss.item() == pytest.approx(
        compatibility_loss(student, targets, arm_named(alike), **given).loss.item(), rel=1e-12
    )


def test_the_default_lambda_weighs_both_terms_alike():
    student, old, new, targets = logits(1), logits(2), logits(3), some_targets()
    given = {"old_logits": old, "new_logits": new}

    mixed = compatibility_loss(student, targets, arm_named("ce+muscle"), **given)

    distillation = compatibility_loss(student, targets, arm_named("muscle"), **given).loss
    cross_entropy = F.cross_entropy(student.flatten(0, 1), targets.flatten())
    assert mixed.loss.item() == pytest.approx((distillation + cross_entropy).item() / 2, rel=1e-12)


def test_focal_distillation_weighs_what_the_old_model_got_right_six_times():
    student, old, targets = logits(1), logits(2), some_targets()
    right = (old.argmax(-1) == targets).double()
    targets[right == 0] = torch.where(torch.arange(10).view(2, 5) % 2 == 0, old.argmax(-1), targets)[
        right == 0
    ]
    right = (old.argmax(-1) == targets).double()
    assert 0 < right.sum() < 10
    cross_entropy = F.cross_entropy(student.flatten(0, 1), targets.flatten()).item()

    for name, distance in (
        ("pct", 100.0**2 * token_kl(student, old, 100.0)),
        ("pct_l2", (student - old).square().sum(-1) / 2),
    ):
        loss = compatibility_loss(student, targets, arm_named(name), old_logits=old).loss
        expected = cross_entropy + ((1 + 5 * right) * distance).mean().item()
        assert loss.item() == pytest.approx(expected, rel=1e-10)


def test_conditional_distillation_and_the_new_error_loss_follow_their_definitions():
    student, old, targets = logits(1), logits(2), some_targets()
    of_student, of_old = (
        F.cross_entropy(z.flatten(0, 1), targets.flatten(), reduction="none").view(2, 5)
        for z in (student, old)
    )
    better, right = of_old < of_student, old.argmax(-1) == targets
    distilled = 0.5 * 4 * token_kl(student, old, 2.0) + 0.5 * of_student

    xie = compatibility_loss(student, targets, arm_named("xie"), old_logits=old).loss
    new_error = compatibility_loss(student, targets, arm_named("new_error"), old_logits=old).loss

    assert xie.item() == pytest.approx(torch.where(better, distilled, of_student).mean().item(), rel=1e-12)
    assert new_error.item() == pytest.approx(((1 + right.double()) * of_student).mean().item(), rel=1e-12)


# what counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARMS)
def test_tokens_that_are_not_trained_leave_the_mean_and_have_no_gradient(name):
    step = Step()
    loss, gradient = step.reference(arm_named(name))
    step.student[step.targets == -100] = 100.0
    step.old[step.targets == -100] = -100.0

    again, _ = step.reference(arm_named(name))

    assert loss.loss.item() == again.loss.item()
    assert loss.tokens.item() == 24 - 5
    assert torch.all(gradient[step.targets == -100] == 0)


def test_the_mask_is_the_students_and_follows_it():
    targets = torch.tensor([[1, 2, 3, 4, 5]])
    copies = F.one_hot(targets, VOCABULARY).double()
    forgot = copies.clone()
    forgot[0, 2] = F.one_hot(torch.tensor(0), VOCABULARY)

    assert wrong_student_mask(copies, targets).tolist() == [[False] * 5]
    assert wrong_student_mask(forgot, targets).tolist() == [[False, False, True, False, False]]


def test_a_sequence_is_masked_as_a_whole_by_its_summed_likelihood():
    student = torch.tensor([-1.0, -5.0, -2.0, -2.0])
    old = torch.tensor([-2.0, -1.0, -3.0, -1.5])
    sequences = torch.tensor([0, 0, 2, 2])

    # row 0: -6 against -3; row 2: -4 against -4.5
    assert likelihood_mask_sequences(student, old, sequences).tolist() == [True, True, False, False]


# the fused form ---------------------------------------------------------------------------------------------


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
