"""A PyTorch model behind what an evaluation needs: losses of given tokens, and greedy continuations."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError, require
from torch import Tensor

from dclm_bench.evaluation.in_context import Progress, TokenScores
from dclm_bench.evaluation.prompts import Row
from dclm_bench.tokenization.tokenizers import Tokenizer, load_tokenizer

Precision = Literal["float32", "bfloat16"]
States = Callable[[Int[Tensor, "batch tokens"]], Float[Tensor, "batch tokens width"]]
Projection = Callable[[Float[Tensor, "rows width"]], Float[Tensor, "rows vocabulary"]]
_LOGIT_ROWS = 2048
OPEN_LM_LENGTH = 2048


class TorchLanguageModel:
    """A causal model with its batches.

    Rows are padded on the right, where a causal model's other values do not depend on it; the longest come
    first, so that what does not fit into memory fails at once.

    Args:
        states: Gives a state of each position, which depends on the tokens up to there.
        project: Makes of states the logits of the next tokens; None: they are the logits already.
        max_length: Most input tokens of a row.
        vocab_size: Token ids that it knows.
        device: Of the model.
        precision: "bfloat16" runs it under autocast; losses are in float32 either way.
        batch_tokens: Most tokens of a batch, padding included; a longer row runs alone.
    """

    def __init__(
        self,
        states: States,
        project: Projection | None = None,
        *,
        max_length: int,
        vocab_size: int,
        device: str = "cpu",
        precision: Precision = "float32",
        batch_tokens: int = 16_384,
    ) -> None:
        self.states, self.project = states, project or _as_it_is
        self.max_length, self.vocab_size = max_length, vocab_size
        self.device, self.precision, self.batch_tokens = device, precision, batch_tokens

    def score(self, rows: Sequence[Row], progress: Progress | None = None) -> list[TokenScores]:
        """The scores of the last `num_scored` tokens of each row, in the order given.

        Raises:
            InputError: the model gives a loss that is not finite.
        """
        found: dict[int, TokenScores] = {}
        for batch in self._batches([len(row.ids) - 1 for row in rows]):
            chosen = [rows[index] for index in batch]
            ids = _padded([row.ids for row in chosen])
            # Position p predicts token p + 1.
            ends = torch.tensor([len(row.ids) - 1 for row in chosen])[:, None]
            begins = ends - torch.tensor([row.num_scored for row in chosen])[:, None]
            places = torch.arange(ids.shape[1] - 1)
            losses, is_best = self._losses(ids, (places >= begins) & (places < ends))
            borders = np.cumsum([row.num_scored for row in chosen])[:-1]
            parts = zip(batch, np.split(losses, borders), np.split(is_best, borders), strict=True)
            found.update((index, TokenScores(loss, best)) for index, loss, best in parts)
            if progress is not None:
                progress(len(batch))
        return [found[index] for index in range(len(rows))]

    def go_on(
        self,
        rows: Sequence[Row],
        max_new_tokens: int,
        is_complete: Callable[[list[int]], bool],
        progress: Progress | None = None,
    ) -> list[list[int]]:
        """The most probable next tokens after each row, until complete or `max_new_tokens`."""
        answers: list[list[int]] = [[] for _ in rows]
        for batch in self._batches([len(row.ids) + max_new_tokens for row in rows]):
            running = batch
            while running:
                ids = [np.concatenate([rows[i].ids, np.array(answers[i], np.int64)]) for i in running]
                last = torch.tensor([len(row) - 1 for row in ids], device=self.device)
                with self._autocast():
                    states = self.states(_padded(ids).to(self.device))
                    best = self.project(states[torch.arange(len(ids), device=self.device), last]).argmax(-1)
                for index, token in zip(running, best.tolist(), strict=True):
                    answers[index].append(token)
                running = [
                    i for i in running if len(answers[i]) < max_new_tokens and not is_complete(answers[i])
                ]
            if progress is not None:
                progress(len(batch))
        return answers

    def _losses(
        self, ids: Int[Tensor, "batch tokens"], wanted: Bool[Tensor, "batch inputs"]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Loss of the token after each wanted position, row by row, and whether it is the most probable."""
        targets = ids[:, 1:][wanted].to(self.device)
        losses, best = [], []
        with self._autocast():
            # Only what is scored is projected: over all positions the logits would be the largest tensor.
            states = self.states(ids[:, :-1].to(self.device))[wanted.to(self.device)]
            split = zip(torch.split(states, _LOGIT_ROWS), torch.split(targets, _LOGIT_ROWS), strict=True)
            for part, target in split:
                logits = self.project(part).float()
                losses.append(F.cross_entropy(logits, target, reduction="none").double().cpu())
                best.append((logits.argmax(-1) == target).cpu())
        loss = torch.cat(losses).numpy()
        if not np.isfinite(loss).all():
            raise InputError("the model gives losses that are not finite; its weights are broken")
        return loss, torch.cat(best).numpy()

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.precision == "bfloat16":
                stack.enter_context(torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16))
            yield

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
        place = 0
        while place < len(order):
            number = max(1, self.batch_tokens // max(1, lengths[order[place]]))
            yield order[place : place + number]
            place += number


def load_model(
    path: str | Path,
    *,
    tokenizer: str | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    batch_tokens: int = 16_384,
    max_length: int | None = None,
) -> tuple[TorchLanguageModel, Tokenizer]:
    """A model and its tokenizer.

    Args:
        path: Folder of OpenLM (as `train` writes it) or of the transformers library, or an open_lm checkpoint
            file, whose context is `max_length` or 2,048.
        tokenizer: "bytes", a .tiktoken file or a tokenizer.json; None: the folder's tokenizer.json.
        device: "auto": CUDA where there is one.
        precision: "bfloat16" needs CUDA.
        batch_tokens: Most tokens of a batch.
        max_length: Use less of the context.

    Raises:
        InputError: there is no model or tokenizer, no such device, or the tokenizer has more ids than the
            model knows.
    """
    path = Path(path)
    chosen = _device(device)
    if precision == "bfloat16" and not chosen.startswith("cuda"):
        raise InputError(f"--precision bfloat16: only on CUDA, not on {chosen}; use float32")
    used = load_tokenizer(tokenizer or _tokenizer_file(path))
    states, project, longest, vocab_size = _load(path, chosen, max_length)
    if max_length is not None and max_length > longest:
        raise InputError(f"--max-length {max_length}: the model has a context of {longest}; lower it")
    if used.eot_id >= vocab_size or _num_ids(used) > vocab_size:
        raise InputError(
            f"{path}: knows {vocab_size} token ids, and the tokenizer has {_num_ids(used)}; "
            "give the tokenizer that it was trained with"
        )
    model = TorchLanguageModel(
        states,
        project,
        max_length=max_length or longest,
        vocab_size=vocab_size,
        device=chosen,
        precision=precision,
        batch_tokens=batch_tokens,
    )
    return model, used


def _load(path: Path, device: str, max_length: int | None) -> tuple[States, Projection | None, int, int]:
    from toolkit_shared.language_model import OpenLM, from_open_lm_state_dict

    config = {"model_type": "openlm"} if path.is_file() else read_json(path / "config.json")
    if isinstance(config, dict) and config.get("model_type") == "openlm":
        if path.is_file():
            own = from_open_lm_state_dict(path, max_length=max_length or OPEN_LM_LENGTH)
        else:
            own = OpenLM.from_pretrained(path)
        own = own.to(device).eval()
        sizes = int(own.config["max_length"]), int(own.config["vocab_size"])
        return partial(own, project=False), own.output, *sizes
    transformers = require("transformers", toolkit="dclm-bench", extra="eval")
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(path).to(device).eval()
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: transformers cannot load this as a causal model: {reason}") from None

    def logits(ids: Tensor) -> Tensor:
        values: Tensor = model(input_ids=ids, use_cache=False).logits
        return values

    longest = next(
        (
            value
            for name in ("max_position_embeddings", "n_positions", "max_sequence_length")
            if isinstance(value := getattr(model.config, name, None), int) and value > 0
        ),
        max_length,
    )
    if longest is None:
        raise InputError(f"{path}: config.json does not tell the length of the context; give --max-length")
    return logits, None, longest, int(model.config.vocab_size)


def _as_it_is(states: Tensor) -> Tensor:
    return states


def _tokenizer_file(path: Path) -> Path:
    folder = path.parent if path.is_file() else path
    if not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{path}: no tokenizer.json here; give --tokenizer (a .tiktoken file, a tokenizer.json, bytes)"
        )
    return folder / "tokenizer.json"


def _num_ids(tokenizer: Tokenizer) -> int:
    # the padding id is never an input here
    return tokenizer.vocab_size - (tokenizer.pad_id == tokenizer.vocab_size - 1)


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise InputError(f"--device '{device}': no such device; use auto, cpu, cuda or cuda:N") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {device}: no CUDA device on this machine; use cpu")
    return device


def _padded(rows: Sequence[Any]) -> Int[Tensor, "batch tokens"]:
    padded = np.zeros((len(rows), max(len(row) for row in rows)), np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return torch.from_numpy(padded)
