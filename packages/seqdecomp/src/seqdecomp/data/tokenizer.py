"""Tokenizers: raw bytes with no file at all, tokenizer.json files, and names on the Hugging Face hub."""

import difflib
import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

# Tried in this order where --read.eos does not name one: GPT-NeoX and GPT-2, Llama 3, Llama 1 and 2, Qwen 2,
# Gemma, and a few common ones of home-made tokenizers.
KNOWN_EOS = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<|im_end|>",
    "<eos>",
    "<|eos|>",
    "[EOS]",
    "[SEP]",
)
BYTES_VOCAB_SIZE = 257


class Tokenizer(Protocol):
    """Text to token ids and back; `spec` is what `load_tokenizer` was given."""

    spec: str
    vocab_size: int
    eos_id: int
    eos_text: str

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
        """Token ids of each text, uint32 [tokens], without EOS."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; EOS gives nothing."""
        ...

    def to_json(self) -> str | None:
        """The contents of a tokenizer.json, or None where there is no file."""
        ...


class ByteTokenizer:
    """UTF-8 bytes as ids 1..256 and EOS as id 0; needs no file.

    Byte b is id b + 1, so that 0, the id which every other part of a pipeline takes for "nothing", is EOS.
    """

    spec = "bytes"
    vocab_size = BYTES_VOCAB_SIZE
    eos_id = 0
    eos_text = "<|endoftext|>"

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
        """Ids 1..256 of each text's UTF-8 bytes, uint32 [bytes]; a lone surrogate becomes the byte of '?'."""
        return [
            np.frombuffer(text.encode("utf-8", errors="replace"), np.uint8).astype(np.uint32) + 1
            for text in texts
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; EOS gives nothing and a broken UTF-8 sequence U+FFFD."""
        return bytes(int(i) - 1 for i in ids if 0 < int(i) <= 256).decode("utf-8", errors="replace")

    def to_json(self) -> None:
        """None: there is no file."""
        return None


class FileTokenizer:
    """A tokenizer of the `tokenizers` library, with special tokens in the text read as ordinary text.

    A document that mentions the text of the EOS token therefore never produces the EOS id.
    """

    def __init__(self, tokenizer: Any, spec: str, eos: str = "") -> None:
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.spec = spec
        self.vocab_size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self.eos_text, self.eos_id = find_eos(tokenizer, spec, eos)

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
        """Ids of each text, uint32 [tokens], without special tokens; a lone surrogate is read as '?'."""
        try:
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):
            clean = [text.encode("utf-8", errors="replace").decode("utf-8") for text in texts]
            encodings = self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; special tokens give nothing."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=True))

    def to_json(self) -> str:
        """The contents of a tokenizer.json that gives the same ids."""
        return str(self._tokenizer.to_str())


def load_tokenizer(spec: str | Path, *, eos: str = "") -> Tokenizer:
    """The tokenizer that `spec` names: "bytes", a tokenizer.json, a folder that holds one, or a hub name.

    Args:
        spec: What to load.
        eos: Text of the end-of-text token; empty: the first of the known names that the vocabulary has.

    Raises:
        InputError: there is no such tokenizer, it cannot be read, or it has no such EOS token.
    """
    if str(spec) == "bytes":
        if eos not in ("", ByteTokenizer.eos_text):
            raise InputError(f"eos: '{eos}' is not in the tokenizer 'bytes', whose EOS is id 0; leave it out")
        return ByteTokenizer()
    if not str(spec).strip():
        raise InputError("--tokenizer: is empty; give 'bytes', a tokenizer.json or a hub name")
    import tokenizers  # 50 ms; the byte tokenizer does without

    path = Path(spec)
    if path.is_dir():
        path = path / "tokenizer.json"
        if not path.exists():
            raise InputError(f"{spec}: no tokenizer.json in this folder; name the file")
    if path.suffix == ".tiktoken":
        raise InputError(
            f"{spec}: a .tiktoken rank file lacks the pattern and special tokens of its tokenizer; "
            "convert it to a tokenizer.json and name that"
        )
    if path.exists():
        try:
            loaded = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise InputError(
                f"{path}: not a tokenizer.json ({_one_line(error)}); name another file"
            ) from None
        return FileTokenizer(loaded, str(spec), eos)
    if path.suffix == ".json" or str(spec).count("/") > 1 or str(spec).startswith((".", "/", "~")):
        raise InputError(f"{spec}: no such tokenizer file; give 'bytes', a tokenizer.json or a hub name")
    from huggingface_hub.utils import logging as hub_log

    level = hub_log.get_verbosity()
    try:
        hub_log.set_verbosity(logging.ERROR)  # it warns at each of its retries, and the error says it all
        loaded = tokenizers.Tokenizer.from_pretrained(str(spec))
    except Exception as error:  # likewise, for a missing name and for a missing network
        raise InputError(
            f"tokenizer '{spec}': neither a file here nor to be had from the hub ({_one_line(error)}); "
            "give 'bytes' or a tokenizer.json"
        ) from None
    finally:
        hub_log.set_verbosity(level)
    return FileTokenizer(loaded, str(spec), eos)


def tokenizer_from_json(text: str, eos: str) -> Tokenizer:
    """The tokenizer of a tokenizer.json's contents, as `Tokenizer.to_json` gives them."""
    import tokenizers

    return FileTokenizer(tokenizers.Tokenizer.from_str(text), "tokenizer.json", eos)


def find_eos(tokenizer: Any, spec: str, eos: str = "") -> tuple[str, int]:
    """Text and id of the end-of-text token: `eos` if given, else the first known name in the vocabulary.

    Raises:
        InputError: the vocabulary has no such token.
    """
    for text in [eos] if eos else KNOWN_EOS:
        found = tokenizer.token_to_id(text)
        if found is not None:
            return text, int(found)
    if eos:
        near = difflib.get_close_matches(eos, tokenizer.get_vocab(with_added_tokens=True), n=1)
        hint = f"; nearest: '{near[0]}'" if near else ""
        raise InputError(
            f"{spec}: the vocabulary has no token '{eos}'{hint}; name its end-of-text token with --read.eos"
        )
    raise InputError(
        f"{spec}: no end-of-text token found (tried {', '.join(KNOWN_EOS)}); name it with --read.eos TEXT"
    )


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer of `vocab_size` ids trained on `texts`, with `<|endoftext|>` as id 0.

    The same texts in the same order give the same tokenizer. Every text can be encoded, for all 256 bytes
    are in the vocabulary.

    Raises:
        ValueError: `vocab_size` is below 257 (256 bytes and EOS).
    """
    if vocab_size < BYTES_VOCAB_SIZE:
        raise ValueError(f"vocab_size: {vocab_size} is below {BYTES_VOCAB_SIZE} (256 bytes and EOS)")
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    digest = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]
    return FileTokenizer(tokenizer, f"bpe-{vocab_size}-{digest}", "<|endoftext|>")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).partition(". ")[0][:160]
