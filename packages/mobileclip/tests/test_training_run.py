"""A run: trained, killed, resumed, shared out, and what it leaves."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from mobileclip.models.factory import create_model, save_pretrained
from mobileclip.models.folding import fold
from mobileclip.objectives import reinforced_loss, split_teachers
from mobileclip.reinforcement.store_format import augmentation_record
from mobileclip.settings import (
    AdamWSettings,
    CheckSettings,
    OptimizationSettings,
    ReinforcementSettings,
    TrainingExecution,
)
from mobileclip.training.dataset import StepDataset
from mobileclip.training.fit import FinalModel, RunSettings, fit
from mobileclip.training.module import INITIAL_LOGIT_BIAS
from mobileclip.training.plan import Plan, Sources
from reinforced_pairs import (
    CONVOLUTIONS,
    TRANSFORMERS,
    reinforcement,
    write_architecture,
    write_pairs,
    write_store,
)
from toolkit_shared.errors import InputError
from toolkit_shared.optimization import parameter_groups
from toolkit_shared.training import StepCheckpoint
from toolkit_shared.training.image_text import read_lines

STEPS = 8
OPTIMIZATION = OptimizationSettings(steps=STEPS, batch_size=8, lr=3e-3, warmup_steps=2)
EXECUTION = TrainingExecution(checkpoint_steps=3, log_steps=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pairs, a store for them, and architectures."""
    root = tmp_path_factory.mktemp("run")
    write_store(root / "store", [reinforcement(number) for number in range(20)])
    write_pairs(root / "pairs", count=20)
    write_architecture(root / "transformers.json", TRANSFORMERS)
    write_architecture(root / "convolutions.json", CONVOLUTIONS)
    return root


def settings_of(data, model="transformers", **options):
    return RunSettings(**{"model": str(data / f"{model}.json"), "optimization": OPTIMIZATION, **options})


def run(data, out, settings=None, *, store=True, **options):
    return fit(
        data / "pairs",
        out,
        settings or settings_of(data),
        reinforcement=data / "store" if store else None,
        **{"execution": EXECUTION, "device": "cpu", **options},
    )


def rows_of(out):
    return list(read_lines(out / "metrics.jsonl"))


def weights(folder):
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def usual(data):
    """A finished run of the usual settings."""
    run(data, data / "usual")
    return data / "usual"


def test_the_divergence_falls_and_the_run_says_what_it_saw(data, tmp_path):
    long = dataclasses.replace(OPTIMIZATION, steps=24)
    quiet = TrainingExecution(checkpoint_steps=100)
    report = run(data, tmp_path / "run", settings_of(data, optimization=long), execution=quiet)

    rows = rows_of(tmp_path / "run")
    assert (report.status, report.steps, report.pairs, report.dropped) == ("new", 24, 20, {})
    assert report.epochs == pytest.approx(24 * 8 / 20)
    assert sum(row["divergence"] for row in rows[-5:]) < 0.9 * sum(row["divergence"] for row in rows[:5])
    assert rows[0]["logit_scale"] == pytest.approx(1 / 0.07, rel=1e-5)
    assert [row["lr"] for row in rows[:2]] == pytest.approx([1.5e-3, 3e-3])
    assert rows[0]["loss"] == pytest.approx(rows[0]["distillation"], rel=1e-6)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["counts"]["pairs"] == 20
    assert "model/model.safetensors" in manifest["hashes"]
    assert create_model(tmp_path / "run" / "model").architecture == TRANSFORMERS


def test_the_first_steps_are_those_of_a_plain_loop(data, tmp_path):
    settings = settings_of(
        data,
        "convolutions",
        reinforced=ReinforcementSettings(distillation_weight=0.75),
        optimization=dataclasses.replace(OPTIMIZATION, steps=3),
    )
    run(data, tmp_path / "run", settings)

    torch.manual_seed(0)
    model = create_model(settings.model).train()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.2), lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
    pairs, store = Sources(data / "pairs", data / "store").open()
    dataset = StepDataset(
        *(pairs, store, Plan.read(tmp_path / "run")),
        steps=3,
        batch_size=8,
        seed=0,
        image_size=32,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        context_length=12,
        settings=settings.reinforced,
    )
    losses = []
    for step, lr in enumerate((1.5e-3, 3e-3, 3e-3)):  # two steps of warm-up, and the top of the cosine
        batch = dataset[step]
        for group in optimizer.param_groups:
            group["lr"] = lr
        images = model.encode_image(batch["images"], normalize=True)
        both = model.encode_text(torch.cat([batch["texts"], batch["synthetic_texts"]]), normalize=True)
        names = ("teacher_images", "teacher_texts", "teacher_synthetic_texts")
        taught = [split_teachers(batch[name], (6, 4)) for name in names]
        found = reinforced_loss(
            *(images, both.split(8), model.logit_scale.exp(), taught[0], taught[1:], (30.0, 20.0)),
            distillation_weight=0.75,
        )
        optimizer.zero_grad()
        found.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(found.loss.item())
    assert [row["loss"] for row in rows_of(tmp_path / "run")[:3]] == pytest.approx(losses, abs=2e-4)


