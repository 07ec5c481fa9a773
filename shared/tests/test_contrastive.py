"""The contrastive loss, alone and over two processes."""

import math
import os
import subprocess
import sys

import pytest
import torch
from toolkit_shared.contrastive import clamp_logit_scale, clip_loss, gather_features, own_rows
from torch.nn import functional as F

PROGRAM = """
import sys
import torch
from toolkit_shared.contrastive import clip_loss, gather_features, own_rows

def main():
    rank, folder = int(sys.argv[1]), sys.argv[2]
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    inputs = torch.load(f"{folder}/inputs.pt", weights_only=True)
    rows = slice(3 * rank, 3 * rank + 3)
    weights = inputs["weights"].requires_grad_()
    scale = inputs["scale"].requires_grad_()
    features = torch.nn.functional.normalize(inputs["images"][rows] @ weights, dim=1)
    images, texts = gather_features(features), gather_features(inputs["texts"][rows])
    loss = clip_loss(images, texts, scale, offset=own_rows(3), num_rows=3)
    loss.backward()
    results = [loss.detach(), weights.grad, scale.grad]
    for value in results:  # as data-parallel training averages them
        torch.distributed.all_reduce(value)
        value /= 2
    if rank == 0:
        torch.save([*results, images.detach()], f"{folder}/results.pt")
    torch.distributed.destroy_process_group()

main()
"""


def features(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_aligned_rows_that_are_orthogonal_have_the_loss_of_the_formula():
    eye = torch.eye(4, dtype=torch.float64)
    expected = math.log(math.exp(7.0) + 3) - 7.0
    assert clip_loss(eye, eye, 7.0).item() == pytest.approx(expected, abs=1e-12)


def test_features_that_say_nothing_cost_the_logarithm_of_the_batch():
    same = F.normalize(torch.ones(5, 3, dtype=torch.float64), dim=1)
    assert clip_loss(same, same, 50.0).item() == pytest.approx(math.log(5), abs=1e-12)


def test_own_rows_average_to_the_whole_batch():
    images, texts = (F.normalize(features(6, 4, seed=seed), dim=1) for seed in (1, 2))
    parts = [clip_loss(images, texts, 9.0, offset=offset, num_rows=2) for offset in (0, 2, 4)]
    assert sum(parts).item() / 3 == pytest.approx(clip_loss(images, texts, 9.0).item(), abs=1e-12)


def test_without_a_process_group_features_stay_as_they_are():
    rows = torch.ones(2, 3, requires_grad=True)
    assert gather_features(rows) is rows
    assert own_rows(2) == 0


def test_half_precision_under_autocast_is_computed_in_single_precision():
    images, texts = (F.normalize(features(6, 4, seed=seed), dim=1).bfloat16() for seed in (1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        found = clip_loss(images, texts, 100.0)
    assert found.item() == pytest.approx(clip_loss(images.float(), texts.float(), 100.0).item(), abs=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(9.0, math.log(100)), (-1.0, 0.0), (2.0, 2.0)])
def test_the_logit_scale_stays_between_1_and_100(value, expected):
    parameter = torch.nn.Parameter(torch.tensor(value))
    clamp_logit_scale(parameter)
    assert parameter.item() == pytest.approx(expected)


def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path):
    inputs = {
        "images": features(6, 5, seed=1),
        "weights": features(5, 4, seed=2),
        "texts": F.normalize(features(6, 4, seed=3), dim=1),
        "scale": torch.tensor(12.0, dtype=torch.float64),
    }
    torch.save(inputs, tmp_path / "inputs.pt")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rank), str(tmp_path)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors

    weights, scale = inputs["weights"].requires_grad_(), inputs["scale"].requires_grad_()
    images = F.normalize(inputs["images"] @ weights, dim=1)
    loss = clip_loss(images, inputs["texts"], scale)
    loss.backward()
    found = torch.load(tmp_path / "results.pt", weights_only=True)
    for two, one in zip(found, (loss.detach(), weights.grad, scale.grad, images.detach()), strict=True):
        assert torch.allclose(two, one, atol=1e-12)
