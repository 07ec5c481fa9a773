"""Plans for a store: the same again from a state, and changed on the way without reading a token twice."""

import json
import re
from typing import Any

import numpy as np
import pytest
from seqdecomp.arms import arm_groups
from seqdecomp.data.store import Store
from seqdecomp.decomposition import decompose
from seqdecomp.documents import Documents
from seqdecomp.plan import Plan
from seqdecomp.planning import plan_for, restore_plan
from seqdecomp.settings import DecompositionSettings
from toolkit_shared.errors import InputError


def store_of(lengths: np.ndarray, **options: Any) -> Store:
    documents = [np.arange(n) % 50 for n in lengths.tolist()]
    plain = Store.from_documents(documents)
    settings = DecompositionSettings(min_length=8, max_length=64, **options)
    buckets = decompose(plain.document_starts, plain.document_lengths, min_length=8, max_length=64, **options)
    return Store.from_documents(documents, buckets=buckets, settings=settings, eos_id=0)


@pytest.fixture(scope="module")
def store() -> Store:
    return store_of(np.random.default_rng(0).integers(1, 200, 300))


def saved(plan: Plan) -> dict[str, Any]:
    """The state as it comes back from a file."""
    state: dict[str, Any] = json.loads(json.dumps(plan.state_dict()))
    return state


def tokens_of_life(plan: Plan, last: int, world_size: int = 1) -> list[int]:
    """Every token position that the run reads before `last`, gathered rank by rank."""
    read = [] if plan.previous is None else tokens_of_life(plan.previous, plan.first_step, world_size)
    for step in range(plan.first_step, last):
        rows = plan.groups[plan.rows_of_step(step)[0]].rows
        for rank in range(world_size):
            for part in plan.rank_rows(step, rank, world_size):
                _, starts, spans = rows.segments(part)
                for start, span in zip(starts.tolist(), spans.tolist(), strict=True):
                    read.extend(range(start, start + span))
    return read


def test_the_stores_own_buckets_and_those_made_anew_give_the_same_plan(store: Store) -> None:
    as_built = plan_for(store, batch_tokens=256)
    groups = arm_groups("dd", Documents.of(store), min_length=8, max_length=64)
    anew = Plan(groups, batch_tokens=256)

    assert np.array_equal(as_built.group_of_step, anew.group_of_step)
    for built, made in zip(as_built.groups, groups, strict=True):
        assert built.rows.segment_starts is store.bucket(built.length).starts
        assert np.array_equal(built.rows.segment_starts, made.rows.segment_starts)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_no_token_is_read_twice_in_a_life_of_three_plans(store: Store, world_size: int) -> None:
    # No row twice, over changes of batch, longest length, curriculum, mixture and arm.
    first = plan_for(store, batch_tokens=256, curriculum="grow-p2", cycles=2, seed=1)
    second = plan_for(
        store,
        batch_tokens=512,
        max_length=128,
        curriculum="uniform",
        state=saved(first),
        step=20,
        replan=True,
        seed=1,
    )
    third = plan_for(
        store,
        batch_tokens=512,
        arm="concat",
        max_length=64,
        state=saved(second),
        step=30,
        replan=True,
        seed=1,
    )

    assert (second.first_step, third.first_step) == (20, 30)
    assert third.previous is not None
    read = tokens_of_life(third, third.steps, world_size)
    assert len(read) == len(set(read))
    assert len(read) == third.tokens_before(third.steps)
    # Everything is read but what fills no chunk at the end.
    assert store.tokens_total - len(read) < 64


def test_a_longer_longest_length_joins_unread_pieces_of_a_document_again() -> None:
    store = store_of(np.full(40, 256))
    first = plan_for(store, batch_tokens=256)
    assert {use.length: use.available for use in first.uses}[64] == 160

    second = plan_for(store, batch_tokens=256, max_length=256, state=saved(first), step=0, replan=True)

    assert {use.length: use.available for use in second.uses} == {8: 0, 16: 0, 32: 0, 64: 0, 128: 0, 256: 40}


def test_a_changed_plan_comes_back_from_its_state(store: Store) -> None:
    first = plan_for(store, batch_tokens=256)
    second = plan_for(store, batch_tokens=512, state=saved(first), step=7, replan=True)

    restored = restore_plan(store, saved(second))
    same = plan_for(store, batch_tokens=512, state=saved(second), step=9)

    for plan in (restored, same):
        assert plan.steps == second.steps
        assert np.array_equal(plan.group_of_step, second.group_of_step)
        for step in (7, second.steps - 1):
            assert np.array_equal(plan.rows_of_step(step)[1], second.rows_of_step(step)[1])
    assert restored.state_dict() == second.state_dict()


def test_the_tokens_of_a_run_count_what_was_read_before_the_change(store: Store) -> None:
    first = plan_for(store, batch_tokens=256, tokens=256 * 40)
    second = plan_for(store, batch_tokens=512, tokens=256 * 40, state=saved(first), step=20, replan=True)

    # Each of four buckets rounds down to whole sequences.
    assert 256 * 40 - 4 * 64 <= second.tokens_before(second.steps) <= 256 * 40


def test_changed_settings_are_refused_without_being_asked_for(store: Store) -> None:
    first = plan_for(store, batch_tokens=256)
    line = (
        "resume: batch_tokens was 256 and is 512; give the same again, or pass --replan to plan anew what is "
        "unread"
    )
    with pytest.raises(InputError, match=re.escape(line)):
        plan_for(store, batch_tokens=512, state=saved(first), step=3)


def test_another_store_is_refused_even_with_a_new_plan(store: Store) -> None:
    state = saved(plan_for(store, batch_tokens=256))
    state["settings"]["store"] = "another"
    with pytest.raises(InputError, match=r"resume: store was 'another'"):
        plan_for(store, batch_tokens=256, state=state, replan=True)
    with pytest.raises(InputError, match="resume: the run was on another store"):
        restore_plan(store, state)


def test_nothing_left_to_read_is_said_in_one_line() -> None:
    store = store_of(np.full(40, 64))
    first = plan_for(store, batch_tokens=256)
    with pytest.raises(InputError, match="there is no sequence to train on"):
        plan_for(store, batch_tokens=512, state=saved(first), step=first.steps, replan=True)


@pytest.mark.parametrize("options", [{"target": "plus1"}, {"overflow": "random"}, {"tail": "pad"}])
def test_lives_of_other_conventions_read_no_token_twice_either(options: dict[str, str]) -> None:
    store = store_of(np.random.default_rng(1).integers(1, 400, 120), **options)
    first = plan_for(store, batch_tokens=256)
    second = plan_for(store, batch_tokens=256, min_length=4, state=saved(first), step=11, replan=True)

    read = tokens_of_life(second, second.steps)
    assert len(read) == len(set(read))
    assert second.settings["overflow_seed"] == store.settings.seed
