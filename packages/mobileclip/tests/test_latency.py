"""Times of the encoders."""

import torch
from mobileclip.evaluation.latency import latency_table, measure_latency
from mobileclip.models.factory import create_model


def test_every_runtime_is_timed_and_folding_takes_parameters_away():
    before = torch.get_num_threads()
    rows = measure_latency(create_model("MobileCLIP-Tiny"), repeats=3)
    assert [(row.tower, row.runtime) for row in rows] == [
        (tower, runtime) for tower in ("image", "text") for runtime in ("torch", "torch-folded", "onnx")
    ]
    sizes = {row.runtime: row.parameters for row in rows if row.tower == "image"}
    assert sizes["torch-folded"] < sizes["torch"]
    assert sizes["onnx"] == sizes["torch-folded"]
    assert all(0 < row.fastest_ms <= row.median_ms <= row.slowest_ms for row in rows)
    assert len(latency_table(rows).splitlines()) == 7
    assert torch.get_num_threads() == before


def test_the_model_keeps_the_layout_that_it_came_in():
    model = create_model("MobileCLIP-Tiny")
    layouts = {name: value.stride() for name, value in model.state_dict().items()}
    measure_latency(model, towers=("image",), runtimes=("torch", "torch-folded"), repeats=1)
    assert {name: value.stride() for name, value in model.state_dict().items()} == layouts


def test_a_further_encoder_is_timed_in_the_same_rounds():
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 4))
    rows = measure_latency(
        create_model("MobileCLIP-Tiny"),
        towers=("image",),
        runtimes=("torch-folded",),
        repeats=2,
        others={"linear": other},
    )
    assert [row.runtime for row in rows] == ["torch-folded", "linear"]
    assert rows[1].parameters == 3 * 64 * 64 * 4 + 4
