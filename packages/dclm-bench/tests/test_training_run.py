"""A run at the tiny scale: trained, killed, resumed, shared out, and what it leaves."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from dclm_bench.references import DatasetReference, ModelReference
from dclm_bench.scales import find_scale
from dclm_bench.tokenization.dataset import tokenize_dataset
from dclm_bench.training.averaging import average_models, average_state_dicts
from dclm_bench.training.contexts import ContextLoader, StepDataset
from dclm_bench.training.dataset import TrainingData
from dclm_bench.training.fit import fit
from dclm_bench.training.open_lm_files import write_checkpoint
from dclm_bench.training.settings import ExecutionSettings, Overrides
from toolkit_shared.errors import InputError
from toolkit_shared.language_model import OpenLM, build_model, from_open_lm_state_dict
from toolkit_shared.language_model.objectives import next_token_loss, weighted_loss
from toolkit_shared.optimization import parameter_groups
from toolkit_shared.training.next_token import read_metrics

LENGTH = 33
SCALE = dataclasses.replace(
    find_scale("tiny"), width=32, num_layers=1, num_heads=2, tokens=8 * 32 * 12, warmup_steps=2, lr=1e-2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages that count, so that the next byte can be learned."""
    root = tmp_path_factory.mktemp("training")
    lines = [json.dumps({"text": "abcdefghij" * (3 + page % 5)}) for page in range(100)]
    (root / "pages.jsonl").write_text("\n".join(lines) + "\n")
    tokenize_dataset(
        [root], root / "set", tokenizer="bytes", context_length=LENGTH, shard_contexts=40, num_cells=4
    )
    return root / "set"


@pytest.fixture(scope="module")
def data(folder):
    return TrainingData.open(folder)


def run(data, out, *, scale=SCALE, **options):
    execution = ExecutionSettings(checkpoint_steps=4, log_steps=3)
    return fit(data, scale, out, **{"execution": execution, "device": "cpu", **options})


def losses_of(out):
    return [row["loss"] for row in read_metrics(out)]


def test_the_loss_falls_and_the_run_says_what_it_saw(data, tmp_path):
    report = run(data, tmp_path / "run")

    rows = list(read_metrics(tmp_path / "run"))
    assert (report.status, report.steps, len(rows)) == ("new", 12, 12)
    assert rows[-1]["loss"] < rows[0]["loss"] - 1
    assert report.tokens == report.unique_tokens == sum(row["tokens"] for row in rows) <= 12 * 8 * 32
    assert report.epochs == pytest.approx(96 / data.num_contexts, abs=1e-5)
    assert [row["lr"] for row in rows[:2]] == pytest.approx([5e-3, 1e-2])
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["counts"]["unique_tokens"] == report.unique_tokens
    assert OpenLM.from_pretrained(tmp_path / "run").config["vocab_size"] == 320


def test_a_run_leaves_a_model_reference_to_its_dataset(data, folder, tmp_path):
    report = run(data, tmp_path / "run", execution=ExecutionSettings(open_lm_files=True))

    reference = ModelReference.read(tmp_path / "run" / "model.json")
    assert reference.dataset_uuid == DatasetReference.read(folder / "dataset.json").uuid
    assert reference.name == report.name
    assert reference.name.startswith(
        "set-tiny-warm=2-lr=0p01-wd=0p033-cd=3e-05-bs=8-mult=1-seed=124-tokens=3072"
    )
    assert reference.hyperparameters.params_no_embed == reference.hyperparameters.params - 320 * 32
    assert (tmp_path / "run" / "params.txt").read_text().startswith(f"name: {report.name}\n")
    model = from_open_lm_state_dict(reference.checkpoint_url, max_length=32)
    assert torch.equal(model.output.weight, OpenLM.from_pretrained(tmp_path / "run").output.weight)


