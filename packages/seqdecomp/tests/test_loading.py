from collections import Counter

import numpy as np
import pytest
import torch
from seqdecomp.data.loading import (
    PlanLoader,
    PlanSampler,
    StepDataset,
    collate_for_trainer,
    predicted_tokens,
)
from seqdecomp.data.store import Store
from seqdecomp.decomposition import decompose
from seqdecomp.plan import Plan
from seqdecomp.rows import Group, Rows
from toolkit_shared.errors import InputError

LENGTHS = [37, 64, 5, 90, 16, 33, 70, 128, 50, 77, 61, 19] * 3


def make_store():
    """Documents whose tokens are all different, so that a token tells its place."""
    ends = np.cumsum(LENGTHS)
    return Store.from_documents([np.arange(end - size, end) for end, size in zip(ends, LENGTHS, strict=True)])


def make_plan(store, *, target="exact", batch_tokens=128, **settings):
    buckets = decompose(
        store.document_starts, store.document_lengths, min_length=8, max_length=32, target=target
    )
    groups = [
        Group(f"D{length}", "", length, Rows.from_bucket(bucket, length, target))
        for length, bucket in buckets.items()
    ]
    return Plan(groups, batch_tokens=batch_tokens, cycles=2, seed=5, **settings)


def packed_plan(*, masked, target="exact"):
    """Two rows of length 8: documents of 5 and 3 tokens, and one of 4 with padding."""
    store = Store.from_documents([[1, 2, 3, 4, 5], [6, 7, 8], [9, 10, 11, 12]])
    rows = Rows(
        8,
        8 + (target == "plus1"),
        np.array([0, 5, 8]),
        np.array([5, 3, 4], np.int32),
        np.array([0, 2, 3]),
    )
    plan = Plan([Group("packed", "", 8, rows, masked)], batch_tokens=16, cycles=1)
    return store, plan


def global_batches(loaders):
    """For each step, the rows that all ranks together get, as a sorted list of their tokens."""
    steps = {}
    for loader in loaders:
        for batch in loader:
            rows = steps.setdefault(batch["step"], [])
            used = (batch["targets"] != -100).any(dim=1)
            rows += batch["input_ids"][used].tolist()
    return {step: sorted(rows) for step, rows in steps.items()}


def loaders_of(dataset, **options):
    return [PlanLoader(dataset, rank=rank, **options) for rank in range(dataset.world_size)]


def test_targets_are_the_following_tokens_and_the_last_has_none_when_exact():
    store = make_store()
    for batch in PlanLoader(StepDataset(store, make_plan(store))):
        inputs, targets = batch["input_ids"], batch["targets"]
        assert inputs.shape == targets.shape == (len(inputs), batch["length"])
        assert inputs.dtype == targets.dtype == torch.int64
        assert torch.equal(targets[:, :-1], inputs[:, 1:])
        assert torch.equal(inputs[:, 1:], inputs[:, :-1] + 1)  # one document each
        assert (targets[:, -1] == -100).all()
        assert "document_ids" not in batch


def test_plus1_rows_predict_as_many_tokens_as_they_have_inputs():
    store = make_store()
    for batch in PlanLoader(StepDataset(store, make_plan(store, target="plus1"))):
        assert torch.equal(batch["targets"], batch["input_ids"] + 1)


@pytest.mark.parametrize("target", ["exact", "plus1"])
def test_the_weight_is_the_inverse_of_what_the_whole_step_predicts(target):
    store = make_store()
    dataset = StepDataset(store, make_plan(store, target=target), world_size=2, accumulation=2)
    predicted, weights = Counter(), {}
    for loader in loaders_of(dataset):
        for batch in loader:
            predicted[batch["step"]] += int((batch["targets"] != -100).sum())
            weights.setdefault(batch["step"], set()).add(batch["weight"].item())
    assert len(predicted) == dataset.plan.steps
    for step, count in predicted.items():
        assert weights[step] == {np.float32(4 / count)}  # 2 ranks x 2 micro-batches


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_world_sizes_give_the_same_global_batches_and_no_repeats(world_size):
    store = make_store()
    plan = make_plan(store)
    alone = global_batches(loaders_of(StepDataset(store, plan)))
    shared = global_batches(loaders_of(StepDataset(store, plan, world_size=world_size)))

    assert shared == alone
    first_tokens = [row[0] for rows in shared.values() for row in rows]
    assert len(first_tokens) == len(set(first_tokens)) == sum(len(group.rows) for group in plan.groups)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_give_the_same_batches_in_the_same_order(workers):
    store = make_store()
    dataset = StepDataset(store, make_plan(store))
    alone = list(PlanLoader(dataset))
    loaded = list(PlanLoader(dataset, workers=workers))

    assert len(alone) == len(loaded) == dataset.plan.steps
    for one, other in zip(alone, loaded, strict=True):
        assert one["step"] == other["step"]
        assert torch.equal(one["input_ids"], other["input_ids"])


