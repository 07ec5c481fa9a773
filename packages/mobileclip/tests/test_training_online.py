"""Teachers that run along, and the recipes."""

from pathlib import Path

import mobileclip
import numpy as np
import pytest
import torch
import yaml
from mobileclip.models.factory import create_model, save_pretrained
from mobileclip.models.teachers import load_teacher
from mobileclip.settings import OptimizationSettings
from mobileclip.training.fit import RunSettings, fit
from mobileclip.training.online import OnlineTeachers
from PIL import Image
from reinforced_pairs import CONVOLUTIONS, TRANSFORMERS, write_architecture, write_pairs
from toolkit_shared.cli import Command, run
from toolkit_shared.training.image_text import read_lines

RECIPES = ["finetune", "paper-12m", "paper-1b", "paper-v2", "tiny"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The text that names a small teacher."""
    root = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(4)
    model = create_model(write_architecture(root / "teacher.json", CONVOLUTIONS))
    save_pretrained(model, root / "teacher")
    return f"mobileclip:{root / 'teacher'}"


def test_the_rows_are_those_that_a_store_of_the_same_views_would_hold(teacher):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    batch = {"teacher_views": {32: torch.from_numpy(pixels)}, "captions": [["a", "b"], ["c", "d"]]}
    found = OnlineTeachers([teacher, teacher]).embed(batch, torch.device("cpu"))
    one = load_teacher(teacher)
    images = one.embed_images([Image.fromarray(view) for view in pixels])
    assert found["teacher_images"].shape == (2, 2 * one.width)
    assert np.allclose(found["teacher_images"].numpy(), np.concatenate([images, images], 1), atol=1e-6)
    texts = one.embed_texts(["c", "d"])
    assert np.allclose(found["teacher_synthetic_texts"].numpy(), np.concatenate([texts, texts], 1), atol=1e-6)


def test_a_run_with_teachers_needs_no_store(teacher, tmp_path):
    model = write_architecture(tmp_path / "student.json", TRANSFORMERS)
    settings = RunSettings(
        model=model,
        online_teachers=(teacher,),
        optimization=OptimizationSettings(steps=2, batch_size=4, warmup_steps=0),
    )
    pairs = write_pairs(tmp_path / "pairs", count=6)
    report = fit(pairs, tmp_path / "run", settings, device="cpu")
    assert report.steps == 2
    for row in read_lines(tmp_path / "run" / "metrics.jsonl"):
        assert row["divergence"] > 0
        assert row["loss"] == pytest.approx(row["distillation"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_printed_so_that_it_can_be_given_back(recipe, tmp_path, capsys):
    commands = {"train": Command("Train.", "mobileclip.commands.train:train")}
    arguments = ["train", "pairs", "--out", "run", "--print-config", "--config"]
    assert run("mobileclip", "", commands, [*arguments, recipe]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "again.yaml").write_text(printed)
    assert run("mobileclip", "", commands, [*arguments, str(tmp_path / "again.yaml")]) == 0
    assert capsys.readouterr().out == printed


def test_the_recipes_of_the_papers_have_the_published_settings():
    folder = Path(mobileclip.__file__).parent / "recipes"
    assert {path.stem for path in folder.glob("*.yaml")} >= set(RECIPES)
    found = {name: yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in RECIPES}
    sizes = {name: (found[name]["steps"], found[name]["batch_size"]) for name in RECIPES[1:4]}
    assert sizes == {
        "paper-12m": (30_000, 8192),
        "paper-1b": (200_000, 65_536),
        "paper-v2": (200_000, 65_536),
    }
    assert [found[name]["reinforced"]["teacher_scales"] for name in RECIPES[1:4]] == [
        [100, 100],
        [100, 100],
        [70, 60],
    ]
