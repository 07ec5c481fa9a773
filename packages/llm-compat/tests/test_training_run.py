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
from llm_compat.model.loading import attach_adapter, load_causal_lm, load_tokenizer
from llm_compat.settings.training import (
    ExampleSettings,
    ExecutionSettings,
    ModelSettings,
    OptimizationSettings,
)
from llm_compat.training.batches import collate
from llm_compat.training.datamodule import RowsDataModule
from llm_compat.training.module import CompatibilityTraining
from llm_compat.training.preparing import read_rows, source_fingerprint
from llm_compat.training.running import train_compatibility_adapter
from llm_compat.training.teachers import LiveSource
from safetensors.torch import load_file
from toolkit_shared.errors import InputError
from toolkit_shared.step_log import read_lines
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
    lr=1e-2,
    adapter="v2-task",
    old=("v1", "v1-task"),
    **more,
):
    return train_compatibility_adapter(
        out,
        data=folder / "data.jsonl",
        new=ModelSettings(model=str(folder / "v2"), adapter=str(folder / adapter)),
        old=ModelSettings(model=str(folder / old[0]), adapter=str(folder / old[1])),
        arm=arm,
        optimization=OptimizationSettings(
            lr=lr,
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


def validation_logits(folder, name, adapter):
    """Whole logits of a model on the validation rows, and the true next tokens."""
    model = attach_adapter(load_causal_lm(folder / name), adapter)
    rows = read_rows(folder / "data.jsonl", None, load_tokenizer(folder / name), EXAMPLES, seed=0).validation
    batch = collate(rows, range(len(rows)))
    with torch.no_grad():
        return model(input_ids=batch.input_ids).logits, batch.targets


def cross_entropy_of(folder, adapter):
    logits, targets = validation_logits(folder, "v2", adapter)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()


def test_the_choice_by_negative_flips_counts_tokens_that_only_the_old_model_gets(folder, tmp_path):
    taught = train(folder, tmp_path / "taught", arm="ce_more", lr=0.03, epochs=5).out / "adapter"

    report = train(folder, tmp_path / "nfr", lr=0.1, epochs=5, select_by="nfr", old=("v2", taught))

    epochs = list(read_lines(tmp_path / "nfr" / "validation.jsonl"))
    assert epochs[report.best_epoch - 1]["nfr"] == min(row["nfr"] for row in epochs)
    assert len({row["nfr"] for row in epochs}) > 1
    old, targets = validation_logits(folder, "v2", taught)
    kept, _ = validation_logits(folder, "v2", tmp_path / "nfr" / "adapter")
    flipped = (old.argmax(-1) == targets) & (kept.argmax(-1) != targets)
    number = (targets != -100).sum().item()
    assert min(row["nfr"] for row in epochs) == pytest.approx(flipped.sum().item() / number)
    right = (kept.argmax(-1) == targets).sum().item() / number
    assert epochs[report.best_epoch - 1]["accuracy"] == pytest.approx(right)


def test_the_kept_adapter_is_that_of_the_lowest_validation_cross_entropy(folder, tmp_path):
    report = train(folder, tmp_path / "best", lr=0.1, epochs=5)  # so high that epochs get worse again

    values = [row["cross_entropy"] for row in read_lines(tmp_path / "best" / "validation.jsonl")]
    assert min(values) < min(values[0], values[-1])
    assert report.cross_entropy == min(values) == values[report.best_epoch - 1]
    assert cross_entropy_of(folder, tmp_path / "best" / "adapter") == pytest.approx(min(values), rel=1e-5)


def test_the_last_epoch_is_kept_when_asked(folder, tmp_path):
    report = train(folder, tmp_path / "last", lr=0.1, epochs=5, select_by="last")

    values = [row["cross_entropy"] for row in read_lines(tmp_path / "last" / "validation.jsonl")]
    assert min(values) < values[-1]
    assert report.best_epoch == 5
    assert cross_entropy_of(folder, tmp_path / "last" / "adapter") == pytest.approx(values[-1], rel=1e-5)


def test_accumulated_micro_batches_have_the_loss_of_the_whole_step(folder, tmp_path):
    steady = tiny_models.save_adapter_for(folder / "v2", tmp_path / "steady")  # no dropout
    options = {"epochs": 1, "adapter": steady}
    whole = train(folder, tmp_path / "whole", batch_size=4, accumulate=1, **options)

    parts = train(folder, tmp_path / "parts", batch_size=1, accumulate=4, **options)

    lines = [list(read_lines(report.out / "metrics.jsonl")) for report in (whole, parts)]
    for mine, theirs in zip(*lines, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    mean = lines[0][0]["old_divergence"] + lines[0][0]["new_divergence"] + lines[0][0]["cross_entropy"]
    assert lines[0][0]["loss"] == pytest.approx(mean / 2, rel=1e-5)


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