def test_all_ranks_have_the_same_length_and_shape_in_each_step():
    store = make_store()
    dataset = StepDataset(store, make_plan(store), world_size=4)
    for batches in zip(*loaders_of(dataset), strict=True):
        assert len({(batch["step"], batch["length"], batch["input_ids"].shape) for batch in batches}) == 1


def test_partial_batches_are_filled_with_ignored_rows_evenly_or_to_full_size():
    store = make_store()
    plan = make_plan(store)
    rows = {step: len(plan.rows_of_step(step)[1]) for step in range(plan.steps)}
    partial = [step for step in rows if rows[step] * plan.length_of_step(step) < plan.batch_tokens]
    assert [(plan.length_of_step(step), rows[step]) for step in partial] == [(8, 9), (16, 7)]
    for step, shares in zip(partial, ([3, 2, 2, 2], [2, 2, 2, 1]), strict=True):
        for static in (False, True):
            dataset = StepDataset(store, plan, world_size=4, static_rows=static)
            batches = [dataset[step * 4 + rank] for rank in range(4)]
            shape = 128 // plan.length_of_step(step) // 4 if static else max(shares)
            used = [int((batch["targets"] != -100).any(dim=1).sum()) for batch in batches]
            assert [len(batch["targets"]) for batch in batches] == [shape] * 4
            assert sorted(used, reverse=True) == shares


def test_a_batch_too_small_for_the_ranks_is_refused_with_the_batch_that_fits():
    store = make_store()
    plan = make_plan(store, batch_tokens=64)
    with pytest.raises(InputError, match=r"batch_tokens: 64 tokens .* 4 x 1 .* give 128"):
        StepDataset(store, plan, world_size=4)


