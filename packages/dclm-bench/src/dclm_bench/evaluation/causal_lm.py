"""The model that an evaluation asks, with its tokenizer."""

from pathlib import Path

from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.model_folder import load_scorer
from toolkit_shared.evaluation.scorer import Scorer, ScoringPrecision

from dclm_bench.tokenization.tokenizers import Tokenizer, load_tokenizer

OPEN_LM_LENGTH = 2048  # of all models of the paper


def load_model(
    path: str | Path,
    *,
    tokenizer: str | None = None,
    device: str = "auto",
    precision: ScoringPrecision = "float32",
    batch_tokens: int = 16_384,
    max_length: int | None = None,
) -> tuple[Scorer, Tokenizer]:
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
    used = load_tokenizer(tokenizer or _tokenizer_file(Path(path)))
    scorer, vocab_size = load_scorer(
        path,
        toolkit="dclm-bench",
        extra="eval",
        open_lm_length=OPEN_LM_LENGTH,
        device=device,
        precision=precision,
        batch_tokens=batch_tokens,
        max_length=max_length,
    )
    if used.eot_id >= vocab_size or _num_ids(used) > vocab_size:
        raise InputError(
            f"{path}: knows {vocab_size} token ids, and the tokenizer has {_num_ids(used)}; "
            "give the tokenizer that it was trained with"
        )
    return scorer, used


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
