import json

import pytest
import tiny_models
import torch
from llm_compat.arms import arm_named
from llm_compat.cli import ABOUT, COMMANDS
from llm_compat.data.teacher_cache import TeacherCache
from llm_compat.model.adapters import student_from_adapter
from llm_compat.model.loading import load_causal_lm, load_tokenizer
from llm_compat.settings.training import ExampleSettings, ModelSettings
from llm_compat.training.batches import epoch_batches
from llm_compat.training.loop import step_loss
from llm_compat.training.preparing import build_old_model, read_rows
from llm_compat.training.teachers import CachedSource, LiveSource
from toolkit_shared import cli

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Phi as old model and a narrower one as new, so that heads have biases and widths differ."""
    folder = tmp_path_factory.mktemp("models")
    for name, options in (("v1", {"seed": 1, "width": 24}), ("v2", {"seed": 2})):
        base = tiny_models.save_model(folder / name, "phi", **options)
        tiny_models.save_adapter_for(base, folder / f"{name}-task")
    records = [{"prompt": f"{a}*{b}=", "completion": str(a * b)} for a in range(5) for b in range(4)]
    (folder / "data.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture
def make_cache(folder, tmp_path, capsys):
    """Run the command; exit code, stdout, stderr."""

    def call(*more, out=tmp_path / "cache", old="v1"):
        given = ["--data", folder / "data.jsonl", "--out", out]
        for role, name in (("new", "v2"), ("old", old)):
            given += [f"--{role}.model", folder / name, f"--{role}.adapter", folder / f"{name}-task"]
        code = cli.run("llm-compat", ABOUT, COMMANDS, ["cache", *map(str, [*given, *more])])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def opened(folder, cache, arm):
    """Rows, student, and both sources of its teachers."""
    new = ModelSettings(model=str(folder / "v2"), adapter=str(folder / "v2-task"))
    old = ModelSettings(model=str(folder / "v1"), adapter=str(folder / "v1-task"))
    tokenizer = load_tokenizer(folder / "v2")
    rows = read_rows(folder / "data.jsonl", None, tokenizer, ExampleSettings(), seed=0)
    student = student_from_adapter(load_causal_lm(new.model), new.adapter)
    live = LiveSource(build_old_model(old, dtype=torch.float32))
    cached = CachedSource(TeacherCache(cache), rows.all)
    device = torch.device("cpu")
    return rows, student, live.open(student, arm, device), cached.open(student, arm, device)


def test_a_cache_in_float32_equals_the_live_teachers_to_a_millionth(folder, make_cache, tmp_path):
    code, out, err = make_cache("--json")
    assert code == 0, err
    arm = arm_named("ce+ll_token")
    rows, student, (live, live_heads), (cached, cached_heads) = opened(folder, tmp_path / "cache", arm)

    for batch in epoch_batches(rows.training, batch_size=3):
        for ours, theirs in zip(cached(batch), live(batch), strict=True):
            assert (ours - theirs).abs().max() < 1e-6
        losses = [
            step_loss(student.model, batch, arm=arm, heads=heads, teachers=teachers)
            for teachers, heads in ((live, live_heads), (cached, cached_heads))
        ]
        assert losses[0].loss.item() == pytest.approx(losses[1].loss.item(), abs=1e-6)

    report = json.loads(out)
    assert report["rows"] == 20
    assert report["tokens"] == rows.all.trained_tokens
    assert report["bytes"] == sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())


@pytest.mark.parametrize(("precision", "tolerance"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_a_cache_in_half_precision_is_near(folder, make_cache, tmp_path, precision, tolerance):
    assert make_cache("--precision", precision)[0] == 0
    arm = arm_named("muscle")
    rows, student, (live, live_heads), (cached, cached_heads) = opened(folder, tmp_path / "cache", arm)
    batch = next(epoch_batches(rows.training, batch_size=16))
    losses = [
        step_loss(student.model, batch, arm=arm, heads=heads, teachers=teachers).loss.item()
        for teachers, heads in ((live, live_heads), (cached, cached_heads))
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)


def test_the_new_models_head_is_one_matrix_in_memory_with_the_students(folder, make_cache, tmp_path):
    assert make_cache()[0] == 0
    _, _, _, (_, heads) = opened(folder, tmp_path / "cache", arm_named("muscle"))
    assert heads.new is heads.student
    assert heads.old.width == 24
    assert heads.old.bias is not None


def test_a_finished_cache_is_taken_as_it_is_and_another_is_refused(make_cache):
    assert make_cache()[0] == 0
    assert make_cache()[0] == 0
    code, _, err = make_cache("--precision", "float16")
    assert code == 2
    assert 'was made with other settings (precision "float32" there, "float16" here)' in err
    assert make_cache("--precision", "float16", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--batch-size", "0"], "batch_size: 0 is not positive"),
        (["--device", "cuda"], "--device: no CUDA device can be used here; give cpu or auto"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="the refusal is of a machine without CUDA")
def test_what_cannot_be_is_refused_in_one_line(make_cache, tmp_path, more, message):
    code, out, err = make_cache(*more)
    assert (code, out, err) == (2, "", f"llm-compat cache: error: {message}\n")
    assert not (tmp_path / "cache").exists()