@pytest.mark.parametrize("workers", [0, 1])
def test_ids_that_the_model_lacks_are_refused_in_one_line_out_of_workers_too(workers):
    store = make_store()
    highest = store.tokens_total - 1
    known = StepDataset(store, make_plan(store), vocab_size=highest + 1)
    assert len(list(PlanLoader(known))) == known.plan.steps
    one_less = StepDataset(store, make_plan(store), vocab_size=500)
    line = (
        r"^store: step \d+ holds id \d+, and the model knows 500 ids; give --architecture.vocab-size, or see "
    )
    with pytest.raises(InputError, match=f"{line}seqdecomp verify$"):
        list(PlanLoader(one_less, workers=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_goes_on_with_the_next_batch_in_the_middle_of_an_epoch(workers):
    store = make_store()
    dataset = StepDataset(store, make_plan(store), accumulation=2)
    everything = list(PlanLoader(dataset))

    loader = PlanLoader(dataset, workers=workers)
    batches = iter(loader)
    for _ in range(5):
        next(batches)
    state = loader.state_dict()  # workers are ahead of these five
    again = PlanLoader(dataset, workers=workers)
    again.load_state_dict(state)
    rest = list(again)

    assert (state["step"], state["micro"]) == (2, 1)
    assert len(rest) == len(everything) - 5
    for one, other in zip(everything[5:], rest, strict=True):
        assert torch.equal(one["input_ids"], other["input_ids"])


def test_a_run_resumed_with_other_ranks_and_accumulation_reads_the_rest_exactly_once():
    store = make_store()
    plan = make_plan(store)
    first = loaders_of(StepDataset(store, plan, world_size=2, accumulation=2))
    before = []
    for loader in first:
        batches = iter(loader)
        before += [next(batches) for _ in range(2 * 3)]  # three steps
    state = first[0].state_dict()

    later = loaders_of(StepDataset(store, plan, world_size=4))
    for loader in later:
        loader.load_state_dict(state)
    after = global_batches(later)

    whole = global_batches(loaders_of(StepDataset(store, plan)))
    assert after == {step: rows for step, rows in whole.items() if step >= 3}
    assert {batch["step"] for batch in before} == {0, 1, 2}


def test_a_state_inside_a_step_is_refused_under_another_world_size():
    store = make_store()
    plan = make_plan(store)
    sampler = PlanSampler(StepDataset(store, plan, accumulation=2), rank=0)
    sampler.micro_steps = 3
    other = PlanSampler(StepDataset(store, plan, world_size=2), rank=0)
    with pytest.raises(InputError, match="taken inside step 1 with 1 ranks and accumulation 2"):
        other.load_state_dict(sampler.state_dict())


def test_a_state_of_another_plan_is_refused_and_the_fields_are_named():
    store = make_store()
    state = PlanLoader(StepDataset(store, make_plan(store))).state_dict()
    other = PlanLoader(StepDataset(store, make_plan(store, curriculum="uniform")))
    with pytest.raises(InputError, match="curriculum was 'grow-p2' and is 'uniform'"):
        other.load_state_dict(state)


def test_a_sampler_for_all_ranks_deals_consecutive_items_to_consecutive_ranks():
    store = make_store()
    dataset = StepDataset(store, make_plan(store), world_size=2, accumulation=2)
    everyone = list(PlanSampler(dataset))
    assert everyone == list(range(len(dataset)))
    assert everyone[1::2] == list(PlanSampler(dataset, rank=1))
    with pytest.raises(ValueError, match="rank: 2 is not below the world size 2"):
        PlanSampler(dataset, rank=2)


def test_masked_rows_carry_documents_and_predict_nothing_across_them():
    store, plan = packed_plan(masked=True)
    batch = StepDataset(store, plan)[0]
    order = batch["input_ids"][:, 0].argsort()

    assert batch["input_ids"][order].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11, 12, 0, 0, 0, 0]]
    assert batch["targets"][order].tolist() == [
        [2, 3, 4, 5, -100, 7, 8, -100],
        [10, 11, 12, -100, -100, -100, -100, -100],
    ]
    assert batch["document_ids"][order].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, -1, -1, -1, -1]]
    assert batch["weight"].item() == pytest.approx(1 / 9)  # 4 + 2 + 3 predictions


def test_unmasked_rows_predict_across_documents_but_not_padding():
    store, plan = packed_plan(masked=False)
    batch = StepDataset(store, plan)[0]
    order = batch["input_ids"][:, 0].argsort()

    assert batch["targets"][order].tolist() == [
        [2, 3, 4, 5, 6, 7, 8, -100],
        [10, 11, 12, -100, -100, -100, -100, -100],
    ]
    assert "document_ids" not in batch
    assert predicted_tokens(plan.groups[0], np.array([0, 1])) == 7 + 3


@pytest.mark.parametrize("target", ["exact", "plus1"])
def test_the_trainer_collator_undoes_the_shift(target):
    store = make_store()
    batch = StepDataset(store, make_plan(store, target=target))[0]
    collated = collate_for_trainer([batch])

    columns = batch["length"] + (target == "plus1")
    assert collated["input_ids"].shape == collated["labels"].shape == (len(batch["input_ids"]), columns)
    assert (collated["labels"][:, 0] == -100).all()
    assert torch.equal(collated["labels"][:, 1:], collated["input_ids"][:, 1:])
    with pytest.raises(ValueError, match="2 items"):
        collate_for_trainer([batch, batch])


def test_the_trainer_collator_starts_positions_anew_in_each_document():
    store, plan = packed_plan(masked=True)
    collated = collate_for_trainer([StepDataset(store, plan)[0]])
    assert sorted(collated["position_ids"].tolist()) == [[0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 4, 0, 1, 2]]
