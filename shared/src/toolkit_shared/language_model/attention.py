"""Causal attention: over a whole row, or within each of the documents that a row holds.

Three ways to the same result inside documents, because they cost differently: one dense masked product over
the whole row (`masked`), the variable-length kernel of CUDA (`varlen`), and a loop of causal products, one a
document (`loop`), which has the cost of `varlen` on a CPU.
"""

import inspect
from functools import cache
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

AttentionImplementation = Literal["auto", "masked", "varlen", "loop"]


class DocumentLayout(NamedTuple):
    """Where the documents of a batch of packed rows lie; made once a batch, used by every layer."""

    positions: Int[Tensor, "batch tokens"]
    """Position of each token within its own document, from 0."""

    implementation: Literal["masked", "varlen", "loop"]
    """The form of attention that the fields below were made for."""

    mask: Bool[Tensor, "batch 1 tokens tokens"] | None = None
    """`masked`: true where the query (third axis) may attend to the key (fourth axis)."""

    bounds: Int[Tensor, " bounds"] | None = None
    """`varlen`: int32 boundaries of all documents in the flattened batch, from 0 to batch * tokens."""

    longest: int = 0
    """`varlen`: tokens in the longest document."""

    lengths: tuple[int, ...] = ()
    """`loop`: tokens in each document of the flattened batch."""


# Its numbers differ from batch to batch, and a graph made for them would serve no other.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def document_layout(
    document_ids: Int[Tensor, "batch tokens"], implementation: AttentionImplementation = "auto"
) -> DocumentLayout:
    """The layout of packed rows, from one number a token that changes where a new document begins.

    A number that comes back later in the row begins another document. `auto` is `varlen` on CUDA and `loop`
    elsewhere. `varlen` and `loop` read the number of documents on the host, hence wait for the device once.
    """
    if implementation == "auto":
        implementation = "varlen" if document_ids.is_cuda else "loop"
    begins = torch.ones_like(document_ids, dtype=torch.bool)
    begins[:, 1:] = document_ids[:, 1:] != document_ids[:, :-1]
    index = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
    positions = index - torch.where(begins, index, 0).cummax(dim=1).values
    if implementation == "masked":
        order = begins.cumsum(dim=1)
        same = order[:, :, None] == order[:, None, :]
        return DocumentLayout(positions, implementation, mask=same.tril()[:, None])
    starts = begins.flatten().nonzero().flatten()
    bounds = torch.cat([starts, starts.new_full((1,), document_ids.numel())]).to(torch.int32)
    lengths = bounds.diff()
    if implementation == "varlen":
        return DocumentLayout(positions, implementation, bounds=bounds, longest=int(lengths.max()))
    return DocumentLayout(positions, implementation, lengths=tuple(lengths.tolist()))


def attend(
    query: Float[Tensor, "batch tokens heads head_width"],
    key: Float[Tensor, "batch tokens heads head_width"],
    value: Float[Tensor, "batch tokens heads head_width"],
    layout: DocumentLayout | None = None,
) -> Float[Tensor, "batch tokens heads head_width"]:
    """Causal attention with scale 1/sqrt(head_width); with `layout`, only within each document.

    Source: section 2 of arXiv 2405.13226 (no document mask is needed for decomposed sequences) and its
    baseline with document masking (Table 5).
    """
    if layout is None:
        return _dense(query, key, value)
    within: Tensor = _within_documents(query, key, value, layout)
    return within


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _within_documents(query: Tensor, key: Tensor, value: Tensor, layout: DocumentLayout) -> Tensor:
    if layout.implementation == "masked":
        return _dense(query, key, value, layout.mask)
    q, k, v = (part.flatten(0, 1) for part in (query, key, value))
    if layout.implementation == "varlen":
        return _variable_length(q, k, v, layout).view_as(query)
    pieces = zip(*(torch.split(part, list(layout.lengths)) for part in (q, k, v)), strict=True)
    return torch.cat([_dense(q[None], k[None], v[None])[0] for q, k, v in pieces]).view_as(query)


def _dense(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
    return out.transpose(1, 2)


def _variable_length(query: Tensor, key: Tensor, value: Tensor, layout: DocumentLayout) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    bounds, longest = layout.bounds, layout.longest
    out: Any = varlen_attn(query, key, value, bounds, bounds, longest, longest, **_causal_option())  # type: ignore[arg-type]
    attended: Tensor = out
    return attended


@cache
def _causal_option() -> dict[str, Any]:
    """How this release of torch asks `varlen_attn` for causality: by a window, or in older ones by a flag."""
    from torch.nn.attention.varlen import varlen_attn

    if "window_size" in inspect.signature(varlen_attn).parameters:
        return {"window_size": (-1, 0)}
    return {"is_causal": True}
