"""The losses against values computed without random numbers, identities, and open_clip."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileclip.objectives import (
    clip_loss,
    distillation_loss,
    reinforced_loss,
    sigmoid_losses,
    split_teachers,
    teacher_entropy,
    teacher_targets,
)
from torch.nn import functional as F

BATCH, STUDENT_WIDTH, TEACHER_WIDTH = 5, 8, 6


def waves(a, b, c, width, batch=BATCH):
    """Rows of unit length, cos(a i + b j + c i j), in float64."""
    i, j = (torch.arange(size, dtype=torch.float64) for size in (batch, width))
    return F.normalize(torch.cos(a * i[:, None] + b * j + c * i[:, None] * j), dim=1)


IMAGES = waves(0.7, 1.3, 0.11, STUDENT_WIDTH)
REAL, SYNTHETIC = waves(0.5, 1.1, 0.17, STUDENT_WIDTH), waves(0.9, 0.4, 0.23, STUDENT_WIDTH)
SCALE = 20.0
TEACHER_IMAGES = [waves(0.31, 1.9, 0.29, TEACHER_WIDTH), waves(0.83, 0.6, 0.13, TEACHER_WIDTH)]
TEACHER_REAL = [waves(0.37, 1.7, 0.31, TEACHER_WIDTH), waves(0.71, 0.8, 0.19, TEACHER_WIDTH)]
TEACHER_SYNTHETIC = [waves(0.41, 1.5, 0.27, TEACHER_WIDTH), waves(0.77, 0.7, 0.21, TEACHER_WIDTH)]


def golden(value):
    return pytest.approx(value, abs=6e-10)


def total(scales, weight):
    return reinforced_loss(
        IMAGES,
        [REAL, SYNTHETIC],
        SCALE,
        TEACHER_IMAGES,
        [TEACHER_REAL, TEACHER_SYNTHETIC],
        scales,
        distillation_weight=weight,
    )


def cross_entropy(targets, logits):
    return -(targets * logits.log_softmax(1)).sum(1).mean()


@pytest.mark.parametrize(("texts", "expected"), [(REAL, 2.390277043), (SYNTHETIC, 6.840545732)])
def test_the_contrastive_loss_has_the_golden_values(texts, expected):
    assert clip_loss(IMAGES, texts, SCALE).item() == golden(expected)


@pytest.mark.parametrize(
    ("scales", "real", "synthetic"),
    [((100, 100), 7.319441218, 5.109397581), ((70, 60), 7.373110720, 5.125774571)],
)
def test_the_distillation_loss_has_the_golden_values(scales, real, synthetic):
    for texts, taught, expected in ((REAL, TEACHER_REAL, real), (SYNTHETIC, TEACHER_SYNTHETIC, synthetic)):
        value = distillation_loss(IMAGES, texts, SCALE, TEACHER_IMAGES, taught, scales)
        assert value.item() == golden(expected)


@pytest.mark.parametrize(
    ("scales", "weight", "expected"),
    [
        ((100, 100), 0.75, 11.629334793),
        ((100, 100), 1.0, 12.428838799),
        ((70, 60), 0.75, 11.681869662),
        ((70, 60), 1.0, 12.498885291),
    ],
)
def test_the_total_is_the_golden_sum_of_both_caption_streams(scales, weight, expected):
    found = total(scales, weight)
    assert found.loss.item() == golden(expected)
    assert found.contrastive.item() == golden(2.390277043 + 6.840545732)


def test_averaging_the_logits_of_teachers_gives_the_known_wrong_value():
    logits = sum(100 * u @ v.T for u, v in zip(TEACHER_IMAGES, TEACHER_REAL, strict=True)) / 2
    student = SCALE * IMAGES @ REAL.T
    wrong = (cross_entropy(logits.softmax(1), student) + cross_entropy(logits.T.softmax(1), student.T)) / 2
    assert wrong.item() == golden(5.007095363)


def test_transposed_targets_give_the_known_wrong_value():
    per_image, _ = teacher_targets(TEACHER_IMAGES, TEACHER_REAL, (100, 100))
    student = SCALE * IMAGES @ REAL.T
    wrong = (cross_entropy(per_image, student) + cross_entropy(per_image.T, student.T)) / 2
    assert wrong.item() == golden(7.917775781)


def test_one_softmax_over_teachers_normalised_together_is_another_loss():
    together = [F.normalize(torch.cat(parts, 1), dim=1) for parts in (TEACHER_IMAGES, TEACHER_REAL)]
    wrong = distillation_loss(IMAGES, REAL, SCALE, [together[0]], [together[1]], [100])
    assert abs(wrong.item() - 7.319441218) > 0.1


def test_a_student_that_equals_its_teacher_has_no_gradient_and_the_entropy_as_loss():
    images, texts = IMAGES.clone().requires_grad_(), REAL.clone().requires_grad_()
    scale = torch.tensor(30.0, dtype=torch.float64, requires_grad=True)
    found = reinforced_loss(images, [texts], scale, [IMAGES], [[REAL]], [30.0])
    found.loss.backward()

    entropy = teacher_entropy(*teacher_targets([IMAGES], [REAL], [30.0]))
    assert found.loss.item() == pytest.approx(entropy.item(), abs=1e-12)
    assert abs(found.divergence.item()) < 1e-12
    assert all(tensor.grad.abs().max() < 1e-12 for tensor in (images, texts, scale))


def test_the_divergence_is_the_kl_divergence_of_the_targets():
    targets = teacher_targets(TEACHER_IMAGES, TEACHER_REAL, (70, 60))
    logits = SCALE * IMAGES @ REAL.T
    expected = sum(
        F.kl_div(one.log_softmax(1), target, reduction="batchmean")
        for one, target in zip((logits, logits.T), targets, strict=True)
    )
    found = reinforced_loss(IMAGES, [REAL], SCALE, TEACHER_IMAGES, [TEACHER_REAL], (70, 60))
    assert found.divergence.item() == pytest.approx(expected.item() / 2, abs=1e-12)


def test_the_gradient_is_that_of_the_mean_of_the_divergences_of_the_teachers():
    gradients = []
    for of_each in (False, True):
        images = IMAGES.clone().requires_grad_()
        if of_each:
            loss = sum(
                distillation_loss(images, REAL, SCALE, [u], [v], [t])
                for u, v, t in zip(TEACHER_IMAGES, TEACHER_REAL, (70, 60), strict=True)
            )
            loss = loss / 2
        else:
            loss = distillation_loss(images, REAL, SCALE, TEACHER_IMAGES, TEACHER_REAL, (70, 60))
        loss.backward()
        gradients.append(images.grad)
    assert torch.allclose(*gradients, atol=1e-13)


def test_two_equal_teachers_are_one_and_their_order_does_not_count():
    one = distillation_loss(IMAGES, REAL, SCALE, TEACHER_IMAGES[:1], TEACHER_REAL[:1], [70])
    two = distillation_loss(IMAGES, REAL, SCALE, TEACHER_IMAGES[:1] * 2, TEACHER_REAL[:1] * 2, [70] * 2)
    assert two.item() == pytest.approx(one.item(), abs=1e-12)
    there = distillation_loss(IMAGES, REAL, SCALE, TEACHER_IMAGES, TEACHER_REAL, (70, 60))
    back = distillation_loss(IMAGES, REAL, SCALE, TEACHER_IMAGES[::-1], TEACHER_REAL[::-1], (60, 70))
    assert back.item() == pytest.approx(there.item(), abs=1e-12)


def test_certain_teachers_that_are_right_give_the_contrastive_loss():
    aligned = waves(0.31, 1.9, 0.29, TEACHER_WIDTH)
    found = distillation_loss(IMAGES, REAL, SCALE, [aligned], [aligned], [1e6])
    assert found.item() == pytest.approx(clip_loss(IMAGES, REAL, SCALE).item(), abs=1e-12)


def test_one_teacher_is_the_loss_of_open_clip():
    from open_clip.loss import DistillClipLoss

    contrastive, distilled = DistillClipLoss()(
        *(IMAGES, REAL, SCALE, TEACHER_IMAGES[0], TEACHER_REAL[0], 100.0)
    )
    found = reinforced_loss(
        IMAGES, [REAL], SCALE, TEACHER_IMAGES[:1], [TEACHER_REAL[:1]], [100.0], distillation_weight=0.5
    )
    assert found.contrastive.item() == pytest.approx(contrastive.item(), abs=1e-12)
    assert found.distillation.item() == pytest.approx(distilled.item(), abs=1e-12)
    assert found.loss.item() == pytest.approx((contrastive + distilled).item() / 2, abs=1e-12)


def test_the_contrastive_loss_is_that_of_open_clip():
    from open_clip.loss import ClipLoss

    assert clip_loss(IMAGES, REAL, SCALE).item() == pytest.approx(
        ClipLoss()(IMAGES, REAL, SCALE).item(), abs=1e-12
    )


@given(weight=st.floats(0, 1), seed=st.integers(0, 999))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_the_total_is_linear_in_lambda_and_knows_no_order_of_rows_or_rotation(weight, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(BATCH, generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=generator))
    found = reinforced_loss(
        IMAGES[order],
        [REAL[order], SYNTHETIC[order]],
        SCALE,
        [TEACHER_IMAGES[0][order] @ turn, TEACHER_IMAGES[1][order]],
        [
            [TEACHER_REAL[0][order] @ turn, TEACHER_REAL[1][order]],
            [TEACHER_SYNTHETIC[0][order] @ turn, TEACHER_SYNTHETIC[1][order]],
        ],
        (70, 60),
        distillation_weight=weight,
    )
    ends = [total((70, 60), end).loss.item() for end in (0.0, 1.0)]
    assert found.loss.item() == pytest.approx((1 - weight) * ends[0] + weight * ends[1], abs=1e-9)


def test_own_rows_against_all_columns_average_to_the_whole():
    images = waves(0.7, 1.3, 0.11, 8, batch=6)
    real, syn = waves(0.5, 1.1, 0.17, 8, batch=6), waves(0.9, 0.4, 0.23, 8, batch=6)
    teacher = [waves(0.31, 1.9, 0.29, 6, batch=6)]
    arguments = (images, [real, syn], SCALE, teacher, [[waves(0.4, 1.7, 0.3, 6, batch=6)]] * 2, [50.0])
    whole = reinforced_loss(*arguments, distillation_weight=0.75)
    halves = [
        reinforced_loss(*arguments, distillation_weight=0.75, offset=offset, num_rows=3) for offset in (0, 3)
    ]
    for name in whole._fields:
        mean = sum(getattr(half, name).item() for half in halves) / 2
        assert mean == pytest.approx(getattr(whole, name).item(), abs=1e-12)


def test_a_term_of_weight_zero_cannot_spoil_the_loss():
    teachers = [torch.full_like(TEACHER_IMAGES[0], math.inf)]
    found = reinforced_loss(IMAGES, [REAL], SCALE, teachers, [teachers], [100.0], distillation_weight=0.0)
    assert found.loss.item() == golden(2.390277043)


def test_without_teachers_it_is_the_contrastive_loss_of_each_stream():
    found = reinforced_loss(IMAGES, [REAL, SYNTHETIC], SCALE, distillation_weight=0.0)
    assert found.loss.item() == golden(2.390277043 + 6.840545732)
    assert (found.distillation.item(), found.divergence.item()) == (0, 0)


def test_features_of_half_precision_give_a_loss_in_single_precision():
    rounded = [tensor.to(torch.bfloat16) for tensor in (IMAGES, REAL, TEACHER_IMAGES[0], TEACHER_REAL[0])]
    exact = [tensor.float() for tensor in rounded]
    with torch.autocast("cpu", torch.bfloat16):
        found = distillation_loss(*rounded[:2], SCALE, rounded[2:3], rounded[3:], [100.0])
    assert found.dtype == torch.float32
    expected = distillation_loss(*exact[:2], SCALE, exact[2:3], exact[3:], [100.0])
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_sigmoid_loss_is_that_of_open_clip_and_its_distillation_that_of_the_formula():
    from open_clip.loss import SigLipLoss

    contrastive, distilled = sigmoid_losses(
        *(IMAGES, REAL, SCALE, -10.0, TEACHER_IMAGES, TEACHER_REAL, (70.0, 60.0), (-9.0, -8.0))
    )
    assert contrastive.item() == pytest.approx(SigLipLoss()(IMAGES, REAL, SCALE, -10.0).item(), abs=1e-12)
    expected = 0.0
    for i in range(BATCH):
        for j in range(BATCH):
            logit = SCALE * float(IMAGES[i] @ REAL[j]) - 10
            held = [
                1 / (1 + math.exp(-(scale * float(u[i] @ v[j]) + bias)))
                for u, v, scale, bias in zip(TEACHER_IMAGES, TEACHER_REAL, (70, 60), (-9, -8), strict=True)
            ]
            expected += math.log1p(math.exp(-(2 * sum(held) / 2 - 1) * logit)) / BATCH
    assert distilled.item() == pytest.approx(expected, abs=1e-10)
    found = reinforced_loss(
        *(IMAGES, [REAL], SCALE, TEACHER_IMAGES, [TEACHER_REAL], (70.0, 60.0)),
        distillation="sigmoid",
        logit_bias=-10.0,
        teacher_biases=(-9.0, -8.0),
        distillation_weight=0.25,
    )
    assert found.loss.item() == pytest.approx(0.75 * contrastive.item() + 0.25 * expected, abs=1e-10)
    assert math.isnan(found.divergence.item())


def test_a_sigmoid_label_of_own_rows_stands_on_the_right_diagonal():
    whole = sigmoid_losses(IMAGES, REAL, SCALE, -10.0)[0]
    parts = [
        sigmoid_losses(IMAGES, REAL, SCALE, -10.0, offset=offset, num_rows=rows)[0] * rows
        for offset, rows in ((0, 2), (2, 3))
    ]
    assert sum(parts).item() / BATCH == pytest.approx(whole.item(), abs=1e-12)


def test_embeddings_of_teachers_are_split_by_their_widths():
    first, second = split_teachers(torch.cat(TEACHER_IMAGES, 1), (6, 6))
    assert torch.equal(first, TEACHER_IMAGES[0])
    assert torch.equal(second, TEACHER_IMAGES[1])
    with pytest.raises(ValueError, match=r"widths \(6, 5\) do not sum to 12"):
        split_teachers(torch.cat(TEACHER_IMAGES, 1), (6, 5))


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="without a teacher; give 0"):
        reinforced_loss(IMAGES, [REAL], SCALE)
    with pytest.raises(ValueError, match="not from 0 to 1"):
        reinforced_loss(IMAGES, [REAL], SCALE, distillation_weight=1.5)
    with pytest.raises(ValueError, match="2 caption streams, and teachers of 1"):
        reinforced_loss(IMAGES, [REAL, SYNTHETIC], SCALE, TEACHER_IMAGES, [TEACHER_REAL], (1, 1))
    with pytest.raises(ValueError, match="give as many of each"):
        teacher_targets(TEACHER_IMAGES, TEACHER_REAL, [100])
