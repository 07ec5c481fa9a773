"""The batches of a run."""

import io
from collections import Counter

import numpy as np
import pytest
import torch
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.replay import normalize_image, replay
from mobileclip.settings import CheckSettings, ReinforcementSettings
from mobileclip.tokenization import ClipTokenizer
from mobileclip.training.dataset import StepDataset, StepLoader, check_shares
from mobileclip.training.plan import Plan, Sources, make_plan
from mobileclip.training.sampling import draw
from PIL import Image
from reinforced_pairs import SIZE, reinforcement, write_pairs, write_store
from toolkit_shared.errors import InputError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
SETTINGS = ReinforcementSettings()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset")
    store = write_store(root / "store", [reinforcement(number) for number in range(10)])
    return Sources(write_pairs(root / "pairs", count=10), store)


def dataset(sources, *, store=True, **options):
    pairs, opened = sources.open()
    plan = make_plan(sources if store else Sources(sources.pairs), CheckSettings())
    arguments = {
        "steps": 5,
        "batch_size": 4,
        "seed": 3,
        "image_size": 32,
        "mean": MEAN,
        "std": STD,
        "context_length": 12,
        "settings": SETTINGS,
        "augmentation": "stored" if store else "strong",
        **options,
    }
    return StepDataset(pairs, opened if store else None, plan, **arguments)


def test_a_batch_has_the_replayed_images_the_texts_and_the_rows_of_its_draws(sources):
    data = dataset(sources)
    batch = data[3]  # positions 12 to 15: of the second epoch
    tokenizer = ClipTokenizer(12)
    for row, (epoch, number) in enumerate(data.order.at(np.arange(12, 16))):
        assert epoch == 1
        sample = reinforcement(number)
        chosen = draw(sample.key, data.store.counts(number), SETTINGS, seed=3, epoch=1)
        image = Image.open(io.BytesIO(data.pairs[number].image)).convert("RGB")
        view = replay(image, sample.augmentations[chosen.augmentation], size=32)
        assert torch.equal(batch["images"][row], normalize_image(view, MEAN, STD))
        assert torch.equal(batch["texts"][row], tokenizer(sample.captions[chosen.caption])[0])
        synthetic = sample.synthetic_captions[chosen.synthetic]
        assert torch.equal(batch["synthetic_texts"][row], tokenizer(synthetic)[0])
        assert np.array_equal(
            batch["teacher_images"][row].numpy(), sample.image_embeddings[chosen.augmentation]
        )
        assert np.array_equal(batch["teacher_texts"][row].numpy(), sample.text_embeddings[chosen.caption])
        assert np.array_equal(
            batch["teacher_synthetic_texts"][row].numpy(), sample.synthetic_embeddings[chosen.synthetic]
        )


def test_every_pair_is_seen_once_an_epoch(sources):
    order = dataset(sources).order
    seen = order.at(np.arange(20))
    for epoch in (0, 1):
        assert Counter(number for found, number in seen if found == epoch) == Counter(range(10))
    assert [number for _, number in seen[:10]] != [number for _, number in seen[10:]]


def test_processes_share_out_the_rows_of_one(sources):
    whole = dataset(sources)[2]
    parts = [dataset(sources, rank=rank, world_size=2)[2] for rank in (0, 1)]
    for name, value in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), value)


