import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from llm_compat.arms import arm_named
from llm_compat.model.adapters import student_from_adapter, student_from_base
from llm_compat.model.loading import load_causal_lm
from llm_compat.settings.training import (
    ExampleSettings,
    ExecutionSettings,
    ModelSettings,
    OptimizationSettings,
)
from llm_compat.training.datamodule import RowsDataModule
from llm_compat.training.metrics import read_lines
from llm_compat.training.module import CompatibilityTraining
from llm_compat.training.preparing import read_rows, source_fingerprint
from llm_compat.training.running import train_compatibility_adapter
from llm_compat.training.teachers import LiveSource
from safetensors.torch import load_file
from toolkit_shared.errors import InputError
from toolkit_shared.training import trainer_defaults

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import tiny_models  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

EXAMPLES = ExampleSettings()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two bases with task adapters, the new one with dropout, and sums to learn."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed, more in (("v1", 1, {}), ("v2", 2, {"lora_dropout": 0.1})):
        base = tiny_models.save_model(folder / name, seed=seed)
        tiny_models.save_adapter_for(base, folder / f"{name}-task", **more)
    records = [{"prompt": f"{a}+{b}=", "completion": str(a + b)} for a in range(6) for b in range(5)]
    (folder / "data.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def train(
    folder,
    out,
    *,
    epochs=3,
    batch_size=2,
    accumulate=2,
    arm="ce+muscle",
    select_by="cross-entropy",
    adapter="v2-task",
    **more,
):
    return train_compatibility_adapter(
        out,
        data=folder / "data.jsonl",
        new=ModelSettings(model=str(folder / "v2"), adapter=str(folder / adapter)),
        old=ModelSettings(model=str(folder / "v1"), adapter=str(folder / "v1-task")),
        arm=arm,
        optimization=OptimizationSettings(
            lr=1e-2,
            epochs=epochs,
            batch_size=batch_size,
            accumulate=accumulate,
            warmup_steps=2,
            select_by=select_by,
        ),
        execution=ExecutionSettings(checkpoint_steps=4, log_steps=3),
        device="cpu",
        **more,
    )


class Cut(Exception):
    """Stands for whatever ends a process."""


def cut_after(steps):
    done = 0

    def advance(number):
        nonlocal done
        done += number
        if done >= steps:
            raise Cut

    return advance


