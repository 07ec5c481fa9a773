import math

import pytest
import torch
from toolkit_shared.optimization import cosine_schedule, parameter_groups


def test_only_matrices_decay_and_frozen_parameters_have_no_group():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
    model[2].weight.requires_grad_(False)

    decayed, others = parameter_groups(model, 0.1)

    assert [parameter is model[0].weight for parameter in decayed["params"]] == [True]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert [tuple(parameter.shape) for parameter in others["params"]] == [(3,), (3,), (3,), (1,)]
    assert len(parameter_groups(torch.nn.LayerNorm(3), 0.1)) == 1


def test_the_schedule_warms_up_linearly_and_ends_at_the_final_rate():
    def rate(step):
        return cosine_schedule(step, warmup_steps=4, total_steps=12, lr=1.0, final_lr=0.2)

    assert [rate(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate(8) == pytest.approx(0.6)  # half way
    assert rate(6) == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi / 4)))
    assert rate(12) == rate(99) == pytest.approx(0.2)
    assert cosine_schedule(0, warmup_steps=0, total_steps=0, lr=1.0, final_lr=0.5) == 1.0
    with pytest.raises(ValueError, match="must not be negative"):
        rate(-1)


def test_vectors_decay_too_where_that_is_asked_for():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))

    groups = parameter_groups(model, 0.1, decay_vectors=True)

    assert [group["weight_decay"] for group in groups] == [0.1, 0.1]
    assert [len(group["params"]) for group in groups] == [1, 3]
