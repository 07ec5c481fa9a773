import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jaxtyping
import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from seqdecomp.data.loading import PlanLoader, PlanSampler, StepDataset, collate_for_trainer
from seqdecomp.data.store import Store
from seqdecomp.decomposition import decompose
from seqdecomp.plan import Plan
from seqdecomp.rows import Group, Rows
from seqdecomp.settings import ExecutionSettings, OptimizationSettings
from seqdecomp.training import PlanDataModule, fit
from toolkit_shared.errors import InputError
from toolkit_shared.language_model import OpenLM, build_model, to_open_lm_state_dict
from toolkit_shared.language_model.objectives import next_token_loss, weighted_loss
from toolkit_shared.randomness import stream
from toolkit_shared.training import trainer_defaults
from toolkit_shared.training.next_token import NextTokenTraining, read_metrics

VOCABULARY = 23
SIZES = {"vocab_size": VOCABULARY, "width": 32, "num_layers": 1, "num_heads": 2, "max_length": 64}


@pytest.fixture(scope="module")
def store():
    """Documents that count up from a random number, so that the next token can be learned."""
    random = stream(3, "documents")
    return Store.from_documents(
        [
            (random.integers(VOCABULARY) + torch.arange(size).numpy()) % VOCABULARY
            for size in random.integers(2, 200, size=120)
        ],
        vocab_size=VOCABULARY,
    )


def make_plan(store, *, min_length=8, max_length=32, batch_tokens=256, tail="drop", **settings):
    buckets = decompose(
        store.document_starts,
        store.document_lengths,
        min_length=min_length,
        max_length=max_length,
        tail=tail,
    )
    groups = [
        Group(f"D{length}", "", length, Rows.from_bucket(bucket, length))
        for length, bucket in buckets.items()
    ]
    return Plan(groups, batch_tokens=batch_tokens, cycles=2, **{"seed": 1, "tokens": 256 * 12, **settings})


def run(store, plan, out, *, progress=None, optimization=None, **options):
    model = build_model(SIZES, seed=7)
    execution = ExecutionSettings(checkpoint_steps=4, log_steps=3)
    settings = optimization or OptimizationSettings(lr=1e-2, warmup_steps=2)
    return fit(
        model,
        plan,
        store,
        out,
        optimization=settings,
        execution=execution,
        device="cpu",
        progress=progress,
        **options,
    )


def losses_of(out):
    return [row["loss"] for row in read_metrics(out)]


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


