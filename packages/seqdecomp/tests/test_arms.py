"""The arms: one name each, and groups of rows that say what they hold."""

import re

import numpy as np
import pytest
from seqdecomp.arms import arm_groups
from seqdecomp.data.store import Store
from seqdecomp.documents import Documents
from toolkit_shared.errors import InputError

LENGTHS = np.random.default_rng(0).integers(1, 3000, 200)
OPTIONS = {"min_length": 256, "max_length": 2048}


@pytest.mark.parametrize(
    ("arm", "lengths", "masked"),
    [
        ("dd", [256, 512, 1024, 2048], False),
        ("concat", [2048], False),
        ("concat+mask", [2048], True),
        ("concat-1k", [1024], False),
        ("best-fit", [2048], False),
        ("best-fit-512+mask", [512], True),
        ("single-1024", [1024], False),
        ("chop-2k-512", [512], False),
        ("glue-128-1k", [1024], False),
    ],
)
def test_each_arm_has_its_lengths(arm: str, lengths: list[int], masked: bool) -> None:
    groups = arm_groups(arm, Documents.of_lengths(LENGTHS), **OPTIONS)

    assert [group.length for group in groups] == lengths
    assert all(group.masked == masked and len(group.rows) > 0 for group in groups)
    assert [group.rows.length for group in groups] == lengths


def test_all_arms_train_on_nearly_all_tokens_of_the_same_documents() -> None:
    # The baselines get what dataset decomposition gets.
    total = int(LENGTHS.sum())
    for arm in ("concat", "best-fit", "dd"):
        groups = arm_groups(arm, Documents.of_lengths(LENGTHS), **{**OPTIONS, "min_length": 1})
        spans = [group.rows.segments()[2].sum() for group in groups]
        assert total - 2048 < sum(spans) <= total


def test_a_single_bucket_is_that_of_the_whole_decomposition() -> None:
    # Section 3.2 of arXiv 2405.13226: native 1,024-token pieces, not longer documents cut to 1,024.
    documents = Documents.of_lengths(LENGTHS)
    buckets = {group.length: group.rows for group in arm_groups("dd", documents, **OPTIONS)}

    single = arm_groups("single-1k", documents, **OPTIONS)[0].rows
    chopped = arm_groups("chop-2k-1k", documents, **OPTIONS)[0].rows

    assert np.array_equal(single.segment_starts, buckets[1024].segment_starts)
    assert len(chopped) == 2 * len(buckets[2048])
    assert not set(chopped.segment_starts.tolist()) & set(single.segment_starts.tolist())


def test_sources_can_be_kept_apart() -> None:
    documents = Documents.of_lengths(LENGTHS)._replace(
        sources=(np.arange(200) % 2).astype(np.int32), source_names=("web", "code")
    )

    groups = arm_groups("dd", documents, by_source=True, **OPTIONS)
    whole = arm_groups("dd", documents, **OPTIONS)

    assert [group.name for group in groups][:4] == ["web/256", "web/512", "web/1024", "web/2048"]
    assert len(groups[0].rows) + len(groups[4].rows) == len(whole[0].rows)


def test_the_semantic_arm_orders_documents_by_likeness() -> None:
    documents = [[5, 6, 7, 0], [90, 91, 92, 0], [5, 6, 8, 0], [90, 91, 93, 0]]
    store = Store.from_documents(documents)

    rows = arm_groups("semantic", Documents.of(store), store=store, max_length=8)[0].rows

    tokens, segments = rows.gather(store, np.arange(2))
    assert [sorted({t // 50 for t in row.tolist() if t}) for row in tokens] in ([[0], [1]], [[1], [0]])
    assert segments is not None
    assert segments.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        ("concatenate", "arm: 'concatenate' is not one of dd, concat,"),
        ("single", "arm: 'single' names 0 lengths; single takes 1"),
        ("concat-1000", "arm: 'concat-1000': 1000 is not a power of two"),
        (
            "glue-1k-128",
            "arm: 'glue-1k-128': glue goes from a shorter length to a longer; give the",
        ),
        (
            "chop-1k-1k",
            "arm: 'chop-1k-1k': chop goes from a longer length to a shorter; give the lengths in that order",
        ),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(arm: str, line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        arm_groups(arm, Documents.of_lengths(LENGTHS))


def test_a_bucket_with_padding_is_neither_chopped_nor_glued() -> None:
    documents = Documents.of_lengths(LENGTHS)
    line = "arm: 'glue-256-1k': under tail 'pad' the bucket of 256 holds padded sequences; take another tail"
    with pytest.raises(InputError, match=re.escape(line)):
        arm_groups("glue-256-1k", documents, tail="pad")
    assert arm_groups("glue-256-1k", documents, tail="pad", min_length=128)[0].length == 1024
