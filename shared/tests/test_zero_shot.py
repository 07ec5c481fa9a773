import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit_shared.zero_shot import (
    bootstrap_interval,
    classifier_weights,
    fill_template,
    per_class_recall,
    predicted_classes,
    recalled_share,
    true_class_ranks,
    unit_rows,
)

Floats = npt.NDArray[np.float64]

VECTORS = {
    "a cat": [3.0, 4.0],  # length 5: unit (0.6, 0.8)
    "one cat": [100.0, 0.0],  # unit (1, 0)
    "a dog": [0.0, 2.0],
    "one dog": [0.0, -0.5],
    "a cow": [1.0, 0.0],
    "one cow": [0.0, 1.0],
}


def encode(prompts: object) -> Floats:
    return np.array([VECTORS[text] for text in prompts])  # type: ignore[attr-defined]


def test_each_prompt_is_made_unit_before_the_mean_and_the_mean_after_it() -> None:
    weights = classifier_weights(encode, ["cat", "cow"], ["a {}", "one {c}"])

    # cat: mean of (0.6, 0.8) and (1, 0) is (0.8, 0.4), of length sqrt(0.8)
    np.testing.assert_allclose(weights[0], np.array([0.8, 0.4]) / np.sqrt(0.8), rtol=1e-7)
    np.testing.assert_allclose(weights[1], [np.sqrt(0.5), np.sqrt(0.5)], rtol=1e-7)
    assert weights.dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_weights_do_not_depend_on_the_batches_of_prompts(batch_size: int) -> None:
    generator = np.random.default_rng(0)
    table = {f"{t} {c}": generator.normal(size=7) for t in "abc" for c in "wxyz"}

    def look_up(prompts: object) -> Floats:
        return np.array([table[text] for text in prompts])  # type: ignore[attr-defined]

    whole = classifier_weights(look_up, list("wxyz"), ["a {}", "b {}", "c {}"])
    parts = classifier_weights(look_up, list("wxyz"), ["a {}", "b {}", "c {}"], batch_size=batch_size)
    assert whole.tobytes() == parts.tobytes()


def test_prompts_that_cancel_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="row 0 of the features is 0"):
        classifier_weights(encode, ["dog"], ["a {}", "one {}"])


def test_a_template_is_only_filled_and_never_formatted() -> None:
    assert fill_template("a {} and {c}", "{0.__class__}") == "a {0.__class__} and {0.__class__}"
    assert fill_template("{name} {}", "x") == "{name} x"
    with pytest.raises(ValueError, match=r"has no \{\} for the name"):
        fill_template("a {0.__class__}", "x")


def test_ranks_count_the_classes_before_the_true_one() -> None:
    # given scores of one image each: (3, 2, 1), (1, 3, 2), (2, 2, 1)
    weights = np.eye(3)
    images = np.array([[3.0, 2, 1], [1, 3, 2], [2, 2, 1]])

    ranks = true_class_ranks(images, weights, np.array([1, 1, 0]))

    assert ranks.tolist() == [1, 0, 1]  # the last one is a tie, which counts against
    assert predicted_classes(images, weights).tolist() == [0, 1, 0]
    assert recalled_share(ranks) == pytest.approx(1 / 3)
    assert recalled_share(ranks, 2) == 1.0


def test_a_model_that_sees_no_difference_is_never_right() -> None:
    images, weights = np.ones((50, 8)), np.ones((4, 8))

    ranks = true_class_ranks(images, weights, np.arange(50) % 4)

    assert recalled_share(ranks) == 0.0
    assert ranks.tolist() == [3] * 50


def test_recall_of_a_class_is_over_its_own_images() -> None:
    # class 0: 1 of 4 right; class 1: 1 of 1; class 2 has no image
    ranks, labels = np.array([0, 1, 2, 1, 0]), np.array([0, 0, 0, 0, 1])

    found = per_class_recall(ranks, labels, 3)

    assert found[:2].tolist() == [0.25, 1.0]
    assert np.isnan(found[2])
    assert np.nanmean(found) == 0.625  # accuracy would be 0.4


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(2, 9), st.integers(1, 50), st.integers(0, 1000))
def test_ranks_are_those_of_a_sort_whatever_the_block(n: int, classes: int, block: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    images = generator.integers(-3, 4, (n, 4)).astype(np.float64)
    weights = generator.integers(-3, 4, (classes, 4)).astype(np.float64)
    labels = generator.integers(0, classes, n)

    ranks = true_class_ranks(images, weights, labels, block_rows=block)

    for image, label, rank in zip(images, labels, ranks, strict=True):
        scores = weights @ image
        # the last place that a sort in falling order may give the true class
        assert rank == sorted(-scores).index(-scores[label]) + (scores == scores[label]).sum() - 1


@pytest.mark.parametrize(
    ("images", "weights", "labels", "message"),
    [
        ([[1.0, np.nan]], [[1.0, 0.0]], [0], "not finite"),
        ([[1.0, 0.0]], [[1.0, 0.0, 0.0]], [0], "width 2 and classes of width 3"),
        ([[1.0, 0.0]], [[1.0, 0.0]], [1], "not in 0..0"),
        ([[1.0, 0.0]], [[1.0, 0.0]], [0, 0], "for 1 images"),
    ],
)
def test_what_does_not_fit_is_refused(images: object, weights: object, labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        true_class_ranks(np.array(images), np.array(weights), np.array(labels))


def test_the_peer_formula_of_open_clip_gives_the_same_weights_and_accuracy() -> None:
    # given open_clip's order of operations, written out: normalise, mean over templates, normalise, logits
    generator = np.random.default_rng(3)
    table = {f"{t} {c}": generator.normal(size=16).astype(np.float32) for t in "ab" for c in "uvwxyz"}
    images = unit_rows(generator.normal(size=(300, 16)))
    labels = generator.integers(0, 6, 300)
    rows = np.array([[table[f"{t} {c}"] for t in "ab"] for c in "uvwxyz"])
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    expected = rows.mean(axis=1)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    logits = 100 * images @ expected.T

    weights = classifier_weights(lambda p: np.array([table[t] for t in p]), list("uvwxyz"), ["a {}", "b {}"])
    ranks = true_class_ranks(images, weights, labels)

    np.testing.assert_allclose(weights, expected, atol=2e-7)
    top5 = np.argsort(-logits, axis=1)[:, :5]
    assert recalled_share(ranks) == (top5[:, 0] == labels).mean()
    assert recalled_share(ranks, 5) == (top5 == labels[:, None]).any(axis=1).mean()
    assert (predicted_classes(images, weights) == top5[:, 0]).all()


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    # 400 of 1,000: standard error sqrt(0.4 * 0.6 / 1000) = 0.01549, times 1.96
    right = np.arange(1000) < 400

    low, high = bootstrap_interval(right, draws=20_000)

    assert low == pytest.approx(0.4 - 1.96 * 0.01549, abs=0.0015)
    assert high == pytest.approx(0.4 + 1.96 * 0.01549, abs=0.0015)
    assert bootstrap_interval(right, seed=1) == bootstrap_interval(right, seed=1)
    assert bootstrap_interval(np.zeros(5)) == (0.0, 0.0)


def test_questions_of_one_image_are_drawn_together() -> None:
    # given images of which all five captions are right, or none: as wide as for one caption an image
    right = np.arange(200) % 2

    single = bootstrap_interval(right, draws=20_000)
    five = bootstrap_interval(5 * right, np.full(200, 5), draws=20_000)

    assert five == pytest.approx(single, abs=1e-12)
