"""Digits experiment: disjoint pools, captions of the stated noise, stored augmentations, rows aligned."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mobileclip.experiment import digit_pairs
from mobileclip.experiment.augmenting import augment, draw_augmentations, replay
from mobileclip.experiment.captions import (
    DIGITS,
    JUNK,
    SLOTS,
    VOCABULARY,
    full_caption,
    synthetic_caption,
    tokenize,
    web_caption,
)
from mobileclip.experiment.configuration import ARMS, HARSH, MILD, SMOKE
from mobileclip.experiment.digit_pairs import NUM_CLASSES, class_parts, draw_pairs, split_digits
from mobileclip.experiment.efficiency import accuracy_at, crossing_ratio
from mobileclip.experiment.fitting import arm_loss, train_student, zero_shot_accuracy
from mobileclip.experiment.reinforcing import ReinforcedPairs, first_pairs, reinforce
from mobileclip.experiment.small_models import SmallImageTextModel, build_model
from mobileclip.objectives import distillation_loss
from toolkit_shared.contrastive import clip_loss
from toolkit_shared.randomness import stream

REGIME = replace(MILD, num_pairs=24)


@pytest.fixture(scope="module")
def teachers() -> list[SmallImageTextModel]:
    return [build_model(16, 8, 4, seed=seed).eval() for seed in (1, 2)]


@pytest.fixture(scope="module")
def reinforced(teachers: list[SmallImageTextModel]) -> ReinforcedPairs:
    pairs = draw_pairs(split_digits(0)["student"], REGIME.num_pairs, stream(0, "student pairs"))
    return reinforce(pairs, teachers, "strong", REGIME, SMOKE, seed=0)


def test_the_pools_share_no_digit_and_leave_none_out(monkeypatch: pytest.MonkeyPatch) -> None:
    numbered = np.arange(1797, dtype=np.float32)[:, None, None] * np.ones((1, 8, 8), np.float32)
    monkeypatch.setattr(digit_pairs, "_all_digits", lambda: (numbered, np.arange(1797)))

    pools = split_digits(seed=3)

    seen = [int(number) for pool in pools.values() for number in pool.digits]
    assert {name: len(pool.digits) for name, pool in pools.items()} == {
        "teacher": 900,
        "student": 397,
        "test": 500,
    }
    assert sorted(seen) == list(range(1797))
    assert all((pool.images[:, 0, 0] == pool.digits).all() for pool in pools.values())


def test_another_seed_divides_the_digits_otherwise() -> None:
    assert not np.array_equal(split_digits(0)["test"].images, split_digits(1)["test"].images)


def test_a_pair_shows_its_digits_side_by_side_in_its_ink() -> None:
    pool = split_digits(0)["test"]

    pairs = draw_pairs(pool, 200, stream(0, "here"))

    for image, label in zip(pairs.images, pairs.classes, strict=True):
        left, right, dark = class_parts(int(label))
        light = 1 - image if dark else image
        for half, digit in ((light[:, :8], left), (light[:, 8:], right)):
            same = np.abs(pool.images[pool.digits == digit] - half).max(axis=(1, 2))
            assert same.min() < 1e-6
    assert len(set(pairs.classes.tolist())) > 100


def test_every_class_has_its_own_prompt_of_words_that_captions_have() -> None:
    prompts = [full_caption(label) for label in range(NUM_CLASSES)]
    rng = stream(0, "captions")
    seen = {word for label in range(NUM_CLASSES) for word in web_caption(label, rng).split()}

    assert len(set(prompts)) == NUM_CLASSES
    assert full_caption(20 * 3 + 2 * 7 + 0) == "a photo of a three left of a seven light ink"
    assert {word for prompt in prompts for word in prompt.split()} <= seen


def test_web_captions_have_the_stated_shares() -> None:
    rng = stream(0, "captions")
    label = 20 * 3 + 2 * 7
    count = 4000
    kinds: Counter[str] = Counter()
    for _ in range(count):
        words = web_caption(label, rng).split()
        digits = [word for word in words if word in DIGITS]
        junk = any(word in JUNK for word in words)
        if " ".join(words) == full_caption(label):
            kinds["full"] += 1
        elif junk:
            kinds["junk and one digit" if digits else "junk"] += 1
            assert len(digits) <= 1
            assert set(digits) <= {"three", "seven"}
        elif set(digits) == {"three", "seven"}:
            kinds["both digits"] += 1
        else:
            kinds["another pair"] += 1

    expected = {
        "full": 0.2,
        "junk": 0.25,
        "junk and one digit": 0.3,
        "both digits": 0.15,
        "another pair": 0.1,
    }
    assert set(kinds) == set(expected)
    for kind, ratio in expected.items():
        # four standard errors of a share of 4000; an other pair may happen to be the full one, in 1 of 200
        assert kinds[kind] / count == pytest.approx(ratio, abs=0.03), kind


def test_the_captioner_errs_as_often_as_it_should() -> None:
    rng = stream(0, "captioner")
    texts = [synthetic_caption(20 * 3 + 2 * 7, 0.35, rng).split() for _ in range(4000)]

    assert np.mean([words[4] != "three" for words in texts]) == pytest.approx(0.35, abs=0.03)
    assert np.mean([words[8] != "seven" for words in texts]) == pytest.approx(0.35, abs=0.03)
    assert {tuple(words[-2:]) for words in texts} == {("light", "ink")}


def test_tokens_are_rows_of_words_and_zeros() -> None:
    rows = tokenize(["a photo", "sale " * 20])

    assert rows.shape == (2, SLOTS)
    assert rows[0].tolist() == [VOCABULARY.index("a") + 1, VOCABULARY.index("photo") + 1] + [0] * 10
    assert (rows[1] == VOCABULARY.index("sale") + 1).all()
    with pytest.raises(KeyError, match="unheard"):
        tokenize(["an unheard word".replace("an ", "")])


def test_stored_augmentations_replay_to_the_same_pixels_whatever_is_beside_them() -> None:
    images = draw_pairs(split_digits(0)["student"], 6, stream(0, "here")).images
    stored = draw_augmentations(6, 3, "strong", HARSH, stream(0, "there"))
    one = replace(
        stored,
        **{
            name: getattr(stored, name)[4:5]
            for name in ("contrast", "brightness", "down", "right", "noise_seeds")
        },
    )

    assert np.array_equal(replay(images, stored), replay(images, stored))
    assert np.array_equal(replay(images, stored)[4:5], replay(images[4:5], one))


def test_rolls_move_the_image_and_noise_has_its_size() -> None:
    images = draw_pairs(split_digits(0)["student"], 400, stream(0, "here")).images
    stored = draw_augmentations(400, 1, "strong", HARSH, stream(0, "there"))
    plain = replace(
        stored, noise=0.0, contrast=np.ones_like(stored.contrast), brightness=0 * stored.brightness
    )

    moved = replay(images, plain)[:, 0]
    noisy = replay(images, stored)[:, 0] - replay(images, replace(stored, noise=0.0))[:, 0]

    for image, result, down, right in zip(images, moved, stored.down[:, 0], stored.right[:, 0], strict=True):
        assert np.allclose(result, np.roll(image, (down, right), axis=(0, 1)), atol=1e-6)
    assert set(stored.down.ravel().tolist()) == {-1, 0, 1}
    assert noisy.std() == pytest.approx(HARSH.noise, rel=0.02)


def test_weak_augmentations_are_a_little_noise() -> None:
    images = draw_pairs(split_digits(0)["student"], 100, stream(0, "here")).images

    changed = augment(images, "weak", HARSH, stream(0, "there")) - images

    assert changed.std() == pytest.approx(0.02, rel=0.05)
    assert changed.mean() == pytest.approx(0, abs=1e-3)


def test_embeddings_are_those_of_exactly_the_stored_augmentation(
    reinforced: ReinforcedPairs, teachers: list[SmallImageTextModel]
) -> None:
    for teacher, rows, texts in zip(
        teachers, reinforced.teacher_images, reinforced.teacher_synthetic_texts, strict=True
    ):
        with torch.no_grad():
            expected = teacher.encode_image(reinforced.images[7, 2][None])[0]
            of_caption = teacher.encode_text(reinforced.synthetic_texts[7, 3][None])[0]
        assert torch.allclose(rows[7, 2], expected, atol=1e-6)
        assert not torch.allclose(rows[7, 1], expected, atol=1e-4)
        assert torch.allclose(texts[7, 3], of_caption, atol=1e-6)


def parts(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = stream(0, "rows")
    return rng.permutation(24)[:count], rng.integers(3, size=count), rng.integers(5, size=count)


def test_arms_a_to_c_are_the_clip_loss_and_the_streams_are_added(reinforced: ReinforcedPairs) -> None:
    model = build_model(16, 8, 4, seed=0)
    rows, which, captions = parts(12)
    features = model.encode_image(reinforced.images[rows, which])
    real, synthetic = (
        clip_loss(features, model.encode_text(tokens), model.scale())
        for tokens in (reinforced.texts[rows], reinforced.synthetic_texts[rows, captions])
    )

    plain = arm_loss(model, reinforced, ARMS["B"], 20.0, rows, which, captions)
    both = arm_loss(model, reinforced, ARMS["C"], 20.0, rows, which, captions)

    assert plain.item() == pytest.approx(real.item(), rel=1e-6)
    assert both.item() == pytest.approx((real + synthetic).item(), rel=1e-6)


def test_the_misaligned_arm_is_the_full_one_with_the_rows_of_the_next_augmentation(
    reinforced: ReinforcedPairs,
) -> None:
    model = build_model(16, 8, 4, seed=0)
    rows, which, captions = parts(12)
    shifted = replace(
        reinforced, teacher_images=tuple(torch.roll(one, -1, dims=1) for one in reinforced.teacher_images)
    )

    def loss(pairs: ReinforcedPairs, arm: str) -> float:
        return arm_loss(model, pairs, ARMS[arm], 20.0, rows, which, captions).item()

    assert loss(reinforced, "F-misaligned") == loss(shifted, "F")
    assert loss(reinforced, "F-misaligned") != loss(reinforced, "F")


def test_one_augmentation_and_one_teacher_use_no_more_than_that(reinforced: ReinforcedPairs) -> None:
    model = build_model(16, 8, 4, seed=0)
    rows, which, captions = parts(12)
    only_first = replace(
        reinforced,
        images=reinforced.images[:, :1].expand_as(reinforced.images),
        teacher_images=tuple(one[:, :1].expand_as(one) for one in reinforced.teacher_images),
    )
    without_second = replace(reinforced, teacher_images=reinforced.teacher_images[:1])

    def loss(pairs: ReinforcedPairs, arm: str) -> float:
        return arm_loss(model, pairs, ARMS[arm], 20.0, rows, which, captions).item()

    assert (
        loss(reinforced, "F-one-augmentation")
        == loss(only_first, "F-one-augmentation")
        == loss(only_first, "F")
    )
    assert loss(without_second, "E") == loss(reinforced, "E")


def test_arm_d_has_each_teacher_with_its_own_images_and_captions(reinforced: ReinforcedPairs) -> None:
    model = build_model(16, 8, 4, seed=0)
    rows, which, captions = parts(12)

    loss = arm_loss(model, reinforced, ARMS["D"], 20.0, rows, which, captions)

    expected = distillation_loss(
        model.encode_image(reinforced.images[rows, which]),
        model.encode_text(reinforced.texts[rows]),
        model.scale(),
        [one[rows, which] for one in reinforced.teacher_images],
        [one[rows] for one in reinforced.teacher_texts],
        [20.0, 20.0],
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_student_that_is_its_only_teacher_stays_as_it_is(reinforced: ReinforcedPairs) -> None:
    # a student equal to its teacher, at the teacher's scale, has no gradient under distillation
    student = build_model(16, 8, 4, seed=1)
    with torch.no_grad():
        student.log_scale.fill_(float(np.log(20.0)))
    rows, which, captions = parts(12)

    loss = arm_loss(student, reinforced, ARMS["E"], 20.0, rows, which, captions)
    loss.backward()

    assert max(float(one.grad.abs().max()) for one in student.parameters() if one.grad is not None) < 1e-6


def test_the_same_seed_trains_the_same_student_and_the_global_generator_is_left_alone(
    reinforced: ReinforcedPairs,
) -> None:
    before = torch.random.get_rng_state()

    first, losses = train_student(reinforced, ARMS["F"], SMOKE, 0, steps=4)
    second, again = train_student(reinforced, ARMS["F"], SMOKE, 0, steps=4)

    assert losses == again
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert torch.equal(before, torch.random.get_rng_state())


def test_arms_of_a_seed_begin_alike_and_the_first_pairs_stay_the_same(reinforced: ReinforcedPairs) -> None:
    fewer = first_pairs(reinforced, 8)

    assert len(fewer) == 8
    assert torch.equal(fewer.images, reinforced.images[:8])
    assert all(len(rows) == 8 for rows in (*fewer.teacher_images, *fewer.teacher_synthetic_texts))


def test_training_lowers_the_loss_in_a_few_steps(reinforced: ReinforcedPairs) -> None:
    _, losses = train_student(reinforced, ARMS["C"], replace(SMOKE, lr=5e-3), 0, steps=60)

    assert losses[-1] < 0.5 * losses[0]


def test_accuracy_is_the_share_of_own_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Knowing(SmallImageTextModel):
        """Images say their class in their first pixel; every tenth is told wrong."""

        def encode_image(self, images: torch.Tensor) -> torch.Tensor:
            labels = images[:, 0, 0].round().long()
            labels[::10] = (labels[::10] + 1) % NUM_CLASSES
            return torch.eye(NUM_CLASSES)[labels]

        def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.eye(NUM_CLASSES)

    pairs = draw_pairs(split_digits(0)["test"], 100, stream(0, "test"))
    pairs.images[:, 0, 0] = pairs.classes

    assert zero_shot_accuracy(Knowing(4, 4, 4), pairs) == pytest.approx(0.9)


def test_the_crossing_lies_between_the_points_around_it() -> None:
    points = [(0.1, 0.2), (0.2, 0.4), (1.0, 0.8)]

    # a third of the way from 0.2 to 0.4 is 0.266..., by hand
    assert crossing_ratio(points, 0.3) == pytest.approx(0.15)
    assert crossing_ratio(points, 0.6) == pytest.approx(0.6)
    assert crossing_ratio(points, 0.1) == 0.1  # an upper bound
    assert crossing_ratio(points, 0.8) == pytest.approx(1.0)
    assert crossing_ratio(points, 0.81) is None
    assert accuracy_at(points, 0.2) == 0.4
    assert accuracy_at(points, 0.3) is None


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6, unique=True),
    st.floats(0, 1),
)
def test_a_curve_reaches_a_target_when_one_of_its_points_does(values: list[float], target: float) -> None:
    points = [((place + 1) / len(values), value) for place, value in enumerate(values)]

    found = crossing_ratio(points, target)

    assert (found is None) == all(value < target for value in values)
    if found is not None:
        assert points[0][0] <= found <= 1