def test_the_objective_falls_in_a_plain_torch_loop(store):
    model = build_model(SIZES, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for batch in PlanLoader(StepDataset(store, make_plan(store, tokens=256 * 40))):
        sums = next_token_loss(model(batch["input_ids"]), batch["targets"])
        loss = weighted_loss(sums, batch["weight"], z_loss_coefficient=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 3.0  # log(23) is 3.14
    assert losses[-1] < 0.5


def test_one_batch_goes_through_lightning(store):
    module = NextTokenTraining(build_model(SIZES, seed=0), total_steps=1, chunk_tokens=100)
    trainer = Trainer(**trainer_defaults("cpu"), fast_dev_run=True)
    trainer.fit(module, datamodule=PlanDataModule(store, make_plan(store)))
    assert trainer.global_step == 1


def test_a_run_leaves_a_model_its_metrics_and_a_manifest(store, tmp_path):
    plan, steps = make_plan(store), []
    report = run(store, plan, tmp_path / "run", progress=steps.append)

    rows = list(read_metrics(tmp_path / "run"))
    assert (report.status, report.steps, sum(steps)) == ("new", plan.steps, plan.steps)
    assert [row["step"] for row in rows] == list(range(plan.steps))
    assert [row["length"] for row in rows] == [plan.length_of_step(step) for step in range(plan.steps)]
    assert report.loss == pytest.approx(rows[-1]["loss"])
    assert rows[-1]["loss"] < rows[0]["loss"] - 1
    assert rows[1]["lr"] == pytest.approx(1e-2)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["steps"] == plan.steps
    assert OpenLM.from_pretrained(tmp_path / "run").config["width"] == 32


def test_a_finished_run_is_not_trained_again(store, tmp_path):
    plan = make_plan(store)
    run(store, plan, tmp_path / "run")
    before = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    again = run(store, plan, tmp_path / "run")
    assert again.status == "complete"
    assert again.loss == pytest.approx(losses_of(tmp_path / "run")[-1])
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_another_configuration_in_the_same_folder_is_refused_and_named(store, tmp_path):
    run(store, make_plan(store), tmp_path / "run")
    with pytest.raises(InputError, match="lr"):
        run(store, make_plan(store), tmp_path / "run", optimization=OptimizationSettings(lr=5e-3))
    with pytest.raises(InputError, match="curriculum"):
        run(store, make_plan(store, curriculum="uniform"), tmp_path / "run", optimization=None)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_that_was_cut_off_ends_with_the_same_bytes(store, tmp_path, accumulation):
    plan = make_plan(store)
    run(store, plan, tmp_path / "whole", accumulation=accumulation)
    with pytest.raises(Cut):
        run(store, plan, tmp_path / "cut", accumulation=accumulation, progress=cut_after(7))
    assert not (tmp_path / "cut" / "manifest.json").exists()
    steps = []
    report = run(store, plan, tmp_path / "cut", accumulation=accumulation, progress=steps.append)

    assert report.status == "resumed"
    assert steps[0] == 4  # the checkpoint
    for name in ("model.safetensors", "metrics.jsonl", "config.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_resumes_under_another_accumulation_with_the_same_losses(store, tmp_path):
    plan = make_plan(store)
    run(store, plan, tmp_path / "whole")
    with pytest.raises(Cut):
        run(store, plan, tmp_path / "cut", accumulation=4, progress=cut_after(6))
    run(store, plan, tmp_path / "cut", accumulation=2)

    assert losses_of(tmp_path / "cut") == pytest.approx(losses_of(tmp_path / "whole"), abs=1e-5)


def test_accumulated_micro_batches_equal_one_batch_partial_steps_included(store, tmp_path):
    plan = make_plan(store, tail="pad", tokens=None, batch_tokens=512)
    partial = [use.partial for use in plan.uses]
    assert any(number % 4 for number in partial)
    run(store, plan, tmp_path / "whole")
    run(store, plan, tmp_path / "parts", accumulation=4)
    assert losses_of(tmp_path / "parts") == pytest.approx(losses_of(tmp_path / "whole"), abs=1e-5)


def test_chunks_of_logits_change_nothing_but_memory(store):
    batch = StepDataset(store, make_plan(store))[0]
    gradients = []
    for chunk_tokens in (0, 37):
        module = NextTokenTraining(build_model(SIZES, seed=0), total_steps=1, chunk_tokens=chunk_tokens)
        module.training_step(batch, 0)["loss"].backward()
        gradients.append(module.model.output.weight.grad)
    assert torch.allclose(*gradients, atol=1e-6)


@pytest.fixture
def without_shape_checks():
    """The checks of annotations that tests run under break graphs; users do not have them."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.usefixtures("without_shape_checks")
def test_six_buckets_compile_to_six_graphs_the_longest_first(store):
    from torch._dynamo.testing import CompileCounter

    plan = make_plan(store, min_length=2, max_length=64, tokens=None, batch_tokens=512)
    dataset = StepDataset(store, plan, static_rows=True)
    counter, seen = CompileCounter(), []
    module = NextTokenTraining(
        build_model(SIZES, seed=0), total_steps=1, compile_backend=counter, shapes=dataset.shapes()
    )
    assert dataset.shapes() == [(8, 64), (16, 32), (32, 16), (64, 8), (128, 4), (256, 2)]

    def watched(graph, inputs):
        seen.append(max(value.shape[1] for value in inputs if getattr(value, "dtype", None) == torch.int64))
        return counter(graph, inputs)

    module.compile_backend = watched
    torch._dynamo.reset()
    trainer = Trainer(**trainer_defaults("cpu"), max_epochs=1)
    trainer.fit(module, datamodule=PlanDataModule(store, plan, static_rows=True))

    assert trainer.global_step == plan.steps > 12
    assert seen == [64, 32, 16, 8, 4, 2]
    assert counter.frame_count == 6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks at it
def test_a_compiled_model_with_document_masks_settles_on_few_graphs(store):
    from torch._dynamo.testing import CompileCounter

    counter, graphs = CompileCounter(), []
    module = NextTokenTraining(build_model(SIZES, seed=0), total_steps=1, compile_backend=counter)
    torch._dynamo.reset()
    tokens = torch.zeros(1, 64, dtype=torch.long)
    for lengths in ([64], [30, 34], [1, 60, 3], [5, 5, 54], [60, 4]):
        ids = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None]
        module.losses(tokens, tokens.clone(), ids)
        graphs.append(counter.frame_count)
    assert len(set(graphs[2:])) == 1  # two batches to learn what varies, then no more


def test_the_stability_arm_of_the_paper_can_be_said(store, tmp_path):
    settings = OptimizationSettings(lr=1e-2, gradient_clip=0, warmup_steps=1)
    run(store, make_plan(store), tmp_path / "free", optimization=settings)
    run(
        store,
        make_plan(store),
        tmp_path / "held",
        optimization=dataclasses.replace(settings, gradient_clip=1e-3),
    )
    assert losses_of(tmp_path / "free") != losses_of(tmp_path / "held")


def test_masked_rows_train_through_lightning(store):
    rows = Rows(
        16,
        16,
        store.document_starts[:8].copy(),
        store.document_lengths[:8].clip(max=8).astype("int32"),
        torch.arange(0, 9, 2).numpy(),
    )
    plan = Plan([Group("packed", "", 16, rows, masked=True)], batch_tokens=32, cycles=1)
    module = NextTokenTraining(build_model(SIZES, seed=0), total_steps=2)
    trainer = Trainer(**trainer_defaults("cpu"), max_epochs=1)
    trainer.fit(module, datamodule=PlanDataModule(store, plan))
    assert trainer.global_step == 2


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    one = build_model(SIZES, seed=1).output.weight
    state = torch.get_rng_state()
    two = build_model(SIZES, seed=1).output.weight
    assert torch.equal(one, two)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(one, build_model(SIZES, seed=2).output.weight)


def build_store(folder):
    """A store on disk, as `seqdecomp build` makes it, of counting lines of text."""
    from seqdecomp.build import build_store as build
    from seqdecomp.settings import DecompositionSettings

    random = stream(4, "texts")
    texts = [
        {"text": "".join(chr(97 + (start + i) % 26) for i in range(size))}
        for start, size in zip(random.integers(26, size=150), random.integers(3, 180, size=150), strict=True)
    ]
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps(text) + "\n" for text in texts))
    settings = DecompositionSettings(min_length=8, max_length=32)
    build([str(source)], folder / "store", tokenizer="bytes", settings=settings)
    return folder / "store"


def train_command(store, out, *flags, **changed):
    options = {
        "batch-tokens": 256,
        "tokens": 5120,
        "device": "cpu",
        "architecture.width": 32,
        "architecture.num-layers": 1,
        "architecture.num-heads": 2,
        "execution.checkpoint-steps": 4,
        "execution.log-steps": 2,
        "optimization.warmup-steps": 2,
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    return ["train", str(store), "--out", str(out), *given, *flags]


def call(*arguments):
    from seqdecomp.cli import COMMANDS
    from toolkit_shared.cli import run as run_command

    return run_command("seqdecomp", "", COMMANDS, list(arguments))


def test_the_command_trains_and_reports(tmp_path, capsys):
    store = build_store(tmp_path)
    code = call(*train_command(store, tmp_path / "run", "--json", curriculum="uniform"))
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["status"] == "new"
    assert report["steps"] == len(list(read_metrics(tmp_path / "run")))
    assert 5120 - 256 < report["tokens"] <= 5120
    assert report["loss"] < 5.5  # log(257) is 5.55
    # The step times that it measured are a table for plans.
    assert call("plan", str(store), "--batch-tokens=256", f"--step-times={tmp_path / 'run'}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["hours"] > 0
    assert OpenLM.from_pretrained(tmp_path / "run").config["vocab_size"] == 320  # 257 in whole 64s
    # It knows the tokenizer of its store.
    (tmp_path / "more.txt").write_text("a text that is not in the store")
    assert call("eval", str(tmp_path / "run"), f"--data={tmp_path / 'more.txt'}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["tokenizer"] == "bytes"


def test_a_changed_command_is_refused_in_one_line_unless_it_asks_for_a_new_plan(tmp_path, capsys):
    store, out = build_store(tmp_path), tmp_path / "run"
    assert call(*train_command(store, out)) == 0
    changed = train_command(
        store, out, "--lengths.max=64", tokens=8192, batch_tokens=512, curriculum="2:1:1:1"
    )
    capsys.readouterr()

    assert call(*changed) == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith("seqdecomp train: error: ")
    assert "\n" not in line
    for field in ("batch_tokens", "curriculum", "max_length", "tokens"):
        assert field in line

    assert call(*changed, "--replan", "--optimization.lr=1") == 2
    assert "optimization.lr" in capsys.readouterr().err
    assert call(*changed, "--replan", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "resumed"
    assert 8192 - 512 < report["tokens"] <= 8192
    rows = list(read_metrics(out))
    assert [row["step"] for row in rows] == list(range(report["steps"]))
    assert max(row["length"] for row in rows[:20]) == 32
    assert max(row["length"] for row in rows[20:]) == 64
    assert call(*changed, "--replan", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "complete"


def test_a_run_may_start_from_the_weights_of_another(tmp_path, capsys):
    store = build_store(tmp_path)
    assert call(*train_command(store, tmp_path / "first")) == 0
    more = train_command(store, tmp_path / "second", seed=1, weights=tmp_path / "first")
    assert call(*more) == 0
    assert losses_of(tmp_path / "second")[0] < losses_of(tmp_path / "first")[0] - 0.2
    capsys.readouterr()

    assert call(*train_command(store, tmp_path / "second", seed=1)) == 2
    assert "initial_weights" in capsys.readouterr().err
    wider = {"weights": tmp_path / "first", "architecture.width": 64}
    assert call(*train_command(store, tmp_path / "third", **wider)) == 2
    assert capsys.readouterr().err == (
        f"seqdecomp train: error: {tmp_path / 'first'}: width is 32 there and 64 here; "
        "make the model's settings those of its weights\n"
    )


def test_a_checkpoint_of_another_rotary_base_is_refused_in_one_line(tmp_path, capsys):
    # Trap 13: nothing but the saved frequencies tells the base of an open_lm checkpoint.
    store, path = build_store(tmp_path), tmp_path / "open_lm.pt"
    sizes = {**SIZES, "vocab_size": 320}
    torch.save({"state_dict": to_open_lm_state_dict(OpenLM(**sizes, rope_base=10_000))}, path)
    command = train_command(store, tmp_path / "run", weights=path)

    assert call(*command) == 2
    assert capsys.readouterr().err == (
        f"seqdecomp train: error: {path}: layers.0.attention.pos_embed.inv_freq: the rotary base is 10000 "
        "but the model's rope_base is 100000; set rope_base to 10000\n"
    )
    assert call(*command, "--architecture.rope-base=10000") == 0


def test_wrong_devices_and_ranks_are_refused_in_one_line(tmp_path, capsys):
    store = build_store(tmp_path)
    assert call(*train_command(store, tmp_path / "a", accumulate=3)) == 2
    assert "1 x 3 (devices x micro-batches)" in capsys.readouterr().err
    for name, value, line in (
        ("devices", 0, "devices: 0 is not positive; give 1 or more"),
        ("accumulate", 0, "accumulate: 0 is not positive; give 1 or more"),
        ("workers", -1, "workers: -1 is negative; give 0 or more"),
        ("batch-tokens", 0, "batch_tokens: 0 is not a multiple of length 8; give 32"),
        ("tokens", -256, "tokens: -256 is not positive; give 1 or more"),
        ("seed", -1, "seed: -1 is negative; give 0 or more"),
    ):
        assert call(*train_command(store, tmp_path / "b", **{name: value})) == 2
        assert capsys.readouterr().err == f"seqdecomp train: error: {line}\n"
    assert call(*train_command(store, tmp_path / "b", strategy="fsdp")) == 2
    assert capsys.readouterr().err == (
        "seqdecomp train: error: --strategy fsdp on 1 x cpu: The strategy `fsdp` requires a GPU accelerator, "
        "but received `accelerator='cpu'`; choose another --strategy or --devices\n"
    )
    assert not (tmp_path / "b").exists()  # nothing was begun
    assert call(*train_command(store, tmp_path / "b", model="9b")) == 2
    assert "'9b' is not one of tiny, 160m" in capsys.readouterr().err


@pytest.mark.parametrize(
    "recipe",
    ["tiny", "paper-160m", "paper-410m", "paper-1b", "paper-3b", "paper-7b", "mixture-1b", "stability-1b"],
)
def test_every_recipe_is_a_whole_configuration_that_prints_itself(recipe, tmp_path, capsys):
    assert call("train", "store", "--out=run", "--config", recipe, "--print-config") == 0
    printed = capsys.readouterr().out
    (tmp_path / "again.yaml").write_text(printed)
    assert call("train", "store", "--config", str(tmp_path / "again.yaml"), "--print-config") == 0
    assert capsys.readouterr().out == printed


def test_the_stability_recipe_is_the_paper_s(capsys):
    recipes = ("--config", "paper-1b", "--config", "stability-1b")
    assert call("train", "store", "--out=run", *recipes, "--print-config") == 0
    settings = yaml.safe_load(capsys.readouterr().out)
    assert (settings["model"], settings["curriculum"]) == ("1b", "grow-p100")
    assert settings["optimization"]["lr"] == 0.01
    assert settings["optimization"]["gradient_clip"] == 0
    assert settings["optimization"]["weight_decay"] == 0.033


def process(*arguments):
    """A process of its own that runs the command line, as a user starts it."""
    program = Path(sys.executable).with_name("seqdecomp")
    return subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def require_success(running):
    _, errors = running.communicate(timeout=240)
    assert running.returncode == 0, errors.decode()


@pytest.mark.slow
def test_a_killed_run_resumes_to_bit_identical_weights(tmp_path):
    store = build_store(tmp_path)
    often = {
        "execution.checkpoint-steps": 5,
        "execution.log-steps": 1,
        "tokens": 256 * 60,
        "schedule.repeat": "repeat",
    }
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert call(*train_command(store, whole, **often)) == 0

    kills = 0
    for steps in (8, 21, 33):
        running = process(*train_command(store, cut, **often))
        while running.poll() is None:
            lines = list(read_metrics(cut))
            if len(lines) >= steps:
                running.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        running.communicate(timeout=60)
        assert not (cut / "manifest.json").exists()
    require_success(process(*train_command(store, cut, **often)))

    assert kills == 3
    for name in ("model.safetensors", "config.json", "metrics.jsonl", "manifest.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert not list(cut.rglob("*.tmp*"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["auto", "fsdp2"])
def test_two_processes_have_the_losses_of_one(tmp_path, strategy):
    store = build_store(tmp_path)
    options = {"execution.checkpoint-steps": 7, "optimization.lr": 0.01}
    assert call(*train_command(store, tmp_path / "one", **options)) == 0
    require_success(process(*train_command(store, tmp_path / "two", devices=2, strategy=strategy, **options)))

    alone, together = losses_of(tmp_path / "one"), losses_of(tmp_path / "two")
    assert len(alone) >= 20
    assert alone[-1] < alone[0] - 0.5
    assert together == pytest.approx(alone, abs=1e-5)  # sums over ranks round otherwise
    assert (tmp_path / "two" / "manifest.json").exists()
    weights = [OpenLM.from_pretrained(tmp_path / name).output.weight for name in ("one", "two")]
    assert torch.allclose(*weights, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["exact", "plus1"])
def test_a_hugging_face_trainer_trains_on_a_plan(store, tmp_path, target):
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    buckets = decompose(
        store.document_starts, store.document_lengths, min_length=8, max_length=32, target=target
    )
    groups = [Group(str(n), "", n, Rows.from_bucket(bucket, n, target)) for n, bucket in buckets.items()]
    plan = Plan(groups, batch_tokens=128, cycles=2, tokens=128 * 12, seed=0)
    dataset = StepDataset(store, plan, accumulation=2)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
    )
    shapes = []

    class PlannedTrainer(Trainer):
        def _get_train_sampler(self, train_dataset=None):
            return PlanSampler(dataset)

        def training_step(self, model, inputs, *arguments, **options):
            shapes.append(tuple(inputs["input_ids"].shape))
            return super().training_step(model, inputs, *arguments, **options)

    trainer = PlannedTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=1,
            remove_unused_columns=False,
            gradient_accumulation_steps=2,
            max_steps=plan.steps,
            learning_rate=1e-2,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=dataset,
        data_collator=collate_for_trainer,
    )
    trainer.train()

    extra = target == "plus1"
    assert [columns for _, columns in shapes[::2]] == [
        plan.length_of_step(s) + extra for s in range(plan.steps)
    ]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.3
