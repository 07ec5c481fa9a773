"""The decoder-only transformer of the open_lm project: model, attention, objective, exchange of weights.

Nothing here knows a trainer; `toolkit_shared.training.next_token` does.
"""

from toolkit_shared.language_model.attention import (
    AttentionImplementation,
    DocumentLayout,
    attend,
    document_layout,
)
from toolkit_shared.language_model.openlm import OpenLM, swiglu_width
from toolkit_shared.language_model.weights import (
    build_model,
    from_open_lm_state_dict,
    load_weights,
    to_open_lm_state_dict,
    weights_hash,
)

__all__ = [
    "AttentionImplementation",
    "DocumentLayout",
    "OpenLM",
    "attend",
    "build_model",
    "document_layout",
    "from_open_lm_state_dict",
    "load_weights",
    "swiglu_width",
    "to_open_lm_state_dict",
    "weights_hash",
]
