import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit_shared.zero_shot import recall_at_k, retrieval_metrics, retrieval_ranks, unit_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def naive(images: Floats, texts: Floats, owner: Ints, k: int) -> tuple[float, float]:
    """Recall@k by text and by image from the whole matrix, wrong answers before right ones in a tie."""
    scores = texts @ images.T
    by_text = []
    for text, row in enumerate(scores):
        order = sorted(range(len(images)), key=lambda i: (-row[i], i == owner[text]))
        by_text.append(owner[text] in order[:k])
    by_image = []
    for image in sorted(set(owner.tolist())):
        column = scores[:, image]
        order = sorted(range(len(texts)), key=lambda t: (-column[t], owner[t] == image))
        by_image.append(any(owner[t] == image for t in order[:k]))
    return float(np.mean(by_text)), float(np.mean(by_image))


def test_several_captions_of_one_image_count_as_the_spec_says() -> None:
    # given two images; the second caption of image 0 looks like image 1
    images = np.eye(2)
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    owner = np.array([0, 0, 1])

    ranks = retrieval_ranks(images, texts, owner)

    # then each caption is a query of its own, and an image needs only one of its captions
    assert ranks.image_of_text.tolist() == [0, 1, 0]
    assert ranks.text_of_image.tolist() == [0, 1]  # the best text of image 1 stands behind a wrong one
    assert retrieval_metrics(ranks) == {
        "image_retrieval_recall@1": pytest.approx(2 / 3),
        "text_retrieval_recall@1": 0.5,
        "image_retrieval_recall@5": 1.0,
        "text_retrieval_recall@5": 1.0,
        "image_retrieval_recall@10": 1.0,
        "text_retrieval_recall@10": 1.0,
        "mean_recall@1": pytest.approx((2 / 3 + 0.5) / 2),
    }


def test_a_caption_that_two_images_share_is_right_for_neither_in_the_first_place() -> None:
    images = np.eye(2)
    texts = np.array([[1.0, 0.0], [1.0, 0.0]])

    ranks = retrieval_ranks(images, texts, np.array([0, 1]))

    assert ranks.text_of_image.tolist() == [1, 1]
    assert ranks.image_of_text.tolist() == [0, 1]


def test_an_image_without_captions_is_searched_through_but_asks_nothing() -> None:
    images = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    texts = np.array([[0.8, 0.6], [0.0, 1.0]])

    ranks = retrieval_ranks(images, texts, np.array([0, 1]))

    assert ranks.text_of_image.tolist() == [0, 0, -1]
    assert ranks.image_of_text.tolist() == [1, 0]  # image 2 stands before image 0
    assert recall_at_k(ranks.text_of_image, 1) == 1.0


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(0, 20), st.integers(1, 7), st.integers(1, 7), st.integers(0, 1000))
def test_blocks_give_what_the_whole_matrix_gives(
    n: int, more: int, rows: int, columns: int, seed: int
) -> None:
    # given small whole numbers, so that ties are common and sums are exact
    generator = np.random.default_rng(seed)
    images = generator.integers(-2, 3, (n, 3)).astype(np.float64)
    owner = generator.integers(0, n, 1 + more)
    texts = generator.integers(-2, 3, (len(owner), 3)).astype(np.float64)

    ranks = retrieval_ranks(images, texts, owner, block_rows=rows, block_columns=columns)

    for k in (1, 2, 5):
        expected = naive(images, texts, owner, k)
        assert (recall_at_k(ranks.image_of_text, k), recall_at_k(ranks.text_of_image, k)) == expected


def test_equal_vectors_tie_wherever_they_stand_in_the_matrix() -> None:
    # given one text vector 3,000 times: a product of single floats ranks some of its copies before others
    generator = np.random.default_rng(0)
    image = unit_rows(generator.normal(size=(1, 512)))
    texts = np.repeat(unit_rows(generator.normal(size=(1, 512))), 3000, axis=0).astype(np.float32)
    images = np.concatenate([image, unit_rows(generator.normal(size=(3, 512)))]).astype(np.float32)

    ranks = retrieval_ranks(images, texts, np.arange(3000) % 4, block_columns=700)

    assert ranks.text_of_image.tolist() == [2250] * 4


def test_the_peer_formula_of_clip_benchmark_gives_the_same_recalls() -> None:
    # given its definition: true positives among the first k of each query, any of them counts
    generator = np.random.default_rng(5)
    images = unit_rows(generator.normal(size=(60, 8)))
    owner = np.repeat(np.arange(60), 5)
    texts = unit_rows(images[owner] + generator.normal(size=(300, 8)))
    scores = texts @ images.T
    positive = owner[:, None] == np.arange(60)[None]

    found = retrieval_metrics(retrieval_ranks(images, texts, owner))

    for k in (1, 5, 10):
        first = np.argsort(-scores, axis=1)[:, :k]
        assert found[f"image_retrieval_recall@{k}"] == pytest.approx(
            (np.take_along_axis(positive, first, 1).sum(1) > 0).mean()
        )
        first = np.argsort(-scores.T, axis=1)[:, :k]
        assert found[f"text_retrieval_recall@{k}"] == pytest.approx(
            (np.take_along_axis(positive.T, first, 1).sum(1) > 0).mean()
        )


@pytest.mark.parametrize(
    ("owner", "message"), [([0, 2], "not in 0..1"), ([0], "indices of images for 2 texts")]
)
def test_captions_of_no_image_are_refused(owner: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_ranks(np.eye(2), np.eye(2), np.array(owner))
