import math

import pytest
import torch
import torch.nn.functional as F
from toolkit_shared.language_model.objectives import (
    LossSums,
    chunked_next_token_loss,
    next_token_loss,
    weighted_loss,
)


def small_batch():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7) * 3
    targets = torch.tensor([[1, 2, -100, 6, 0], [-100, 3, 3, -100, 5]])
    return logits, targets


def test_uniform_logits_cost_the_log_of_the_vocabulary():
    sums = next_token_loss(torch.zeros(1, 3, 16), torch.tensor([[0, 9, -100]]))

    assert sums.cross_entropy.item() == pytest.approx(2 * math.log(16))
    assert sums.z.item() == pytest.approx(2 * math.log(16) ** 2)
    assert sums.predicted.item() == 2


def test_the_sums_equal_the_definitions_position_by_position():
    logits, targets = small_batch()
    cross_entropy = z = count = 0.0
    for row in range(2):
        for t in range(5):
            if targets[row, t] != -100:
                partition = logits[row, t].exp().sum().log().item()
                cross_entropy += partition - logits[row, t, targets[row, t]].item()
                z += partition**2
                count += 1

    sums = next_token_loss(logits, targets)

    assert sums.cross_entropy.item() == pytest.approx(cross_entropy, rel=1e-5)
    assert sums.z.item() == pytest.approx(z, rel=1e-5)
    assert sums.predicted.item() == count == 7


def test_ignored_positions_count_in_neither_term_nor_in_the_gradient():
    logits, targets = small_batch()
    louder = logits.clone()
    louder[targets == -100] = 50.0
    louder.requires_grad_()

    sums = next_token_loss(louder, targets)
    weighted_loss(sums, 1.0, z_loss_coefficient=0.5).backward()

    plain = next_token_loss(logits, targets)
    assert sums.cross_entropy.item() == pytest.approx(plain.cross_entropy.item())
    assert sums.z.item() == pytest.approx(plain.z.item())
    assert torch.all(louder.grad[targets == -100] == 0)
    assert torch.all(louder.grad[targets != -100].abs().sum(-1) > 0)


def test_a_fully_ignored_batch_costs_nothing_and_has_no_gradient():
    logits = torch.randn(1, 4, 7, requires_grad=True)
    sums = next_token_loss(logits, torch.full((1, 4), -100))
    weighted_loss(sums, 0.25, z_loss_coefficient=1.0).backward()

    assert (sums.cross_entropy.item(), sums.z.item(), sums.predicted.item()) == (0, 0, 0)
    assert torch.all(logits.grad == 0)


def test_the_mean_with_z_loss_is_that_of_torch_and_of_the_released_recipe():
    logits, targets = small_batch()
    kept = targets != -100
    expected = (
        F.cross_entropy(logits[kept], targets[kept]) + 1e-4 * logits[kept].logsumexp(-1).square().mean()
    )

    sums = next_token_loss(logits, targets)

    assert weighted_loss(sums, 1 / 7, z_loss_coefficient=1e-4).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


@pytest.mark.parametrize("chunk_tokens", [1, 3, 10, 64])
def test_chunks_give_the_same_sums_and_gradients(chunk_tokens):
    torch.manual_seed(1)
    _, targets = small_batch()
    gradients, sums = [], []
    for chunked in (False, True):
        torch.manual_seed(2)
        project = torch.nn.Linear(4, 7, bias=False)
        hidden = torch.randn(2, 5, 4, requires_grad=True)
        parts = (
            chunked_next_token_loss(hidden, project, targets, chunk_tokens=chunk_tokens)
            if chunked
            else next_token_loss(project(hidden), targets)
        )
        weighted_loss(parts, 0.1, z_loss_coefficient=0.3).backward()
        gradients.append((hidden.grad, project.weight.grad))
        sums.append([part.item() for part in parts])

    assert sums[0] == pytest.approx(sums[1], rel=1e-6)
    for whole, in_parts in zip(*gradients, strict=True):
        assert torch.allclose(whole, in_parts, rtol=1e-5, atol=1e-6)


def test_a_chunk_of_no_tokens_is_refused():
    targets = torch.zeros(1, 1, dtype=torch.long)
    with pytest.raises(ValueError, match="chunk_tokens: 0 is not positive"):
        chunked_next_token_loss(torch.zeros(1, 1, 1), torch.nn.Identity(), targets, chunk_tokens=0)


def test_losses_of_shares_weighed_by_the_global_count_average_to_the_whole():
    logits, targets = small_batch()
    whole = weighted_loss(next_token_loss(logits, targets), 1 / 7, z_loss_coefficient=0.1)
    shares = [next_token_loss(logits[row : row + 1], targets[row : row + 1]) for row in range(2)]

    # two ranks of unequal token counts (4 and 3), each with weight W / global count
    mean = sum(weighted_loss(share, 2 / 7, z_loss_coefficient=0.1) for share in shares) / 2

    assert [share.predicted.item() for share in shares] == [4, 3]
    assert mean.item() == pytest.approx(whole.item(), rel=1e-6)


def test_half_precision_logits_are_summed_in_float32():
    logits = torch.randn(1, 300, 11).bfloat16()
    sums = next_token_loss(logits, torch.zeros(1, 300, dtype=torch.int32))
    assert isinstance(sums, LossSums)
    assert sums.cross_entropy.dtype == sums.z.dtype == torch.float32