def same_files(one, other):
    for name in ("adapter/adapter_model.safetensors", "metrics.jsonl", "validation.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A run that nothing interrupted: 24 rows, four a step, three epochs."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return train(folder, out), out


@pytest.mark.parametrize("steps", [2, 6, 7, 13])
def test_a_run_cut_anywhere_resumes_to_the_same_bytes(folder, whole, tmp_path, steps):
    with pytest.raises(Cut):
        train(folder, tmp_path / "cut", progress=cut_after(steps))

    report = train(folder, tmp_path / "cut")

    assert report.status == "resumed"
    assert report.steps == 18
    same_files(tmp_path / "cut", whole[1])


PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_training_run as tests
done = 0
def slow(number):
    global done
    done += number
    if done >= 9:
        print("now", flush=True)
        time.sleep(60)
tests.torch.set_num_threads(1)
tests.train(Path(sys.argv[2]), Path(sys.argv[3]), progress=slow)
"""


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(folder, whole, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(HERE), str(folder), str(tmp_path / "cut")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"now\n"
        os.kill(process.pid, signal.SIGKILL)

    train(folder, tmp_path / "cut")

    same_files(tmp_path / "cut", whole[1])


@pytest.mark.slow
def test_two_processes_train_like_one(folder, tmp_path):
    steady = tiny_models.save_adapter_for(folder / "v2", tmp_path / "steady")  # no dropout
    options = {"epochs": 2, "accumulate": 1, "arm": "muscle", "adapter": steady}
    one = train(folder, tmp_path / "one", batch_size=4, **options)

    two = train(folder, tmp_path / "two", batch_size=2, devices=2, **options)

    assert (one.steps, two.steps) == (12, 12)
    weights = [load_file(report.out / "adapter" / "adapter_model.safetensors") for report in (one, two)]
    for name, tensor in weights[0].items():
        assert torch.allclose(tensor, weights[1][name], rtol=1e-4, atol=1e-5)
    lines = [list(read_lines(report.out / "metrics.jsonl")) for report in (one, two)]
    for mine, theirs in zip(*lines, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert mine["tokens"] == theirs["tokens"]
        assert mine["mask_rate"] == pytest.approx(theirs["mask_rate"])


def test_the_kept_epoch_is_that_of_the_lowest_validation_cross_entropy(folder, whole, tmp_path):
    report, out = whole
    epochs = list(read_lines(out / "validation.jsonl"))
    lowest = min(epochs, key=lambda row: row["cross_entropy"])
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    assert (report.best_epoch, report.cross_entropy) == (lowest["epoch"], lowest["cross_entropy"])

    last = train(folder, tmp_path / "last", select_by="last")

    assert last.best_epoch == 3
    same = (last.out / "adapter" / "adapter_model.safetensors").read_bytes() == (
        out / "adapter" / "adapter_model.safetensors"
    ).read_bytes()
    assert same == (lowest["epoch"] == 3)


def test_the_metrics_follow_every_step_and_the_schedule(whole):
    lines = list(read_lines(whole[1] / "metrics.jsonl"))
    assert [line["step"] for line in lines] == list(range(18))
    assert [line["lr"] for line in lines[:4]] == pytest.approx([0.005, 0.01, 0.01, 0.01 * 15 / 16])
    assert len({line["mask_rate"] for line in lines}) > 3
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_another_configuration_is_refused_where_a_run_lies(folder, whole):
    with pytest.raises(
        InputError, match=r"was made with other settings \(arm.cross_entropy_weights .*choose another --out"
    ):
        train(folder, whole[1], arm="v1_correct")
    assert (
        train(folder, whole[1], batch_size=4, accumulate=1).status == "complete"
    )  # the same step, shared otherwise


def test_a_teacher_that_moves_stops_the_run(folder, tmp_path):
    student = student_from_adapter(load_causal_lm(folder / "v2"), folder / "v2-task")
    rows = read_rows(folder / "data.jsonl", None, tiny_models.make_tokenizer(), EXAMPLES, seed=0)
    module = CompatibilityTraining(student, LiveSource(None), arm_named("ce_more"), total_steps=12)

    class Drifting(CompatibilityTraining):
        def training_step(self, batch, batch_idx):
            with torch.no_grad():
                next(p for n, p in self.model.named_parameters() if ".new." in n).add_(1e-6)
            return super().training_step(batch, batch_idx)

    module.__class__ = Drifting
    module.train()
    trainer = Trainer(**trainer_defaults("cpu"), max_steps=1, max_epochs=1, default_root_dir=tmp_path)
    data = RowsDataModule(rows.training, epochs=1, batch_size=2, seed=0)
    with pytest.raises(RuntimeError, match="a frozen parameter changed"):
        trainer.fit(module, datamodule=data)


def test_one_batch_goes_through_lightning_with_any_model(folder, tmp_path):
    student = student_from_base(tiny_models.make_model("gpt2").requires_grad_(False), rank=2)
    rows = read_rows(folder / "data.jsonl", None, tiny_models.make_tokenizer(), EXAMPLES, seed=0)
    module = CompatibilityTraining(student, LiveSource(None), arm_named("kd_new"), total_steps=1)
    module.train()
    trainer = Trainer(**trainer_defaults("cpu"), max_steps=1, max_epochs=1, default_root_dir=tmp_path)
    trainer.fit(module, datamodule=RowsDataModule(rows.training, epochs=1, batch_size=3, seed=0))
    assert trainer.global_step == 1


def test_the_fingerprint_of_a_model_is_of_its_bytes(folder, tmp_path):
    model = ModelSettings(model=str(folder / "v1"))
    adapted = ModelSettings(model=str(folder / "v1"), adapter=str(folder / "v1-task"))
    copy = tiny_models.save_model(tmp_path / "copy", seed=1)
    assert source_fingerprint(model) == source_fingerprint(ModelSettings(model=str(copy)))
    other = ModelSettings(model=str(folder / "v2"))
    assert len({source_fingerprint(settings) for settings in (model, adapted, other)}) == 3
    assert source_fingerprint(ModelSettings()) is None
