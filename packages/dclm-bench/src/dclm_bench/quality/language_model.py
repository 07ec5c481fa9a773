"""Scores from a small causal language model: perplexity, and the mean of the highest logits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit_shared.errors import InputError, require

from dclm_bench.quality.scores import once_per_process, require_path, scoring_step
from dclm_bench.steps.step import Step

if TYPE_CHECKING:
    from torch import Tensor

# The run that the paper reports says "k10" in its name and no more of k.
TOP_K = 10
WINDOW = 1024


def token_losses(logits: "Tensor", tokens: "Tensor") -> "Tensor":
    """The negative log-likelihood in nats of each token given those before it, shape (batch, length - 1).

    Args:
        logits: Shape (batch, length, vocabulary); those at place i are for the token at i + 1.
        tokens: Whole numbers, shape (batch, length).
    """
    chosen = logits[:, :-1].float().log_softmax(-1).gather(-1, tokens[:, 1:, None])
    return -chosen[..., 0]


def top_k_means(logits: "Tensor", k: int = TOP_K) -> "Tensor":
    """The mean of the k highest logits at each place, shape (batch, length), in float32.

    Source: DataComp-LM section 4.4 (top-k average logits); k = 10 is not stated there.
    """
    return logits.float().topk(min(k, logits.shape[-1]), dim=-1).values.mean(-1)


def windows_of(tokens: Sequence[int], window: int) -> list[Sequence[int]]:
    """Cuts of at most `window` tokens, each beginning with the last token of the one before it.

    So each token but the first is predicted once, from what is before it in its window.
    """
    if len(tokens) < 2:
        return []
    return [tokens[first : first + window] for first in range(0, len(tokens) - 1, window - 1)]


@dataclass(frozen=True)
class CausalModel:
    """A causal language model with its tokeniser, ready to give logits.

    Attributes:
        forward: Token ids (batch, length) to logits (batch, length, vocabulary).
        encode: A text to its token ids, none added.
        device: Where the model is.
        start: The token put before every text, or None.
        longest: Tokens that the model can see at once; None where it does not say.
    """

    forward: Callable[["Tensor"], "Tensor"]
    encode: Callable[[str], list[int]]
    device: str
    start: int | None
    longest: int | None = None

    def tokens_of(self, text: str) -> list[int]:
        """The tokens of a text after the start token."""
        ids = self.encode(text)
        return ids if self.start is None else [self.start, *ids]

    def logits_of(self, tokens: Sequence[int]) -> "Tensor":
        """Logits after each of the tokens, shape (1, length, vocabulary)."""
        torch = require("torch", toolkit="dclm-bench", extra="quality")
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self.device)
            return self.forward(ids)

    def _windows(self, text: str, window: int, max_tokens: int | None) -> list[Sequence[int]]:
        return windows_of(self.tokens_of(text)[:max_tokens], min(window, self.longest or window))

    def perplexity(self, text: str, window: int = WINDOW, max_tokens: int | None = None) -> float | None:
        """E to the mean loss of the text's tokens; None where there is none to predict."""
        torch = require("torch", toolkit="dclm-bench", extra="quality")
        total, count = 0.0, 0
        for part in self._windows(text, window, max_tokens):
            losses = token_losses(self.logits_of(part), torch.tensor([list(part)], device=self.device))
            total += float(losses.double().sum())
            count += losses.numel()
        # above e^700 is above what a float holds
        return math.exp(min(total / count, 700.0)) if count else None

    def top_k_logit(
        self, text: str, k: int = TOP_K, window: int = WINDOW, max_tokens: int | None = None
    ) -> float | None:
        """The mean over places of the mean of the k highest logits; None where no token is predicted."""
        total, count = 0.0, 0
        for part in self._windows(text, window, max_tokens):
            means = top_k_means(self.logits_of(part), k)[:, :-1]
            total += float(means.double().sum())
            count += means.numel()
        return total / count if count else None


def load_causal_model(path: str, device: str = "cpu", tokenizer: str | None = None) -> CausalModel:
    """The causal model of a folder with safetensors weights.

    Nothing is fetched, and no code of the folder is run.

    Args:
        path: A folder in the format of transformers, or, where a tokenizer is given, one that
            `dclm-bench train` wrote.
        device: Where the model is put.
        tokenizer: What `dclm-bench tokenize` takes; None for the folder's own.

    Raises:
        InputError: the folder is missing or holds no such model.
        MissingExtra: transformers or torch is not installed.
    """
    if not Path(path).is_dir():
        raise InputError(f"{path}: no such folder; give a folder with config.json and model.safetensors")
    return _of_transformers(path, device) if tokenizer is None else _of_open_lm(path, device, tokenizer)


