"""Plans for a store: made anew, made again from a saved state, or gone on with after a change."""

from collections.abc import Mapping
from typing import Any, Literal

from toolkit_shared.errors import InputError

from seqdecomp.arms import arm_groups
from seqdecomp.data.store import Store
from seqdecomp.documents import Documents
from seqdecomp.plan import Plan, differing_fields, refuse_changes
from seqdecomp.rows import Group, Rows
from seqdecomp.settings import DecompositionSettings

# What a run may change on resuming, given that it asks for a new plan of what is unread.
_GROUP_FIELDS = (
    "arm", "min_length", "max_length", "target", "overflow", "tail", "overflow_seed", "by_source",
)  # fmt: skip
_PLAN_FIELDS = (
    "batch_tokens", "tokens", "curriculum", "cycles", "odds_scale", "mixture", "repeat", "leftovers",
    "warm_longest_first", "seed",
)  # fmt: skip


def plan_for(
    store: Store,
    *,
    batch_tokens: int,
    arm: str = "dd",
    tokens: int | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    target: Literal["exact", "plus1"] | None = None,
    overflow: Literal["greedy", "random"] | None = None,
    tail: Literal["drop", "anchor-end", "keep-small", "pad"] | None = None,
    curriculum: str = "grow-p2",
    cycles: int = 8,
    odds_scale: Literal["none", "by_tokens"] = "none",
    mixture: str = "natural",
    repeat: Literal["refuse", "repeat"] = "refuse",
    leftovers: Literal["keep", "drop"] = "keep",
    warm_longest_first: bool = False,
    seed: int = 0,
    state: Mapping[str, Any] | None = None,
    step: int = 0,
    replan: bool = False,
) -> Plan:
    """The plan of a run over a store, by any arm.

    With the `state` of an earlier plan (its `state_dict()`) and equal settings it is that plan again. With
    other settings and `replan`, it goes on at `step` with what the run has not read by then: the unread
    tokens of each document are decomposed (or packed) anew, so that batch size, lengths, curriculum,
    mixture and arm may change and no token is read twice. Plans can be changed any number of times.

    Lengths, target, overflow and tail are those that the store was built with, unless given; the other
    settings are as in `Plan` and `arm_groups`. A curriculum or mixture that names sources keeps them apart.
    `tokens` counts the whole run, what came before a change included; `step` is how many steps it has done.

    Raises:
        InputError: settings are impossible, or differ from those of `state` without `replan`.
    """
    given = {
        "arm": arm, "min_length": min_length, "max_length": max_length, "target": target,
        "overflow": overflow, "tail": tail,
    }  # fmt: skip
    settings: dict[str, Any] = {
        name: getattr(store.settings, name, None) if value is None else value for name, value in given.items()
    }
    settings |= {
        "batch_tokens": batch_tokens, "tokens": tokens, "curriculum": curriculum, "cycles": cycles,
        "odds_scale": odds_scale, "mixture": mixture, "repeat": repeat, "leftovers": leftovers,
        "warm_longest_first": warm_longest_first, "seed": seed,
        "by_source": "/" in mixture or "=" in curriculum, "overflow_seed": store.settings.seed,
        "store": store.fingerprint,
    }  # fmt: skip
    _check_settings(settings)
    if state is None:
        return _make(store, settings, None, 0)
    changed = differing_fields(state["settings"], settings)
    if "store" in changed or (changed and not replan):
        refuse_changes(state["settings"], settings)
    before = restore_plan(store, state)
    return before if not changed else _make(store, settings, before, step)


def restore_plan(store: Store, state: Mapping[str, Any]) -> Plan:
    """The plan that a state was saved from, with all that came before it.

    Raises:
        InputError: the state is of another store.
    """
    if state["settings"]["store"] != store.fingerprint:
        raise InputError("resume: the run was on another store; name that store")
    before = None if state["previous"] is None else restore_plan(store, state["previous"])
    return _make(store, state["settings"], before, state["first_step"])


def _check_settings(settings: Mapping[str, Any]) -> None:
    try:
        DecompositionSettings(**{name: settings[name] for name in ("min_length", "max_length", "seed")})
    except ValueError as error:
        raise InputError(str(error)) from None
    if settings["tokens"] is not None and settings["tokens"] < 1:
        raise InputError(f"tokens: {settings['tokens']} is not positive; give 1 or more")


def _make(store: Store, settings: Mapping[str, Any], previous: Plan | None, first_step: int) -> Plan:
    options = {name: settings[name] for name in _GROUP_FIELDS}
    if previous is None and _is_as_built(store, settings):
        # The store's own buckets, read in place: nothing is decomposed again.
        buckets = [(length, store.bucket(length)) for length in store.lengths]
        rows = [Rows.from_bucket(bucket, length, store.settings.target) for length, bucket in buckets]
        groups = [Group(str(r.length), "", r.length, r, settings["arm"] == "dd+mask") for r in rows]
    else:
        documents = Documents.of(store)
        if previous is not None:
            documents = documents.without(*previous.segments_read(first_step))
        groups = arm_groups(documents=documents, store=store, seed=settings["seed"], **options)
    return Plan(
        groups,
        identity={**options, "store": store.fingerprint},
        previous=previous,
        first_step=first_step,
        **{name: settings[name] for name in _PLAN_FIELDS},
    )


def _is_as_built(store: Store, settings: Mapping[str, Any]) -> bool:
    same = all(
        settings[name] == getattr(store.settings, name)
        for name in ("min_length", "max_length", "target", "overflow", "tail")
    )
    return same and settings["arm"] in ("dd", "dd+mask") and not settings["by_source"]