def test_the_first_steps_are_those_of_a_plain_loop(data, tmp_path):
    run(data, tmp_path / "run")
    model = build_model(SCALE.model_arguments(vocab_size=258, sequence_length=32), seed=SCALE.seed)
    groups = parameter_groups(model, SCALE.weight_decay, decay_vectors=True)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    dataset = StepDataset(
        data.shards,
        context_length=LENGTH,
        vocab_size=320,
        steps=3,
        sequences_per_step=8,
        seed=SCALE.seed,
        eot_id=data.eot_id,
        pad_id=data.pad_id,
    )
    losses = []
    for batch, lr in zip(ContextLoader(dataset), (5e-3, 1e-2, 1e-2), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr
        sums = next_token_loss(model(batch["input_ids"]), batch["targets"])
        optimizer.zero_grad()
        weighted_loss(sums, batch["weight"], z_loss_coefficient=1e-4).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(sums.cross_entropy.item() / batch["tokens"])
    assert losses_of(tmp_path / "run")[:3] == pytest.approx(losses, abs=1e-5)


def test_under_autocast_the_norms_are_those_of_open_lm(data, tmp_path, monkeypatch):
    import dclm_bench.training.fit as module

    models = []

    def kept(*arguments, **options):
        models.append(build_model(*arguments, **options))
        return models[-1]

    monkeypatch.setattr(module, "build_model", kept)
    run(data, tmp_path / "run", precision="bf16-mixed", scale=dataclasses.replace(SCALE, tokens=8 * 32 * 2))
    assert models[0].norm.low_precision
    assert all(loss is not None for loss in losses_of(tmp_path / "run"))


def test_all_parameters_decay_gains_of_norms_among_them():
    model = build_model(SCALE.model_arguments(vocab_size=258, sequence_length=32), seed=1)
    groups = parameter_groups(model, 0.033, decay_vectors=True)
    assert {group["weight_decay"] for group in groups} == {0.033}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


class Cut(Exception):
    """Stands for whatever ends a process."""


def test_a_run_that_was_cut_off_ends_with_the_same_bytes(data, tmp_path):
    run(data, tmp_path / "whole")
    done = 0

    def cut(steps):
        nonlocal done
        done += steps
        if done >= 7:
            raise Cut

    with pytest.raises(Cut):
        run(data, tmp_path / "cut", progress=cut)
    report = run(data, tmp_path / "cut", accumulation=1)

    assert report.status == "resumed"
    for name in ("model.safetensors", "config.json", "metrics.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert run(data, tmp_path / "cut").status == "complete"


def test_accumulation_gives_the_same_losses(data, tmp_path):
    run(data, tmp_path / "one")
    run(data, tmp_path / "four", accumulation=4)
    assert losses_of(tmp_path / "four") == pytest.approx(losses_of(tmp_path / "one"), abs=2e-4)


def test_a_budget_beyond_the_data_needs_leave_to_repeat(data, tmp_path):
    larger = dataclasses.replace(SCALE, tokens=8 * 32 * 30)
    with pytest.raises(InputError, match=r"the token budget needs 240 .* pass --repeat"):
        run(data, tmp_path / "run", scale=larger)
    report = run(data, tmp_path / "run", scale=larger, repeat=True)
    assert report.epochs == pytest.approx(240 / data.num_contexts, abs=1e-5)
    assert report.unique_tokens < report.tokens
    with pytest.raises(InputError, match="--tokens 100: less than one step"):
        run(data, tmp_path / "none", scale=dataclasses.replace(SCALE, tokens=100))


def test_another_setting_in_the_same_folder_is_refused_and_named(data, tmp_path):
    run(data, tmp_path / "run")
    with pytest.raises(InputError, match=r"scale\.lr 0\.01 there, 0\.02 here"):
        run(data, tmp_path / "run", overrides=Overrides(lr=2e-2))


def test_overrides_that_cannot_be_meant_are_refused():
    with pytest.raises(ValueError, match="lr: 0 is out of range"):
        Overrides(lr=0.0)
    assert Overrides(sequences_per_step=4).apply(SCALE).sequences_per_step == 4
    with pytest.raises(ValueError, match="checkpoint_steps: 0 is not positive"):
        ExecutionSettings(checkpoint_steps=0)


def test_shards_without_our_manifest_are_read_with_the_ids_of_neox(folder, tmp_path):
    for path in folder.iterdir():
        if path.name not in ("manifest.json", "dataset.json"):
            (tmp_path / path.name).symlink_to(path)
    data = TrainingData.open(tmp_path / "manifest.jsonl")
    assert (data.context_length, data.vocab_size, data.pad_id, data.tokens) == (LENGTH, 50_432, 50_256, None)
    assert data.reference.name == tmp_path.name
    with pytest.raises(InputError, match="--scale 400m-1x: trains on sequences of 2048"):
        run(data, tmp_path / "run", scale=find_scale("400m-1x"), repeat=True)


def test_checkpoint_files_of_open_lm_are_plain_values(tmp_path):
    model = build_model(SCALE.model_arguments(vocab_size=258, sequence_length=32), seed=1)
    weights, statistics = write_checkpoint(model, tmp_path, epoch=5, name="run", metrics=[{"loss": 1.0}])

    assert (weights.name, statistics.name) == ("epoch_5.pt", "stats_5.pt")
    held = torch.load(weights, weights_only=True)
    assert "module.layers.0.attention.q_norm.weight" in held["state_dict"]
    assert torch.load(statistics, weights_only=True) == {
        "epoch": 5,
        "name": "run",
        "is_final_checkpoint": True,
        "evaluation_metrics": [{"loss": 1.0}],
    }
    back = from_open_lm_state_dict(weights, max_length=32)
    assert back.config == model.config


def test_the_average_of_models_is_that_of_their_weights(tmp_path):
    arguments = SCALE.model_arguments(vocab_size=258, sequence_length=32)
    first, second = build_model(arguments, seed=1), build_model(arguments, seed=2)
    first.save_pretrained(tmp_path / "a")
    second.save_pretrained(tmp_path / "b")

    soup = average_models([tmp_path / "a", tmp_path / "b"])

    expected = 0.8 * first.output.weight.double() + 0.2 * second.output.weight.double()
    assert torch.equal(soup.output.weight, expected.float())
    with pytest.raises(InputError, match=r"the weights sum to 0\.9, not to 1"):
        average_models([tmp_path / "a", tmp_path / "b"], (0.8, 0.1))
    with pytest.raises(ValueError, match="other names or shapes"):
        average_state_dicts([{"a": torch.ones(2)}, {"a": torch.ones(3)}], (0.5, 0.5))


PROGRAM = """
import sys
from pathlib import Path
import os, signal
if __name__ == "__main__":
    import dataclasses
    from dclm_bench.scales import find_scale
    from dclm_bench.training.dataset import TrainingData
    from dclm_bench.training.fit import fit
    from dclm_bench.training.settings import ExecutionSettings
    scale = dataclasses.replace(
        find_scale("tiny"), width=32, num_layers=1, num_heads=2, tokens=8 * 32 * 12, warmup_steps=2, lr=1e-2
    )
    done = 0
    def kill(steps):
        global done
        done += steps
        if done >= 7:
            os.kill(os.getpid(), signal.SIGKILL)
    devices = int(sys.argv[3])
    fit(TrainingData.open(sys.argv[1]), scale, Path(sys.argv[2]), device="cpu", devices=devices,
        execution=ExecutionSettings(checkpoint_steps=4), progress=kill if devices == 1 else None)
"""


def program(*arguments):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(data, folder, tmp_path):
    assert program(folder, tmp_path / "killed", 1).returncode == -signal.SIGKILL
    assert run(data, tmp_path / "killed").status == "resumed"
    run(data, tmp_path / "whole")
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_two_processes_train_as_one_does(data, folder, tmp_path):
    # ddp_spawn imports the program's main module, so it must be a file
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(path), str(folder), str(tmp_path / "two"), "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    run(data, tmp_path / "one")
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "one"), abs=2e-4)
    one, two = (OpenLM.from_pretrained(tmp_path / name).state_dict() for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=2e-3) for name in one)


def test_the_command_tokenises_trains_and_reports(folder, tmp_path, capsys):
    from toolkit_shared.cli import Command
    from toolkit_shared.cli import run as run_cli

    commands = {
        "train": Command("Train.", "dclm_bench.commands.train:train"),
        "tokenize": Command("Tokenise.", "dclm_bench.commands.tokenize:tokenize"),
    }
    pages = folder.parent / "pages.jsonl"
    arguments = ["--tokenizer", "bytes", "--context-length", "33", "--out", str(tmp_path / "set"), "--json"]
    assert run_cli("dclm-bench", "", commands, ["tokenize", str(pages), *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == 100
    arguments = ["--scale", "tiny", "--tokens", "600", "--out", str(tmp_path / "run"), "--json"]
    assert (
        run_cli("dclm-bench", "", commands, ["train", str(tmp_path / "set"), *arguments, "--device", "cpu"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    assert run_cli("dclm-bench", "", commands, ["train", str(tmp_path), *arguments]) == 2
    assert "no manifest.jsonl; give a folder that dclm-bench tokenize or mix wrote" in capsys.readouterr().err
