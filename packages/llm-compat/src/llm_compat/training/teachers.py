"""The two teachers of a step: their final hidden states at the trained tokens, live or from a cache."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from llm_compat.arms import Arm
from llm_compat.data.teacher_cache import TeacherCache
from llm_compat.data.token_rows import TokenRows
from llm_compat.heads import Head, Heads
from llm_compat.model.adapters import Student
from llm_compat.model.head import head_of
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.model.words import read_head, states_of
from llm_compat.training.batches import Batch


class TeacherStates(NamedTuple):
    """Final hidden states of the teachers, [trained tokens, width] each; None for one that is not read."""

    old: Tensor | None = None
    new: Tensor | None = None


class Teachers(Protocol):
    """Gives the teachers' final hidden states for a batch, in the order of its trained tokens."""

    def __call__(self, batch: Batch) -> TeacherStates:
        """The states at `batch.trained`, row by row; without a gradient."""
        ...


class LiveTeachers:
    """Teachers that are run on every batch.

    Args:
        old: Final hidden states [rows, length, width] from input_ids, under the old task model; None: it is
            not read.
        new: The same under the new task model.
    """

    def __init__(
        self, *, old: Callable[[Tensor], Tensor] | None = None, new: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.old, self.new = old, new

    def __call__(self, batch: Batch) -> TeacherStates:
        """The states of each teacher that there is."""
        trained = batch.trained
        with torch.no_grad():
            return TeacherStates(
                None if self.old is None else self.old(batch.input_ids)[trained],
                None if self.new is None else self.new(batch.input_ids)[trained],
            )


class CachedTeachers:
    """Teachers whose states come from a cache, so that neither is run.

    Args:
        cache: Of the rows that the batches are taken from.
        rows: Those rows.
        old: Whether the old model is read.
        new: Whether the new model is read.
    """

    def __init__(self, cache: TeacherCache, rows: TokenRows, *, old: bool = True, new: bool = True) -> None:
        self.cache, self.rows = cache, rows
        self.names = [name for name, read in (("old", old), ("new", new)) if read]

    def __call__(self, batch: Batch) -> TeacherStates:
        """The states of each teacher that is read, on the batch's device."""
        indices, device = batch.rows.cpu().numpy(), batch.input_ids.device
        precision = self.cache.precision
        return TeacherStates(
            **{
                name: states_of(self.cache.states(name, self.rows, indices), precision).to(device)
                for name in self.names
            }
        )


class TeacherSource(Protocol):
    """Opens the teachers of a run once the student is on its device."""

    def open(self, student: Student, arm: Arm, device: torch.device) -> tuple[Teachers, Heads]:
        """The teachers, and the heads of the student and of those teachers that the arm reads."""
        ...


class LiveSource:
    """Teachers beside the student: the old model, and the student's own base under its first adapter.

    Args:
        old_model: The old task model; None for arms that do not read it.
    """

    def __init__(self, old_model: nn.Module | None) -> None:
        self.old_model = old_model

    def open(self, student: Student, arm: Arm, device: torch.device) -> tuple[Teachers, Heads]:
        """Put the old model on the device, and take the heads."""
        old, old_head = None, None
        if arm.needs_old:
            assert self.old_model is not None
            model = self.old_model.to(device)
            old, old_head = _states_under(model), head_of(model)
        new_head = None
        if arm.needs_new:
            with student.teaching():
                new_head = head_of(student.model)
        teachers = LiveTeachers(old=old, new=student.teacher_hidden_states if arm.needs_new else None)
        return teachers, Heads(head_of(student.model, trainable=True), old_head, new_head)


class CachedSource:
    """Teachers from a cache.

    Args:
        cache: Of `rows`.
        rows: The rows that the batches are taken from.
    """

    def __init__(self, cache: TeacherCache, rows: TokenRows) -> None:
        self.cache, self.rows = cache, rows

    def open(self, student: Student, arm: Arm, device: torch.device) -> tuple[Teachers, Heads]:
        """Read the heads of the teachers that the arm reads."""
        teachers = CachedTeachers(self.cache, self.rows, old=arm.needs_old, new=arm.needs_new)
        head = head_of(student.model, trainable=True)
        heads = [
            self._head(name, head, device) if name in teachers.names else None for name in ("old", "new")
        ]
        return teachers, Heads(head, *heads)

    def _head(self, name: str, own: Head, device: torch.device) -> Head:
        head = read_head(self.cache.head_path(name)).to(device)
        if own.is_frozen and head.weight.shape == own.weight.shape and torch.equal(head.weight, own.weight):
            return own  # one matrix in memory
        return head


def _states_under(model: Any) -> Callable[[Tensor], Tensor]:
    def states(input_ids: Tensor) -> Tensor:
        return final_hidden_states(model, input_ids)

    return states
