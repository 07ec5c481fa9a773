"""The order of the contexts of a run, and its micro-batches."""

from collections import Counter

import numpy as np
import pytest
from dclm_bench.tokenization.shards import Shard, member_names, pack_context, write_shard
from dclm_bench.training.contexts import ContextLoader, EpochOrder, StepDataset, count_pads
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError

LENGTH = 5
SIZES = (4, 7, 1)
EOT, PAD = 0, 99


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Twelve contexts, of which context i begins with i + 1; the last one is half fill."""
    folder = tmp_path_factory.mktemp("shards")
    rows = np.arange(1, 13)[:, None] + np.zeros(LENGTH, int)
    rows[11] = [12, 12, EOT, PAD, PAD]
    found, start = [], 0
    for number, size in enumerate(SIZES):
        path = folder / f"shard_{number:08d}.tar"
        packed = map(pack_context, rows[start : start + size])
        write_shard(path, zip(member_names(size, seed=0, shard=number), packed, strict=True))
        found.append(Shard(path, size))
        start += size
    return found


def dataset(shards, **changes):
    settings = {
        "context_length": LENGTH,
        "vocab_size": 100,
        "steps": 5,
        "sequences_per_step": 4,
        "seed": 7,
        "eot_id": EOT,
        "pad_id": PAD,
    }
    return StepDataset(shards, **{**settings, **changes})


def seen(dataset):
    return [batch["input_ids"][:, 0].tolist() for batch in ContextLoader(dataset)]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(sum), st.integers(0, 3))
def test_every_epoch_sees_every_context_once(sizes, seed):
    order = EpochOrder(sizes, seed=seed)
    shard, row = order.rows(0, 3 * order.num_contexts)
    places = list(zip(shard.tolist(), row.tolist(), strict=True))
    expected = Counter((index, place) for index, size in enumerate(sizes) for place in range(size))
    for epoch in range(3):
        part = places[epoch * order.num_contexts : (epoch + 1) * order.num_contexts]
        assert Counter(part) == expected
    pieces = [order.rows(start, start + 2) for start in range(0, 2 * (len(places) // 2), 2)]
    assert [row for piece in pieces for row in piece[1].tolist()] == row.tolist()[: 2 * (len(places) // 2)]


def test_epochs_differ_in_their_order():
    order = EpochOrder([30, 30], seed=1)
    first, second = (order.rows(start, start + 60)[1].tolist() for start in (0, 60))
    assert first != second


def test_fill_is_told_from_the_same_id_within_a_text():
    contexts = np.array(
        [
            [1, 2, 3, 4, 5],
            [1, EOT, PAD, PAD, PAD],
            [1, 2, 3, 4, PAD],  # the id of the fill as the last token of a text
            [1, PAD, 2, EOT, PAD],
            [PAD] * 5,
        ]
    )
    assert count_pads(contexts, eot_id=EOT, pad_id=PAD).tolist() == [0, 3, 0, 1, 5]


def test_inputs_and_targets_are_one_apart_and_fill_is_not_predicted(shards):
    rows = [row for batch in ContextLoader(dataset(shards, steps=3)) for row in _rows(batch)]
    half = next(row for row in rows if row[0][0] == 12)
    assert half == ([12, 12, EOT, PAD], [12, EOT, -100, -100])
    assert sorted(row[0][0] for row in rows) == list(range(1, 13))


def _rows(batch):
    return zip(batch["input_ids"].tolist(), batch["targets"].tolist(), strict=True)


def test_tokens_are_counted_without_fill_and_repetitions_are_told(shards):
    batches = list(ContextLoader(dataset(shards, steps=6)))
    # twelve contexts of four predicted tokens, one of which has two: 46 an epoch
    assert sum(batch["tokens"] for batch in batches[:3]) == 46
    assert sum(batch["new_tokens"] for batch in batches) == 46
    assert [batch["epoch"] for batch in batches][2::3] == [1.0, 2.0]
    padded = list(ContextLoader(dataset(shards, steps=3, train_on_pads=True)))
    assert sum(batch["tokens"] for batch in padded) == 48
    assert all((batch["targets"] >= 0).all() for batch in padded)


@pytest.mark.parametrize(("world_size", "accumulation"), [(2, 1), (1, 4), (2, 2)])
def test_a_step_is_shared_out_without_changing_what_is_in_it(shards, world_size, accumulation):
    whole = seen(dataset(shards))
    shares = [
        seen(dataset(shards, rank=rank, world_size=world_size, accumulation=accumulation))
        for rank in range(world_size)
    ]
    for step, expected in enumerate(whole):
        micros = range(step * accumulation, (step + 1) * accumulation)
        assert [row for micro in micros for share in shares for row in share[micro]] == expected
    weights = [
        batch["weight"] * batch["tokens"]
        for batch in ContextLoader(dataset(shards, world_size=world_size, accumulation=accumulation))
    ]
    assert weights == pytest.approx([world_size * accumulation] * len(weights))


def test_a_loader_goes_on_where_it_was(shards):
    whole = seen(dataset(shards))
    loader = ContextLoader(dataset(shards, accumulation=2))
    rest = iter(loader)
    for _ in range(4):
        next(rest)
    state = loader.state_dict()
    again = ContextLoader(dataset(shards))
    again.load_state_dict(state)
    assert [batch["input_ids"][:, 0].tolist() for batch in again] == whole[2:]
    next(rest)
    with pytest.raises(InputError, match="taken within step 2; save at the end of a step"):
        again.load_state_dict(loader.state_dict())


def test_a_step_that_cannot_be_shared_out_is_refused(shards):
    with pytest.raises(InputError, match="--devices 3 x --accumulate 1: does not divide the 4 sequences"):
        dataset(shards, world_size=3)


def test_ids_that_the_model_lacks_are_refused(shards):
    with pytest.raises(InputError, match="holds the id 99, and the model has 50 ids"):
        seen(dataset(shards, vocab_size=50))
