import json
import re

import pytest
import tiny_models
import torch
import yaml
from llm_compat.cli import ABOUT, COMMANDS
from peft import PeftModel
from toolkit_shared import cli
from transformers import AutoModelForCausalLM

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two bases of other sizes with their task adapters, and sums to learn."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in (("v1", {"seed": 1, "width": 12}), ("v2", {"seed": 2})):
        base = tiny_models.save_model(folder / name, **options)
        tiny_models.save_adapter_for(base, folder / f"{name}-task")
    records = [{"prompt": f"{a}+{b}=", "completion": str(a + b)} for a in range(5) for b in range(5)]
    (folder / "data.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def main(argv):
    return cli.run("llm-compat", ABOUT, COMMANDS, argv)


@pytest.fixture
def run(folder, tmp_path, monkeypatch, capsys):
    """Run a command of the toolkit in the folder; exit code, stdout, stderr."""
    monkeypatch.chdir(folder)

    def call(command, *more, out=tmp_path / "out", old=True):
        options = {"--data": "data.jsonl", "--out": out, "--new.model": "v2", "--new.adapter": "v2-task"}
        options |= {"--old.model": "v1", "--old.adapter": "v1-task"} if old else {}
        flags = [more[-1]] if len(more) % 2 else []
        options |= dict(zip(more[::2], more[1::2], strict=False))
        words = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
        code = main([command, *words, *flags])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


FAST = ["--optimization.epochs", 2, "--optimization.accumulate", 1, "--optimization.warmup-steps", 1]


def test_a_run_leaves_a_plain_peft_adapter_its_metrics_and_a_manifest(run, folder, tmp_path):
    code, out, err = run("train", *FAST, "--json")

    assert code == 0, err
    report = json.loads(out)
    assert (report["arm"], report["status"], report["steps"]) == ("muscle", "new", 10)
    base = AutoModelForCausalLM.from_pretrained(folder / "v2")
    model = PeftModel.from_pretrained(base, tmp_path / "out" / "adapter").eval()
    task = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "v2"), folder / "v2-task")
    ids = tiny_models.token_ids(1, 6)
    with torch.no_grad():
        assert not torch.allclose(model(input_ids=ids).logits, task(input_ids=ids).logits, atol=1e-4)
    steps = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps] == list(range(10))
    assert all(0 < line["mask_rate"] <= 1 for line in steps)
    assert all(line["cross_entropy"] is None for line in steps)
    epochs = [json.loads(line) for line in (tmp_path / "out" / "validation.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert report["cross_entropy"] == min(line["cross_entropy"] for line in epochs)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["records"]["training"]["rows"] == 25
    assert set(manifest["frozen"]) == {"base", "old"}
    assert manifest["config"]["arm"]["mask"] == "wrong_student"
    assert run("train", *FAST, "--json")[1].count('"complete"') == 1


def test_training_from_a_cache_equals_training_beside_the_teachers(run, folder, tmp_path):
    live, cached = tmp_path / "live", tmp_path / "cached"
    assert run("train", *FAST, out=live)[0] == 0
    code, out, err = run("cache", "--json", out=tmp_path / "cache")
    assert code == 0, err
    assert json.loads(out)["precision"] == "float32"

    code, _, err = run("train", *FAST, "--cache", tmp_path / "cache", out=cached, old=False)

    assert code == 0, err
    lines = [
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for path in (live, cached)
    ]
    for one, other in zip(*lines, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["mask_rate"] == other["mask_rate"]
    manifest = json.loads((cached / "manifest.json").read_text())
    assert "old" not in manifest["frozen"]
    assert len(manifest["config"]["teachers"]["cache"]) == 64


def test_one_cache_serves_every_arm_and_the_choice_by_negative_flips(run, tmp_path):
    assert run("cache", out=tmp_path / "cache")[0] == 0
    more = ["--cache", tmp_path / "cache", "--optimization.select-by", "nfr", "--arm", "ce+ll_seq"]

    code, _, err = run("train", *FAST, *more, old=False)

    assert code == 0, err
    epochs = [json.loads(line) for line in (tmp_path / "out" / "validation.jsonl").read_text().splitlines()]
    assert all(0 <= line["nfr"] < 1 for line in epochs)


def test_a_fresh_task_adapter_is_trained_without_any_teacher(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    given = ["--data", "data.jsonl", "--out", str(tmp_path / "task"), "--new.model", "v2", "--arm", "task"]
    given += ["--adapter.rank", "3", "--optimization.lr", "0.01", *map(str, FAST)]

    assert main(["train", *given]) == 0

    capsys.readouterr()
    config = json.loads((tmp_path / "task" / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (3, 6)


def test_the_shipped_recipes_resolve_and_the_papers_has_its_numbers(run):
    for recipe in ("tiny", "paper"):
        code, out, _ = run("train", "--config", recipe, "--print-config")
        assert code == 0
        resolved = yaml.safe_load(out)
        assert run("cache", "--config", recipe, "--print-config")[0] == 0
    assert resolved["optimization"]["lr"] == 1e-4
    assert resolved["optimization"]["warmup_steps"] == 500
    assert resolved["optimization"]["epochs"] == 10
    assert resolved["objective"]["temperature"] == 2
    assert resolved["examples"] == {**resolved["examples"], "loss_on": "all", "max_length": 512}


REFUSALS = [
    (["--arm", "muscel"], "arm: 'muscel' is not one of .*; nearest: 'muscle'"),
    (["--new.model", "gone"], "gone: no such folder; give a tokenizer's folder or its name on the Hub"),
    (["--new.adapter", "v2"], "v2: is no PEFT adapter: it has no adapter_config.json; .*"),
    (["--new.adapter", "v1-task"], "v1-task: does not fit the model: .*"),
    (["--old.model", "nothing"], "nothing: no such folder; give a model's folder or its name on the Hub"),
    (["--data", "none.jsonl"], "none.jsonl: no such file; check the path"),
    (["--data", "empty.jsonl"], r"empty.jsonl: no example in 0 records \(the file is empty\); give .*"),
    (["--cache", "v1"], "v1: holds no finished cache; make one with 'llm-compat cache'"),
    (["--objective.distillation-weight", 0.3], "distillation_weight: arm 'muscle' has no such weight; .*"),
    (["--examples.max-length", 5, "--examples.too-long", "refuse"], "data.jsonl, line 1: 6 tokens, .*"),
    (["--adapter.alpha", 3], "adapter.alpha: the adapter starts as a copy of v2-task and keeps its own; .*"),
    (["--adapter.rank", 2], "adapter.rank: 2 is below 4, the rank of v2-task; .*"),
    (["--arm", "task"], "new.adapter: arm 'task' starts from a fresh adapter; leave it out"),
    (
        ["--arm", "ce_more", "--optimization.select-by", "nfr"],
        "optimization.select_by: 'nfr' needs the old .*",
    ),
    (
        ["--old.model", "other-words", "--old.adapter", None],
        "vocabulary: the old tokenizer has 100 tokens, .*",
    ),
    (["--old.model", "more-rows", "--old.adapter", None], "vocabulary: the old output head has 104 rows, .*"),
]


@pytest.mark.parametrize(("options", "message"), REFUSALS)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_written(
    run, folder, tmp_path, options, message
):
    (folder / "empty.jsonl").write_text("")
    if "other-words" in options:
        tiny_models.save_model(
            folder / "other-words", tokenizer=tiny_models.make_tokenizer(["word"]), vocabulary=100
        )
    if "more-rows" in options:
        tiny_models.save_model(folder / "more-rows", vocabulary=104)

    code, out, err = run("train", *FAST, *options)

    assert code == 2
    assert out == ""
    assert re.fullmatch(f"llm-compat train: error: {message}\n", err), err
    assert not (tmp_path / "out").exists()


def test_a_cache_of_other_data_or_models_is_refused(run, folder, tmp_path):
    assert run("cache", out=tmp_path / "cache")[0] == 0
    for options, name in (
        (["--seed", 1], "data"),
        (["--examples.loss-on", "answer"], "data"),
        (["--new.adapter", "v2-second"], "new model"),
    ):
        if not (folder / "v2-second").exists():
            tiny_models.save_adapter_for(folder / "v2", folder / "v2-second", seed=9)
        code, _, err = run("train", *FAST, "--cache", tmp_path / "cache", *options)
        assert code == 2
        assert f"cache: was made for another run: {name} is " in err
        assert err.endswith("make a cache with this run's models and data\n")
        assert err.count("\n") == 1
