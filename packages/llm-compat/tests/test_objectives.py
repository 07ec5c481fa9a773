import pytest
import torch
import torch.nn.functional as F
from llm_compat.arms import ARMS, arm_named
from llm_compat.objectives import (
    compatibility_loss,
    likelihood_mask_sequences,
    token_kl,
    wrong_student_mask,
)
from loss_steps import VOCABULARY, Step, logits, some_targets

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