def _of_open_lm(path: str, device: str, tokenizer: str) -> CausalModel:
    require("torch", toolkit="dclm-bench", extra="quality")
    from toolkit_shared.language_model import OpenLM

    from dclm_bench.tokenization.tokenizers import load_tokenizer

    model, tokens = OpenLM.from_pretrained(path).to(device).eval(), load_tokenizer(tokenizer)
    longest = int(model.config["max_length"])
    return CausalModel(model, lambda text: tokens.encode(text).tolist(), device, tokens.eot_id, longest)


def _of_transformers(path: str, device: str) -> CausalModel:
    transformers = require("transformers", toolkit="dclm-bench", extra="quality")
    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(path, use_safetensors=True, **given)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **given)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no usable language model: {reason}; mend the folder") from None
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    network = model.to(device).eval()

    def forward(ids: "Tensor") -> "Tensor":
        logits: Tensor = network(input_ids=ids).logits
        return logits

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    return CausalModel(forward, encode, device, start, getattr(model.config, "max_position_embeddings", None))


def perplexity_enricher(
    model_path: str,
    key: str = "perplexity",
    overwrite: bool = False,
    window: int = WINDOW,
    max_tokens: int | None = None,
    device: str = "cpu",
    tokenizer: str | None = None,
) -> Step:
    """Puts the perplexity of each page under a causal language model under `key`; low is good.

    Args:
        model_path: Folder of the model: of transformers, or, with `tokenizer`, of `dclm-bench train`.
        key: Where the score goes.
        overwrite: Whether to replace a score.
        window: Tokens that the model sees at once, and no more than it can.
        max_tokens: Tokens at the begin of a page that count; None for all.
        device: Where the model runs.
        tokenizer: What `dclm-bench tokenize` takes; None for the folder's own.

    Raises:
        InputError: the folder is missing, or a number is out of range.

    Source: DataComp-LM section 4.4 (perplexity filtering: the 10 % lowest are kept).
    """
    func = "perplexity_enricher"
    require_path(func, "model_path", model_path, folder=True)
    _check_numbers(func, window, max_tokens)

    def score(text: str) -> float | None:
        model: CausalModel = once_per_process(load_causal_model, model_path, device, tokenizer)
        return model.perplexity(text, window, max_tokens)

    return scoring_step(func, key, overwrite, score)


def top_k_logit_enricher(
    model_path: str,
    key: str = "top_k_logit",
    overwrite: bool = False,
    k: int = TOP_K,
    window: int = WINDOW,
    max_tokens: int | None = None,
    device: str = "cpu",
    tokenizer: str | None = None,
) -> Step:
    """Puts the mean of the k highest logits over the tokens of each page under `key`; high is good.

    Args:
        model_path: Folder of the model: of transformers, or, with `tokenizer`, of `dclm-bench train`.
        key: Where the score goes.
        overwrite: Whether to replace a score.
        k: How many logits; 10 is taken from the name of the published run, and stated nowhere.
        window: Tokens that the model sees at once, and no more than it can.
        max_tokens: Tokens at the begin of a page that count; None for all.
        device: Where the model runs.
        tokenizer: What `dclm-bench tokenize` takes; None for the folder's own.

    Raises:
        InputError: the folder is missing, or a number is out of range.

    Source: DataComp-LM section 4.4 (top-k average logits).
    """
    func = "top_k_logit_enricher"
    require_path(func, "model_path", model_path, folder=True)
    _check_numbers(func, window, max_tokens)
    if k < 1:
        raise InputError(f"{func}: k is {k}; give 1 or more")

    def score(text: str) -> float | None:
        model: CausalModel = once_per_process(load_causal_model, model_path, device, tokenizer)
        return model.top_k_logit(text, k, window, max_tokens)

    return scoring_step(func, key, overwrite, score)


def _check_numbers(func: str, window: int, max_tokens: int | None) -> None:
    if window < 2:
        raise InputError(f"{func}: window is {window}; give 2 or more")
    if max_tokens is not None and max_tokens < 2:
        raise InputError(f"{func}: max_tokens is {max_tokens}; give 2 or more")
