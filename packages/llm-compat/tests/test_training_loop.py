import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.arms import ARMS, arm_named
from llm_compat.data.token_rows import TokenRows
from llm_compat.heads import Head, Heads
from llm_compat.training.batches import collate, epoch_batches, steps_per_epoch
from llm_compat.training.loop import train_adapter
from llm_compat.training.schedule import linear_schedule
from llm_compat.training.teachers import LiveTeachers
from torch import nn

VOCABULARY = 11


def make_rows(lengths, *, prompt=1, seed=0):
    random = np.random.default_rng(seed)
    pairs = []
    for length in lengths:
        trained = np.arange(length) >= prompt - 1
        trained[-1] = False
        pairs.append((random.integers(VOCABULARY, size=length).astype(np.int32), trained))
    return TokenRows.from_rows(pairs)


class Recurrent(nn.Module):
    """A little causal model: an embedding and a recurrent layer; it gives final hidden states."""

    def __init__(self, seed, width=8, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Embedding(VOCABULARY, width, dtype=dtype)
        self.layer = nn.GRU(width, width, batch_first=True, dtype=dtype)
        self.head = Head(torch.randn(VOCABULARY, width, dtype=dtype))

    def forward(self, input_ids):
        return self.layer(self.embed(input_ids))[0]


def hidden_of(model, input_ids):
    return model(input_ids)


def trained_by(arm, rows, *, batch_size=4, accumulation=1, epochs=1, lr=1e-2, schedule=None):
    student, new, old = Recurrent(1), Recurrent(1), Recurrent(2, width=6)
    history = []
    optimizer = torch.optim.AdamW(student.parameters(), lr=lr, weight_decay=0)
    for epoch in range(epochs):
        batches = epoch_batches(rows, batch_size=batch_size, accumulation=accumulation, seed=3, epoch=epoch)
        history += train_adapter(
            student,
            batches,
            arm=arm_named(arm),
            heads=Heads(student.head, old.head, new.head),
            teachers=LiveTeachers(old=old, new=new),
            optimizer=optimizer,
            schedule=schedule,
            accumulation=accumulation,
            first_step=len(history),
            hidden_states=hidden_of,
        )
    return student, history


# batches ----------------------------------------------------------------------------------------------------


def test_a_target_is_the_token_after_its_position():
    tokens = np.array([5, 6, 7, 8], np.int32)
    rows = TokenRows.from_rows(
        [(tokens, np.array([False, True, True, False])), (tokens[:2], np.array([True, False]))]
    )

    batch = collate(rows, [1, 0])

    assert batch.input_ids.tolist() == [[5, 6, 0, 0], [5, 6, 7, 8]]
    assert batch.targets.tolist() == [[6, -100, -100, -100], [-100, 7, 8, -100]]
    assert batch.rows.tolist() == [1, 0]
    assert batch.sequences.tolist() == [0, 1, 1]
    assert batch.step_tokens.item() == 3


def test_the_last_position_of_a_row_cannot_be_trained():
    with pytest.raises(ValueError, match="the last position of a row has no next token"):
        TokenRows.from_rows([(np.array([1, 2], np.int32), np.array([True, True]))])


@given(
    st.lists(st.integers(2, 9), min_size=1, max_size=30),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_every_row_comes_once_an_epoch_in_the_same_steps_however_it_is_shared_out(
    lengths, batch_size, accumulation, world_size, epoch
):
    rows = make_rows(lengths)
    options = {"seed": 5, "epoch": epoch}
    shares = [
        list(
            epoch_batches(
                rows,
                batch_size=batch_size,
                accumulation=accumulation,
                world_size=world_size,
                rank=rank,
                **options,
            )
        )
        for rank in range(world_size)
    ]
    alone = list(epoch_batches(rows, batch_size=batch_size * accumulation * world_size, **options))

    steps = steps_per_epoch(rows, rows_per_step=batch_size * accumulation * world_size)
    assert {len(share) for share in shares} == {steps * accumulation}
    assert len(alone) == steps
    for step, whole in enumerate(alone):
        parts = [part for share in shares for part in share[step * accumulation : (step + 1) * accumulation]]
        taken = [row for part in parts for row in part.rows.tolist() if row >= 0]
        assert sorted(taken) == sorted(whole.rows.tolist())
        assert {part.step_tokens.item() for part in parts} == {whole.step_tokens.item()}
        assert sum(part.trained.sum().item() for part in parts) == whole.step_tokens.item()
    assert sorted(row for whole in alone for row in whole.rows.tolist()) == list(range(len(rows)))


def test_skipped_steps_leave_the_others_as_they_are():
    rows = make_rows([4] * 23)
    options = {"batch_size": 2, "accumulation": 3, "seed": 1, "epoch": 2}
    whole = [batch.rows.tolist() for batch in epoch_batches(rows, **options)]
    assert [batch.rows.tolist() for batch in epoch_batches(rows, skip_steps=2, **options)] == whole[6:]


def test_epochs_differ_in_their_order():
    rows = make_rows([4] * 12)
    orders = [
        [row for batch in epoch_batches(rows, batch_size=3, epoch=epoch) for row in batch.rows.tolist()]
        for epoch in range(3)
    ]
    assert orders[0] != orders[1] != orders[2]


# the schedule -----------------------------------------------------------------------------------------------


def test_the_learning_rate_rises_to_its_highest_and_falls_to_zero_in_lines():
    rates = [linear_schedule(step, warmup_steps=4, total_steps=12, lr=8.0) for step in range(13)]
    assert rates == [2.0, 4.0, 6.0, 8.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


def test_a_negative_step_is_no_step():
    with pytest.raises(ValueError, match="must not be negative"):
        linear_schedule(-1, warmup_steps=0, total_steps=1, lr=1.0)


# the loop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_trains_in_a_plain_loop_and_its_loss_falls(arm):
    _, history = trained_by(arm, make_rows([9] * 16), batch_size=8, epochs=10, lr=3e-2)

    first, last = (sum(line["loss"] for line in part) / 2 for part in (history[:2], history[-2:]))
    assert [line["step"] for line in history] == list(range(20))
    if arm == "kd_new":  # the student is the teacher already, and has nowhere to go
        assert last == pytest.approx(0, abs=1e-12)
    else:
        assert last < 0.9 * first


def test_the_mask_is_made_anew_at_every_step():
    _, history = trained_by("muscle", make_rows([9] * 16), batch_size=16, epochs=30, lr=3e-2)
    rates = [line["mask_rate"] for line in history]
    assert len(set(rates)) > 3
    assert 0 < rates[0] <= 1


def test_accumulated_micro_batches_train_like_one_batch():
    rows = make_rows([3, 9, 4, 4, 8, 2, 7, 5, 5, 6])
    whole, lines = trained_by("ce+muscle", rows, batch_size=4, epochs=3)
    parts, more_lines = trained_by("ce+muscle", rows, batch_size=1, accumulation=4, epochs=3)

    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    for line, other_line in zip(lines, more_lines, strict=True):
        assert line == pytest.approx(other_line, rel=1e-9)


def test_the_schedule_sets_the_rate_of_each_step():
    _, history = trained_by("ce_more", make_rows([5] * 8), schedule=lambda step: 0.5 / (step + 1))
    assert [line["lr"] for line in history] == [0.5, 0.25]


def test_what_an_arm_does_not_have_is_not_a_number():
    _, history = trained_by("muscle", make_rows([5] * 4))
    assert math.isnan(history[0]["cross_entropy"])
    assert history[0]["old_divergence"] > 0
