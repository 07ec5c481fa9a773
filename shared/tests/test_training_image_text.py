"""Training an image-text model: its loss, groups, schedule, log, averages."""

import json

import pytest
import torch
from lightning.pytorch import Callback
from toolkit_shared.contrastive import clip_loss
from toolkit_shared.training import StepCheckpoint, make_trainer, trainer_defaults
from toolkit_shared.training.image_text import (
    ImageTextLog,
    ImageTextTraining,
    WeightAverage,
    adam_epsilon,
    read_lines,
)
from torch import nn
from torch.nn import functional as F

pytestmark = pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")


class Pair(nn.Module):
    """Two linear encoders."""

    def __init__(self, scale=2.0):
        super().__init__()
        self.image, self.text = nn.Linear(12, 4), nn.Embedding(50, 4)
        self.norm = nn.BatchNorm1d(4)
        self.logit_scale = nn.Parameter(torch.tensor(scale))

    def encode_image(self, images, normalize=False):
        features = self.image(images.flatten(1))
        return F.normalize(features, dim=-1) if normalize else features

    def encode_text(self, tokens, normalize=False):
        features = self.norm(self.text(tokens).mean(1))
        return F.normalize(features, dim=-1) if normalize else features


def batches(steps):
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "images": torch.randn(6, 3, 2, 2, generator=generator),
            "texts": torch.randint(50, (6, 5), generator=generator),
        }
        for _ in range(steps)
    ]


def train(folder, *, steps=4, scale=2.0, callbacks=(), module=None, checkpoint=None, **options):
    torch.manual_seed(0)
    module = module or ImageTextTraining(Pair(scale), total_steps=steps, warmup_steps=2, **options)
    saves = any(isinstance(callback, StepCheckpoint) for callback in callbacks)
    trainer = make_trainer(
        {**trainer_defaults("cpu"), "enable_checkpointing": saves},
        max_steps=steps,
        callbacks=[ImageTextLog(folder, every_steps=2), *callbacks],
    )
    loader = torch.utils.data.DataLoader(batches(steps), batch_size=None)
    trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    return module


def test_the_first_loss_is_that_of_the_formula_and_every_step_has_a_line(tmp_path):
    train(tmp_path, lr=0.01)
    rows = list(read_lines(tmp_path / "metrics.jsonl"))
    torch.manual_seed(0)
    model, batch = Pair(), batches(1)[0]
    images = F.normalize(model.image(batch["images"].flatten(1)), dim=1)
    texts = F.normalize(model.norm(model.text(batch["texts"]).mean(1)), dim=1)
    expected = clip_loss(images, texts, model.logit_scale.exp()).item()
    assert rows[0]["loss"] == rows[0]["contrastive"] == pytest.approx(expected, abs=1e-6)
    assert rows[0]["logit_scale"] == pytest.approx(torch.e**2)
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    assert [row["lr"] for row in rows] == pytest.approx([0.005, 0.01, 0.01, 0.005])
    assert set(json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])) == {
        *("step", "loss", "contrastive", "logit_scale", "lr")
    }


def test_streams_of_texts_go_through_the_encoder_as_one_batch():
    torch.manual_seed(0)
    model = Pair()
    module = ImageTextTraining(model, total_steps=1)
    first, second = batches(2)
    _, streams, _ = module.encode(first["images"], [first["texts"], second["texts"]])
    together = model.encode_text(torch.cat([first["texts"], second["texts"]]), normalize=True)
    assert torch.allclose(torch.cat(streams), together, atol=1e-6)
    # the statistics of the batch norm are those of both, so one stream alone is something else
    assert not torch.allclose(streams[0], model.encode_text(first["texts"], normalize=True), atol=1e-3)


def test_matrices_decay_and_biases_norms_and_the_scale_do_not():
    module = ImageTextTraining(Pair(), total_steps=1, weight_decay=0.3, eps=1e-6, betas=(0.8, 0.9))
    optimizer = module.configure_optimizers()["optimizer"]
    decays = {
        name: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
        for name, other in module.model.named_parameters()
        if other is parameter
    }
    assert {name for name, decay in decays.items() if decay} == {"image.weight", "text.weight"}
    assert len(decays) == 6
    assert {(group["eps"], group["betas"]) for group in optimizer.param_groups} == {(1e-6, (0.8, 0.9))}


def test_a_model_that_comes_in_evaluation_mode_is_trained_in_train_mode(tmp_path):
    torch.manual_seed(0)
    model = Pair().eval()
    train(tmp_path, module=ImageTextTraining(model, total_steps=3), steps=3)
    assert model.norm.num_batches_tracked.item() == 3
    assert model.training


def test_parameters_of_a_subclass_are_trained_too():
    class WithBias(ImageTextTraining):
        def __init__(self):
            super().__init__(Pair(), total_steps=1)
            self.bias = nn.Parameter(torch.tensor(-10.0))

    module = WithBias()
    groups = module.configure_optimizers()["optimizer"].param_groups
    (group,) = [group for group in groups if any(one is module.bias for one in group["params"])]
    assert group["weight_decay"] == 0


class SavedScales(Callback):
    """The logit scale as a checkpoint or an average would see it."""

    def __init__(self):
        self.found = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.found.append(pl_module.model.logit_scale.item())


def test_the_scale_is_within_its_bounds_before_anyone_saves_it(tmp_path):
    saved = SavedScales()
    train(tmp_path, scale=9.0, callbacks=[saved], lr=1e-3)
    assert max(saved.found) <= torch.tensor(100.0).log().item() + 1e-6
    rows = list(read_lines(tmp_path / "metrics.jsonl"))
    assert rows[0]["logit_scale"] > 1000
    assert rows[1]["logit_scale"] <= 100.01


def test_the_average_is_that_of_the_formula_and_survives_a_checkpoint(tmp_path):
    class Weights(Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.seen.append(pl_module.model.image.weight.detach().clone())

    average, weights = WeightAverage(0.5), Weights()
    checkpoints = StepCheckpoint(tmp_path / "checkpoints", every_steps=2)
    train(tmp_path, steps=5, lr=0.05, callbacks=[average, weights, checkpoints])

    torch.manual_seed(0)
    expected = Pair().image.weight.detach().clone()
    for step, value in enumerate(weights.seen, start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert torch.allclose(average.average["image.weight"], expected, atol=1e-6)
    assert average.average["norm.num_batches_tracked"].item() == 5

    resumed = WeightAverage(0.5)
    newest = StepCheckpoint.newest(tmp_path / "checkpoints")
    saved = torch.load(newest, weights_only=True)
    resumed.load_state_dict(saved["callbacks"]["WeightAverage"])
    assert not torch.equal(resumed.average["image.weight"], average.average["image.weight"])
    assert set(resumed.average) == set(average.average)


def test_the_epsilon_goes_by_the_name_of_the_model():
    assert adam_epsilon("ViT-B-16") == 1e-6
    assert adam_epsilon("MobileCLIP-B") == 1e-8
