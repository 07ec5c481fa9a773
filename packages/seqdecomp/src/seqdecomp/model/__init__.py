"""The decoder-only transformer of the paper, its attention, and its exchange of weights with open_lm."""

from seqdecomp.model.attention import AttentionImplementation, DocumentLayout, attend, document_layout
from seqdecomp.model.openlm import OpenLM, swiglu_width
from seqdecomp.model.weights import from_open_lm_state_dict, load_weights, to_open_lm_state_dict

__all__ = [
    "AttentionImplementation",
    "DocumentLayout",
    "OpenLM",
    "attend",
    "document_layout",
    "from_open_lm_state_dict",
    "load_weights",
    "swiglu_width",
    "to_open_lm_state_dict",
]
