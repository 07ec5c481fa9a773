"""Text features in less time: rows cut behind the end of the text, where that is exact.

Under a causal mask nothing behind the end-of-text token reaches it, so the padding need not be computed: the
features differ by rounding only (5e-7). Without the mask the padding is part of the input, and cutting it
changes the features (by half their length on MobileCLIP-S0), which is refused here.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from toolkit_shared.errors import InputError
from torch import Tensor

Truncate = Literal["auto"] | bool


@runtime_checkable
class TextModel(Protocol):
    """What can be asked for the features of texts, such as `ImageTextModel`."""

    @property
    def text_encoder(self) -> Any:
        """The text encoder; its `causal` says whether a token sees only those before it."""

    def encode_text(self, tokens: Tensor, normalize: bool = False, truncate: Truncate = "auto") -> Tensor:
        """Features of rows of tokens."""
        ...


def text_lengths(tokens: Int[Tensor, "batch tokens"]) -> Int[Tensor, " batch"]:
    """Tokens of each text up to and with its end-of-text token, which has the highest number of its row."""
    return tokens.argmax(dim=-1) + 1


def truncate_tokens(
    tokens: Int[Tensor, "batch tokens"], *, causal: bool, truncate: Truncate = "auto"
) -> Int[Tensor, "batch shorter"]:
    """The rows without the columns in which all texts have ended.

    "auto" cuts for a causal tower and leaves the rows of another as they are; `True` asks for the cut;
    `False` leaves the rows. While a graph is recorded (`torch.compile`, export) "auto" leaves them, for the
    number of columns would depend on the values.

    Raises:
        InputError: `truncate` is `True` and the tower is not causal.
    """
    if truncate is True and not causal:
        raise InputError(
            "truncate: this model's text encoder has no causal mask, so padding is part of its input and "
            "shorter rows give other features; use truncate='auto' or False"
        )
    if truncate is False or not causal or tokens.shape[0] == 0:
        return tokens
    if truncate == "auto" and (torch.compiler.is_compiling() or tokens.is_meta):
        return tokens
    return tokens[:, : int(text_lengths(tokens).max())]


@torch.no_grad()
def encode_prompts(
    model: TextModel,
    tokens: Int[Tensor, "texts tokens"],
    *,
    batch_size: int = 256,
    normalize: bool = True,
    truncate: Truncate = "auto",
    device: str | torch.device | None = None,
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "texts embed_dim"]:
    """Features of many texts, in their order, on the CPU.

    For a causal tower the texts are sorted by length first, so that each batch is cut to the longest of texts
    of about one length; for another the batches are whole rows. The features do not depend on `batch_size`
    but for rounding.

    Args:
        model: its `encode_text` is called, as it stands (put it into `eval()`).
        tokens: rows of the model's tokenizer.
        batch_size: texts at a time.
        normalize: rows of unit length.
        truncate: as in `truncate_tokens`.
        device: where the model is; by default where the tokens are.
        progress: told the number of texts done after each batch.

    Raises:
        InputError: `truncate` is `True` and the tower is not causal.
    """
    truncate_tokens(tokens[:0], causal=model.text_encoder.causal, truncate=truncate)
    cuts = model.text_encoder.causal and truncate is not False
    lengths = text_lengths(tokens) if cuts else torch.zeros(len(tokens), dtype=torch.int64)
    order = torch.argsort(lengths, stable=True).cpu()
    features: Tensor | None = None
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = tokens[chosen.to(tokens.device)]
        if cuts:
            batch = truncate_tokens(batch, causal=True, truncate=True)
        batch = batch if device is None else batch.to(device)
        encoded = model.encode_text(batch, normalize=normalize, truncate=False).cpu()
        if features is None:
            features = encoded.new_empty(len(order), encoded.shape[1])
        features[chosen] = encoded
        if progress is not None:
            progress(len(chosen))
    if features is None:
        raise ValueError("no texts to encode")
    return features
