"""Teachers that are run once: their final hidden states at the trained tokens of all rows, in memory."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from llm_compat.data.token_rows import TokenRows
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.training.batches import Batch, epoch_batches
from llm_compat.training.teachers import TeacherStates

EVALUATION_BATCH = 500


class RememberedTeachers:
    """Teachers whose states were computed before, in the precision of the models, so nothing is lost."""

    def __init__(self, rows: TokenRows, *, old: Tensor | None, new: Tensor | None) -> None:
        """Keeps [trained tokens, width] of each teacher, as `all_states` gives them; None: it is not read."""
        self._starts = torch.from_numpy(rows.trained_offsets)
        self._old, self._new = old, new

    def __call__(self, batch: Batch) -> TeacherStates:
        """The states at the trained tokens of the batch, row by row."""
        places = places_of(batch, self._starts)
        return TeacherStates(
            None if self._old is None else self._old[places], None if self._new is None else self._new[places]
        )


def places_of(batch: Batch, starts: Tensor) -> Tensor:
    """Numbers of the batch's trained tokens among those of all rows, int64 [trained tokens].

    Args:
        batch: The batch.
        starts: int64 [rows + 1], trained tokens before each row.
    """
    trained = batch.trained
    within = trained.cumsum(dim=1)[trained] - 1
    return starts.to(within.device)[batch.rows[batch.sequences]] + within


def states_at(model: nn.Module, rows: TokenRows, device: str) -> Iterator[tuple[Batch, Tensor]]:
    """All rows in big batches, each with the final hidden states at its trained tokens, without gradient."""
    for batch in epoch_batches(rows, batch_size=EVALUATION_BATCH, shuffle=False):
        here = batch.to(device)
        with torch.no_grad():
            yield here, final_hidden_states(model, here.input_ids)[here.trained]


def all_states(model: nn.Module, rows: TokenRows, device: str) -> Tensor:
    """Final hidden states at all trained tokens in the order of the rows, [trained tokens, width]."""
    model.eval()
    starts = torch.from_numpy(rows.trained_offsets.astype(np.int64))
    found: Tensor | None = None
    for batch, states in states_at(model, rows, device):
        if found is None:
            found = states.new_empty(rows.trained_tokens, states.shape[1])
        found[places_of(batch, starts)] = states
    assert found is not None
    return found