@pytest.mark.slow
def test_workers_and_a_resumed_position_give_the_same_batches(sources):
    straight = list(StepLoader(dataset(sources)))
    assert len(straight) == 5
    loader = StepLoader(dataset(sources), workers=2)
    loader.load_state_dict({"step": 2})
    resumed = list(loader)
    assert loader.state_dict() == {"step": 5}
    for expected, found in zip(straight[2:], resumed, strict=True):
        assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_crops_are_scaled_to_an_image_of_another_resolution(tmp_path):
    folder = write_pairs(tmp_path / "pairs", count=2)
    double = (SIZE[0] * 2, SIZE[1] * 2)
    rows = np.random.default_rng(0).integers(0, 256, (double[1], double[0], 3), dtype=np.uint8)
    Image.fromarray(rows).save(folder / "0001.png")
    store = write_store(tmp_path / "store", [reinforcement(number) for number in range(2)])
    sources = Sources(folder, store)
    plan = make_plan(sources, CheckSettings(mismatched_sizes="scale"))
    pairs, opened = sources.open()
    data = StepDataset(
        *(pairs, opened, plan),
        steps=1,
        batch_size=2,
        seed=0,
        image_size=32,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        context_length=12,
        settings=SETTINGS,
        scale_crops=True,
    )
    sample = reinforcement(1)
    chosen = draw("0001", opened.counts(1), SETTINGS, seed=0, epoch=0)
    fitted = sample.augmentations[chosen.augmentation].fit_to(SIZE, double)
    view = replay(Image.fromarray(rows), fitted, size=32)
    assert torch.equal(data.sample(0, 1)["image"], normalize_image(view, (0, 0, 0), (1, 1, 1)))


def test_without_a_store_captions_and_augmentations_are_drawn_afresh(sources):
    strong, weak = (dataset(sources, store=False, augmentation=name) for name in ("strong", "weak"))
    assert set(strong[0]) == {"images", "texts"}
    assert torch.equal(strong[0]["texts"], weak[0]["texts"])
    assert not torch.equal(strong[0]["images"], weak[0]["images"])
    (_, number), *_ = strong.order.at(np.arange(1))
    assert not torch.equal(strong.sample(0, number)["image"], strong.sample(1, number)["image"])


def test_teachers_that_run_along_get_the_same_augmentation_at_their_own_size(sources):
    data = dataset(sources, augmentation="strong", teacher_sizes=[48, 32, 48])
    batch = data[0]
    assert {size: tuple(views.shape) for size, views in batch["teacher_views"].items()} == {
        32: (4, 32, 32, 3),
        48: (4, 48, 48, 3),
    }
    assert "teacher_images" not in batch
    view = Image.fromarray(batch["teacher_views"][32][1].numpy())
    assert torch.equal(batch["images"][1], normalize_image(view, MEAN, STD))
    real, synthetic = batch["captions"]
    assert torch.equal(ClipTokenizer(12)(synthetic), batch["synthetic_texts"])
    assert torch.equal(ClipTokenizer(12)(real), batch["texts"])


def test_an_image_that_breaks_after_the_check_stops_the_run_by_name(tmp_path):
    folder = write_pairs(tmp_path / "pairs", count=4)
    sources = Sources(folder)
    plan = make_plan(sources, CheckSettings())
    (folder / "0002.png").write_bytes((folder / "0002.png").read_bytes()[:60])
    pairs, _ = sources.open()
    data = StepDataset(
        *(pairs, None, plan),
        steps=1,
        batch_size=4,
        seed=0,
        image_size=32,
        mean=MEAN,
        std=STD,
        context_length=12,
        settings=SETTINGS,
        augmentation="weak",
    )
    with pytest.raises(InputError, match=r"0002.*truncated; it changed since the pairs were checked"):
        next(iter(StepLoader(data)))


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(InputError, match="--devices 3: does not divide the 8 pairs"):
        check_shares(8, 3)
    with pytest.raises(InputError, match="--devices 0: give 1 or more"):
        check_shares(8, 0)


def test_the_plan_leaves_pairs_out_of_the_order(sources):
    pairs, _ = sources.open()
    store = ReinforcedStore.open(sources.store)
    plan = Plan(np.array([1, 4, 7]), np.array([1, 4, 7]), ())
    data = StepDataset(
        *(pairs, store, plan),
        steps=1,
        batch_size=3,
        seed=0,
        image_size=32,
        mean=MEAN,
        std=STD,
        context_length=12,
        settings=SETTINGS,
    )
    rows = {tuple(row.tolist()) for row in data[0]["teacher_texts"]}
    known = [reinforcement(number).text_embeddings for number in (1, 4, 7)]
    assert rows <= {tuple(row.tolist()) for pair in known for row in pair}
