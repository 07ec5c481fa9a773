"""The plan: a pure function of its inputs, every row once, and the same batches for any number of ranks."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.data.buckets import Bucket
from seqdecomp.plan import Plan, check_state
from seqdecomp.rows import Group, Rows
from toolkit_shared.errors import InputError


def group(length: int, rows: int, source: str = "", first: int = 0) -> Group:
    starts = first + np.arange(rows, dtype=np.int64) * length
    return Group(f"{source}{length}", source, length, Rows.from_bucket(Bucket(starts), length))


def groups(counts: dict[int, int], source: str = "", first: int = 0) -> list[Group]:
    made = []
    for length, rows in counts.items():
        made.append(group(length, rows, source, first))
        first += length * rows
    return made


def served(plan: Plan) -> dict[int, list[int]]:
    """All rows that the plan serves, by group."""
    rows: dict[int, list[int]] = {}
    for step in range(plan.first_step, plan.steps):
        index, batch = plan.rows_of_step(step)
        rows.setdefault(index, []).extend(batch.tolist())
    return rows


@given(
    st.lists(st.integers(0, 70), min_size=3, max_size=3).filter(any),
    st.integers(1, 9),
    st.sampled_from(["grow-p2", "uniform", "4:1:2", "olmo-grow-p2", "olmo-grow-linear", "olmo-natural"]),
)
def test_every_row_is_served_once_and_every_full_step_has_the_same_tokens(
    counts: list[int], cycles: int, curriculum: str
) -> None:
    plan = Plan(
        groups(dict(zip([4, 8, 16], counts, strict=True))),
        batch_tokens=64,
        cycles=cycles,
        curriculum=curriculum,
    )

    rows = served(plan)

    for index, number in enumerate(counts):
        assert sorted(rows.get(index, [])) == list(range(number))
    tokens = [len(plan.rows_of_step(t)[1]) * plan.length_of_step(t) for t in range(plan.steps)]
    # One smaller batch a group at most; every other step has 64 tokens.
    assert sum(n != 64 for n in tokens) == sum(use.partial > 0 for use in plan.uses) <= 3
    assert sum(tokens) == plan.tokens == sum(n * length for n, length in zip(counts, [4, 8, 16], strict=True))


def test_dropped_leftovers_are_counted_and_all_steps_are_full() -> None:
    plan = Plan(groups({4: 35, 8: 17}), batch_tokens=64, leftovers="drop", cycles=3)

    assert [(use.steps, use.partial, use.dropped) for use in plan.uses] == [(2, 0, 3), (2, 0, 1)]
    assert {len(plan.rows_of_step(t)[1]) * plan.length_of_step(t) for t in range(plan.steps)} == {64}
    assert plan.tokens == 4 * 64


def test_a_corpus_smaller_than_a_batch_still_has_a_step() -> None:
    # The released code writes nothing at all for a corpus below one full shard.
    plan = Plan(groups({4: 3}), batch_tokens=64)

    assert plan.steps == 1
    assert sorted(plan.rows_of_step(0)[1].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_share_the_same_global_batches_for_any_world_size(world_size: int, accumulation: int) -> None:
    # No row twice, and one bucket a step for all ranks, with no word between them.
    made = groups({4: 350, 8: 175, 16: 41})
    plan = Plan(made, batch_tokens=128, cycles=3, seed=1)

    seen: list[tuple[int, int]] = []
    for step in range(plan.steps):
        # Each rank has a plan of its own, made from the same inputs.
        shares = [
            Plan(made, batch_tokens=128, cycles=3, seed=1).rank_rows(step, rank, world_size, accumulation)
            if step < 3
            else plan.rank_rows(step, rank, world_size, accumulation)
            for rank in range(world_size)
        ]
        whole, index = plan.rows_of_step(step)[1], plan.rows_of_step(step)[0]
        joined = np.concatenate([part for share in shares for part in share])
        assert joined.tolist() == whole.tolist()
        sizes = [len(part) for share in shares for part in share]
        assert len(sizes) == world_size * accumulation
        assert max(sizes) - min(sizes) <= (0 if len(whole) == plan.uses[index].rows_per_step else 1)
        seen += [(index, row) for row in joined.tolist()]

    assert len(seen) == len(set(seen)) == 350 + 175 + 41


def test_a_batch_that_ranks_cannot_share_is_refused_with_the_batch_that_they_could() -> None:
    # Refused, never rounded down.
    plan = Plan(groups({256: 640, 8192: 40}), batch_tokens=32_768)

    plan.check_ranks(4)
    line = (
        "batch_tokens: 32,768 tokens are 4 rows of length 8192, which 4 x 2 (devices x micro-batches) cannot "
        "share evenly; give 65,536, or change --devices or --accumulate"
    )
    with pytest.raises(InputError, match=re.escape(line)):
        plan.check_ranks(4, 2)
    with pytest.raises(InputError, match="32,768 tokens are 4 rows of length 8192"):
        [plan.rank_rows(step, 0, 8) for step in range(plan.steps)]


@pytest.mark.parametrize(("batch_tokens", "fitting"), [(100, "128"), (8, "16"), (0, "16")])
def test_a_batch_that_is_no_multiple_of_a_length_is_refused(batch_tokens: int, fitting: str) -> None:
    if batch_tokens == 100:
        made, length = groups({4: 10, 64: 10}), 64
    else:
        made, length = groups({16: 10}), 16
    with pytest.raises(InputError, match=f"is not a multiple of length {length}; give {fitting}"):
        Plan(made, batch_tokens=batch_tokens)


def test_equal_inputs_give_equal_plans_and_another_seed_another_order() -> None:
    made = groups({4: 350, 8: 175})
    plans = [Plan(made, batch_tokens=64, seed=seed) for seed in (0, 0, 1)]

    assert np.array_equal(plans[0].group_of_step, plans[1].group_of_step)
    for step in (0, 17, plans[0].steps - 1):
        assert np.array_equal(plans[0].rows_of_step(step)[1], plans[1].rows_of_step(step)[1])
    assert not np.array_equal(plans[0].group_of_step, plans[2].group_of_step)


def test_steps_can_be_asked_for_in_any_order() -> None:
    plan = Plan(groups({4: 350, 8: 175}), batch_tokens=64, mixture="4:1", tokens=3000, repeat="repeat")
    forward = [plan.rows_of_step(step)[1].tolist() for step in range(plan.steps)]

    backward = [plan.rows_of_step(step)[1].tolist() for step in reversed(range(plan.steps))]

    assert forward == backward[::-1]


def test_repeating_reads_whole_passes_each_in_its_own_order() -> None:
    plan = Plan(groups({4: 32}), batch_tokens=64, tokens=4 * 80, mixture="4:1", repeat="repeat")

    rows = served(plan)[0]

    assert plan.uses[0].passes == 2.5
    assert sorted(rows[:32]) == sorted(rows[32:64]) == list(range(32))
    assert rows[:32] != rows[32:64]
    assert len(set(rows[64:])) == 16


def test_each_source_follows_its_own_length_curriculum_and_the_mix_of_sources_is_steady() -> None:
    made = groups({4: 1600, 8: 800}, "web") + groups({4: 800, 8: 400}, "code")
    plan = Plan(made, batch_tokens=16, curriculum="web=grow-p100,code=shrink-p100", cycles=1)

    lengths = np.array([g.length for g in made])[plan.group_of_step]
    web = np.isin(plan.group_of_step, [0, 1])
    # Odds 100:1 take the other length in about one of a hundred steps.
    assert np.mean(lengths[web][:350] == 4) > 0.95
    assert np.mean(lengths[~web][:180] == 8) > 0.95
    assert np.all(lengths[web][-350:] == 8)
    assert np.all(lengths[~web][-180:] == 4)
    for quarter in np.array_split(web, 4):
        assert quarter.mean() == pytest.approx(2 / 3, abs=0.07)
    assert {i: len(rows) for i, rows in served(plan).items()} == {0: 1600, 1: 800, 2: 800, 3: 400}


def test_a_curriculum_for_an_unknown_source_is_refused() -> None:
    with pytest.raises(InputError, match=r"does not name each of the sources web; add web"):
        Plan(groups({4: 8}, "web"), batch_tokens=16, curriculum="wbe=uniform")


def test_the_first_batch_of_the_longest_length_may_come_first_and_nothing_else_changes() -> None:
    made = groups({4: 350, 8: 175})
    plan = Plan(made, batch_tokens=64, cycles=1, curriculum="grow-p100")
    warm = Plan(made, batch_tokens=64, cycles=1, curriculum="grow-p100", warm_longest_first=True)

    assert (plan.length_of_step(0), warm.length_of_step(0)) == (4, 8)
    assert {i: sorted(rows) for i, rows in served(warm).items()} == {
        i: sorted(rows) for i, rows in served(plan).items()
    }


def test_rows_read_are_a_prefix_of_each_groups_order() -> None:
    plan = Plan(groups({4: 350, 8: 175}), batch_tokens=64, cycles=2)
    step = 20
    rows: dict[int, list[int]] = {0: [], 1: []}
    for t in range(step):
        index, batch = plan.rows_of_step(t)
        rows[index] += batch.tolist()

    assert plan.rows_read(step).tolist() == [len(rows[0]), len(rows[1])]
    starts, spans = plan.segments_read(step)
    expected = sorted([r * 4 for r in rows[0]] + [1400 + r * 8 for r in rows[1]])
    assert np.sort(starts).tolist() == expected
    assert spans.sum() == 64 * step


def test_a_state_of_other_settings_is_refused_and_names_the_fields() -> None:
    plan = Plan(groups({4: 350}), batch_tokens=64, identity={"arm": "dd"})
    state = json.loads(json.dumps(plan.state_dict()))
    check_state(plan, state)

    other = Plan(groups({4: 350}), batch_tokens=128, identity={"arm": "dd"}, curriculum="uniform")
    line = "resume: batch_tokens was 64 and is 128; curriculum was 'grow-p2' and is 'uniform'; give the same"
    with pytest.raises(InputError, match=re.escape(line)):
        check_state(other, state)


def test_a_step_outside_the_plan_is_an_index_error() -> None:
    plan = Plan(groups({4: 32}), batch_tokens=64)
    with pytest.raises(IndexError, match=r"step 2 is not in 0\.\.1"):
        plan.rows_of_step(2)