class Cut(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("average", [pytest.param(0.0, marks=pytest.mark.slow), 0.9])
def test_a_run_that_was_cut_off_ends_with_the_same_bytes(data, tmp_path, average):
    settings = settings_of(data, "convolutions", weight_average=average)
    run(data, tmp_path / "whole", settings)
    done = 0

    def cut(steps):
        nonlocal done
        done += steps
        if done >= 5:
            raise Cut

    with pytest.raises(Cut):
        run(data, tmp_path / "cut", settings, progress=cut)
    assert run(data, tmp_path / "cut", settings).status == "resumed"

    names = ["metrics.jsonl", "plan.npz", "model/model.safetensors", "model/config.json"]
    for name in names + ["model-last/model.safetensors"] * (average > 0):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert run(data, tmp_path / "cut", settings).status == "complete"


@pytest.mark.slow
def test_a_run_that_died_after_its_last_checkpoint_is_only_finished(data, tmp_path, monkeypatch):
    settings = settings_of(data, optimization=dataclasses.replace(OPTIMIZATION, steps=6))
    run(data, tmp_path / "whole", settings)

    def cut(*arguments):
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(FinalModel, "on_train_end", cut)
        with pytest.raises(Cut):
            run(data, tmp_path / "cut", settings)
    assert not (tmp_path / "cut" / "model").exists()
    assert run(data, tmp_path / "cut", settings).steps == 6
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_the_average_is_another_model_than_the_last_weights(data, tmp_path):
    short = dataclasses.replace(OPTIMIZATION, steps=2)
    run(data, tmp_path / "run", settings_of(data, weight_average=0.9, optimization=short))
    averaged, last = (
        create_model(tmp_path / "run" / name).logit_scale.item() for name in ("model", "model-last")
    )
    assert averaged != last


def test_gradient_checkpointing_leaves_the_result_as_it_is(data, tmp_path):
    short = dataclasses.replace(OPTIMIZATION, steps=2)
    settings = settings_of(data, "convolutions", optimization=short)
    run(data, tmp_path / "plain", settings)
    saving = dataclasses.replace(EXECUTION, gradient_checkpointing=True)
    run(data, tmp_path / "saving", settings, execution=saving)
    one, two = (create_model(tmp_path / name / "model").state_dict() for name in ("plain", "saving"))
    for name in one:
        assert torch.allclose(one[name], two[name], atol=1e-5), name


def test_plain_pairs_train_without_a_store_and_weak_is_not_strong(data, tmp_path):
    short = dataclasses.replace(OPTIMIZATION, steps=2)
    for augmentation in ("weak", "strong"):
        settings = settings_of(data, augmentation=augmentation, optimization=short)
        run(data, tmp_path / augmentation, settings, store=False)
        row = rows_of(tmp_path / augmentation)[0]
        assert (row["distillation"], row["divergence"]) == (0, 0)
        assert row["loss"] == pytest.approx(row["contrastive"])
    assert weights(tmp_path / "weak") != weights(tmp_path / "strong")


def test_synthetic_captions_train_without_teachers(data, tmp_path):
    short = dataclasses.replace(OPTIMIZATION, steps=1)
    for name, synthetic in (("both", "stream"), ("real", "none")):
        learned = ReinforcementSettings(distillation_weight=0.0, synthetic=synthetic)
        run(data, tmp_path / name, settings_of(data, reinforced=learned, optimization=short))
    first = [rows_of(tmp_path / name)[0]["contrastive"] for name in ("both", "real")]
    assert first[0] > 1.5 * first[1]  # the losses of the two streams are added


@pytest.mark.parametrize(
    "changes",
    [
        {"synthetic": "mix"},
        {"sampling": "sequential", "geometry": "corrected"},
        {"loss": "sigmoid", "teacher_biases": (-3.0, -2.0)},
        {"teacher_scales": (70.0, 60.0)},
    ],
)
def test_each_way_to_learn_from_a_store_is_another_run(data, usual, tmp_path, changes):
    short = dataclasses.replace(OPTIMIZATION, steps=1)
    changed = settings_of(data, optimization=short, reinforced=ReinforcementSettings(**changes))
    run(data, tmp_path / "changed", changed)
    (row,) = rows_of(tmp_path / "changed")
    assert row["loss"] is not None
    assert row["loss"] != rows_of(usual)[0]["loss"]


def test_the_bias_of_the_sigmoid_loss_is_learned(data, tmp_path):
    learned = ReinforcementSettings(loss="sigmoid")
    quick = OptimizationSettings(steps=2, batch_size=8, lr=0.1, warmup_steps=0)
    run(
        data,
        tmp_path / "run",
        settings_of(data, reinforced=learned, optimization=quick),
        execution=TrainingExecution(checkpoint_steps=1),
    )
    newest = StepCheckpoint.newest(tmp_path / "run" / "checkpoints")
    bias = torch.load(newest, weights_only=True)["state_dict"]["logit_bias"].item()
    assert abs(bias - INITIAL_LOGIT_BIAS) > 0.05


def test_a_row_that_changed_after_the_check_stops_the_run_and_is_named(data, tmp_path):
    store = write_store(tmp_path / "store", [reinforcement(number) for number in range(20)])
    file = store / "parts" / "00000.image.bin"
    file.write_bytes(b"\xff" * file.stat().st_size)  # NaN in any float format

    def start(images):
        checks = CheckSettings(images=images)
        settings = settings_of(data, checks=checks)
        fit(data / "pairs", tmp_path / images, settings, reinforcement=store, device="cpu")

    with pytest.raises(InputError, match=r"no pair can be used \(stored rows: not finite: 20\)"):
        start("decode")
    with pytest.raises(InputError, match=r"sample 00\d\d: a stored row has the lengths \[nan, nan\]"):
        start("header")


def test_an_augmentation_that_changed_after_the_check_stops_the_run_and_is_named(data, tmp_path):
    store = write_store(tmp_path / "store", [reinforcement(number) for number in range(20)])
    file = store / "parts" / "00000.augmentations.bin"
    records = np.fromfile(file, dtype=augmentation_record(2))
    records["operations"] = 77
    records.tofile(file)

    def start(images):
        settings = settings_of(data, checks=CheckSettings(images=images))
        fit(data / "pairs", tmp_path / images, settings, reinforcement=store, device="cpu")

    with pytest.raises(InputError, match=r"no pair can be used \(stored rows: bad augmentation: 20\)"):
        start("decode")
    with pytest.raises(InputError, match=r"sample 00\d\d: operation \[77, .*\]: 77 is no index"):
        start("header")


def test_a_run_does_not_depend_on_where_its_architecture_lies(data, tmp_path):
    short = dataclasses.replace(OPTIMIZATION, steps=1)
    (tmp_path / "vitality").mkdir()  # open_clip's rule for epsilon looks for these letters
    elsewhere = write_architecture(tmp_path / "vitality" / "vit.json", TRANSFORMERS)
    for name, settings in (
        ("one", settings_of(data, optimization=short)),
        ("two", settings_of(data, model=elsewhere.removesuffix(".json"), optimization=short)),
    ):
        run(data, tmp_path / name, settings)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def test_a_run_starts_from_given_weights(data, tmp_path):
    torch.manual_seed(5)
    model = create_model(str(data / "transformers.json"))
    save_pretrained(model, tmp_path / "start")
    still = OptimizationSettings(steps=1, batch_size=8, lr=1e-12, warmup_steps=0)
    folder = RunSettings(model=str(tmp_path / "start"), optimization=still)
    run(data, tmp_path / "folder", folder)
    torch.save(model.state_dict(), tmp_path / "start.pt")
    run(
        data,
        tmp_path / "file",
        settings_of(data, optimization=still, init_from=str(tmp_path / "start.pt")),
    )
    for name in ("folder", "file"):
        found = create_model(tmp_path / name / "model").state_dict()
        assert all(torch.allclose(found[key], value, atol=1e-7) for key, value in model.state_dict().items())


def test_a_folded_model_is_not_trained(data, tmp_path):
    save_pretrained(fold(create_model(str(data / "convolutions.json"))), tmp_path / "folded")
    with pytest.raises(InputError, match="is a folded model, whose branches are gone"):
        run(data, tmp_path / "run", RunSettings(model=str(tmp_path / "folded")))


def test_what_cannot_be_meant_is_refused(data, tmp_path):
    def refused(match, **options):
        with pytest.raises(InputError, match=match):
            run(data, tmp_path / "run", settings_of(data, **options))

    refused(
        r"--reinforced\.teacher-scales: 1 given for 2 teachers \(first, second\)",
        reinforced=ReinforcementSettings(teacher_scales=(70.0,)),
    )
    refused("--augmentation weak: the stored embeddings are of other images", augmentation="weak")
    refused(
        "--batch-size 32: only 20 pairs can be used",
        optimization=dataclasses.replace(OPTIMIZATION, batch_size=32),
    )


def test_another_setting_in_the_same_folder_is_refused_and_named(data, tmp_path):
    run(data, tmp_path / "run", settings_of(data, optimization=OptimizationSettings(steps=1, batch_size=8)))
    with pytest.raises(InputError, match=r"adamw\.weight_decay 0\.2 there, 0\.1 here"):
        run(
            data,
            tmp_path / "run",
            settings_of(
                data,
                optimization=OptimizationSettings(steps=1, batch_size=8),
                adamw=AdamWSettings(weight_decay=0.1),
            ),
        )


def test_settings_that_cannot_be_meant_are_refused():
    for wrong in (
        lambda: OptimizationSettings(steps=0),
        lambda: OptimizationSettings(lr=float("nan")),
        lambda: AdamWSettings(beta2=1.0),
        lambda: ReinforcementSettings(distillation_weight=1.1),
        lambda: ReinforcementSettings(caption_groups="("),
        lambda: TrainingExecution(log_steps=0),
    ):
        with pytest.raises(ValueError, match=r"^[a-z_0-9]+: "):
            wrong()


PROGRAM = """
import os, signal, sys
from pathlib import Path
if __name__ == "__main__":
    from mobileclip.settings import OptimizationSettings, TrainingExecution
    from mobileclip.training.fit import RunSettings, fit
    root, out, model, devices = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    done = 0
    def kill(steps):
        global done
        done += steps
        if done >= 5:
            os.kill(os.getpid(), signal.SIGKILL)
    settings = RunSettings(
        model=str(root / model),
        optimization=OptimizationSettings(steps=8, batch_size=8, lr=3e-3, warmup_steps=2),
    )
    fit(root / "pairs", out, settings, reinforcement=root / "store", device="cpu", devices=devices,
        execution=TrainingExecution(checkpoint_steps=3), progress=kill if devices == 1 else None)
"""


def program(folder, *arguments):
    # ddp_spawn imports the program's main module, so it must be a file
    path = folder / "program.py"
    path.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, str(path), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(data, tmp_path):
    done = program(tmp_path, data, tmp_path / "killed", "convolutions.json", 1)
    assert done.returncode == -signal.SIGKILL, done.stderr
    settings = settings_of(data, "convolutions")
    assert run(data, tmp_path / "killed", settings).status == "resumed"
    run(data, tmp_path / "whole", settings)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_train_as_one_does(data, usual, tmp_path):
    done = program(tmp_path, data, tmp_path / "two", "transformers.json", 2)
    assert done.returncode == 0, done.stderr
    folders = (usual, tmp_path / "two")
    one, two = (rows_of(folder) for folder in folders)
    for name in ("loss", "contrastive", "divergence", "logit_scale"):
        assert [row[name] for row in two] == pytest.approx([row[name] for row in one], abs=5e-4)
    states = [create_model(folder / "model").state_dict() for folder in folders]
    assert all(torch.allclose(states[0][name], states[1][name], atol=3e-3) for name in states[0])


def test_the_command_trains_names_what_it_dropped_and_reports(data, tmp_path, capsys):
    from toolkit_shared.cli import Command
    from toolkit_shared.cli import run as run_cli

    commands = {"train": Command("Train.", "mobileclip.commands.train:train")}
    pairs = write_pairs(tmp_path / "pairs", count=9)
    (pairs / "0004.png").write_bytes(b"broken")
    arguments = ["train", str(pairs), "--out", str(tmp_path / "run"), "--config", "tiny", "--device", "cpu"]
    arguments += ["--reinforcement", str(data / "store"), "--model", str(data / "transformers.json")]
    arguments += ["--steps", "2", "--batch-size", "4", "--json"]
    assert run_cli("mobileclip", "", commands, arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["steps"], report["pairs"], report["dropped"]) == (2, 8, {"image: not an image": 1})
    assert report["without_image"] == 20 - 9
    dropped = json.loads((tmp_path / "run" / "dropped.jsonl").read_text())
    assert (dropped["key"], dropped["reason"]) == ("0004", "image: not an image")

    assert run_cli("mobileclip", "", commands, [*arguments[:-1], "--checks.strict", "--overwrite"]) == 2
    assert "0004: image: not an image" in capsys.readouterr().err
    assert run_cli("mobileclip", "", commands, [*arguments, "--weight-average", "1.5"]) == 2
    assert "--weight-average 1.5: is not from 0 to below 1" in capsys.readouterr().err
