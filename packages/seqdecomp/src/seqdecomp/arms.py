"""The arms of a comparison: dataset decomposition and every baseline, as groups of rows for one loop."""

import difflib
import re
from collections.abc import Sequence
from typing import Literal

from toolkit_shared.errors import InputError

from seqdecomp.data.store import Store
from seqdecomp.decomposition import decompose
from seqdecomp.documents import Documents
from seqdecomp.packing import chop, concatenate_and_chunk, glue, pack_best_fit
from seqdecomp.rows import Group, Rows
from seqdecomp.semantic import semantic_order

Target = Literal["exact", "plus1"]

ARMS = (
    "dd",
    "concat",
    "concat+mask",
    "concat-LENGTH",
    "best-fit",
    "best-fit+mask",
    "semantic",
    "semantic+mask",
    "single-LENGTH",
    "chop-LENGTH-LENGTH",
    "glue-LENGTH-LENGTH",
)

_PATTERN = re.compile(r"(dd|concat|best-fit|semantic|single|chop|glue)((?:-\d+k?)*)(\+mask)?")
_NUMBER_OF_LENGTHS = {
    "dd": (0,), "concat": (0, 1), "best-fit": (0, 1), "semantic": (0, 1),
    "single": (1,), "chop": (2,), "glue": (2,),
}  # fmt: skip


def arm_groups(
    arm: str,
    documents: Documents,
    *,
    store: Store | None = None,
    min_length: int = 256,
    max_length: int = 8192,
    target: Target = "exact",
    overflow: Literal["greedy", "random"] = "greedy",
    tail: Literal["drop", "anchor-end", "keep-small", "pad"] = "drop",
    seed: int = 0,
    overflow_seed: int = 0,
    by_source: bool = False,
) -> list[Group]:
    """The groups of rows that an arm trains on.

    - dd: the buckets of dataset decomposition.
    - concat, concat-LENGTH: documents shuffled, concatenated, chunked to max_length or LENGTH (1024 or 1k).
    - best-fit, best-fit-LENGTH: packed by best-fit decreasing.
    - semantic, semantic-LENGTH: documents in semantic order, concatenated and chunked; needs `store`.
    - single-LENGTH: one bucket of dd.
    - chop-LONG-SHORT, glue-SHORT-LONG: one bucket of dd cut, or glued together, to another length.

    With "+mask" at the end, attention stays inside each document and positions start anew.

    The lengths and the other choices of `decompose` hold for dd; a single, chopped or glued bucket is the one
    that dd would have, so it holds whole pieces of documents. `seed` is that of the order of documents,
    `overflow_seed` that of random overflow. With `by_source` there is a group for each source and length.

    Raises:
        InputError: there is no such arm, or a length in its name is no power of two.
    """
    kind, lengths, masked = _parse(arm)
    sources: Sequence[tuple[str, Documents]] = [("", documents)]
    if by_source:
        sources = [(name, documents.of_source(i)) for i, name in enumerate(documents.source_names)]
    taken = lengths[:1] if kind in ("single", "chop", "glue") else []
    groups: list[Group] = []
    for source, mine in sources:
        made: list[Rows]
        if kind in ("concat", "best-fit", "semantic"):
            made = [_packed(kind, mine, store, lengths[0] if lengths else max_length, target, seed)]
        else:
            buckets = decompose(
                mine.starts,
                mine.lengths,
                min_length=min([min_length, *taken]),
                max_length=max([max_length, *taken]),
                target=target,
                overflow=overflow,
                tail=tail,
                seed=overflow_seed,
            )
            made = [Rows.from_bucket(buckets[n], n, target) for n in taken or buckets]
        if kind in ("chop", "glue"):
            if not made[0].is_whole:
                raise InputError(
                    f"arm: '{arm}': under tail 'pad' the bucket of {taken[0]} holds padded sequences; "
                    "take another tail, or a lower min_length"
                )
            made = [chop(made[0], lengths[1]) if kind == "chop" else glue(made[0], lengths[1], seed=seed)]
        for rows in made:
            name = f"{source}/{rows.length}" if source else str(rows.length)
            groups.append(Group(name, source, rows.length, rows, masked))
    return groups


def _packed(
    kind: str, documents: Documents, store: Store | None, length: int, target: Target, seed: int
) -> Rows:
    if kind == "best-fit":
        return pack_best_fit(documents.starts, documents.lengths, length=length, target=target)
    order = None
    if kind == "semantic":
        if store is None:
            raise ValueError("the semantic arm needs the store's tokens")
        order = semantic_order(store, documents)
    return concatenate_and_chunk(
        documents.starts, documents.lengths, length=length, target=target, seed=seed, order=order
    )


def _parse(arm: str) -> tuple[str, list[int], bool]:
    """Kind, lengths and mask of an arm's name."""
    match = _PATTERN.fullmatch(arm)
    if match is None:
        near = difflib.get_close_matches(arm, ARMS, n=1)
        hint = f"; nearest: '{near[0]}'" if near else ""
        raise InputError(f"arm: '{arm}' is not one of {', '.join(ARMS)}{hint}")
    kind, numbers, mask = match.groups()
    lengths = [
        int(part[:-1]) * 1024 if part.endswith("k") else int(part) for part in numbers.split("-") if part
    ]
    if len(lengths) not in _NUMBER_OF_LENGTHS[kind]:
        wanted = " or ".join(map(str, _NUMBER_OF_LENGTHS[kind]))
        raise InputError(f"arm: '{arm}' names {len(lengths)} lengths; {kind} takes {wanted}")
    for length in lengths:
        if length < 1 or length & (length - 1):
            raise InputError(f"arm: '{arm}': {length} is not a power of two; give 256, 512, 1k or such")
    course = {"chop": "a longer length to a shorter", "glue": "a shorter length to a longer"}
    if (kind == "chop" and lengths[0] <= lengths[1]) or (kind == "glue" and lengths[0] >= lengths[1]):
        raise InputError(f"arm: '{arm}': {kind} goes from {course[kind]}; give the lengths in that order")
    return kind, lengths, mask is not None
