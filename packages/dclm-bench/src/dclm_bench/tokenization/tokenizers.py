"""Text to token ids: the ranks of GPT-NeoX, a tokenizer.json, or plain bytes."""

import base64
import binascii
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import sha256_file
from toolkit_shared.errors import InputError, require

# Splits text into the pieces inside which bytes are merged. Source: the pattern of GPT-NeoX-20B (and GPT-2),
# as in tokshuf-rs of the official code.
NEOX_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
END_OF_TEXT_ID = 0
# The official padding id is the number of base entries plus this: 50,254 + 2 for GPT-NeoX.
PAD_OFFSET = 2
MAX_RANKS_BYTES = 1 << 26
# The library's regular expression overflows its stack on a run of a million blanks, so runs of this length
# are cut out before; what a run becomes does not change. These are the characters of \s there.
LONGEST_BLANK_RUN = 10_000
_BLANKS = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LONG_RUN = re.compile(f"[{_BLANKS}]{{{LONGEST_BLANK_RUN},}}")


class Tokenizer(Protocol):
    """Text to ids and back.

    Attributes:
        name: What references call it: `EleutherAI/gpt-neox-20b` for its ranks, else the file's name.
        vocab_size: Every id, the padding id included, is below it.
        eot_id: Stands after every document.
        pad_id: Fills the last context of a file.
        fingerprint: SHA-256 of the file; of nothing for bytes.
    """

    name: str
    vocab_size: int
    eot_id: int
    pad_id: int
    fingerprint: str

    def encode(self, text: str) -> npt.NDArray[np.uint32]:
        """Ids of the text, uint32 [tokens], without end of text; a lone surrogate is read as U+FFFD."""
        ...

    def decode(self, ids: npt.ArrayLike) -> bytes:
        """UTF-8 bytes of the ids; end of text and padding give nothing."""
        ...


class ByteTokenizer:
    """UTF-8 bytes as ids 1 to 256, end of text 0 and padding 257; needs no file, for tests and trials."""

    name = "bytes"
    vocab_size = 258
    eot_id = END_OF_TEXT_ID
    pad_id = 257
    fingerprint = ""

    def encode(self, text: str) -> npt.NDArray[np.uint32]:
        """Byte b as id b + 1."""
        return np.frombuffer(_sound(text).encode(), np.uint8).astype(np.uint32) + np.uint32(1)

    def decode(self, ids: npt.ArrayLike) -> bytes:
        """The bytes of the ids 1 to 256."""
        return bytes(int(i) - 1 for i in np.asarray(ids) if 0 < int(i) <= 256)


class RankTokenizer:
    """Byte-pair encoding by a file of ranks, with the pattern of GPT-NeoX.

    The texts of the special tokens are ordinary text: a page that mentions `<|endoftext|>` gives none. In the
    ranks of GPT-NeoX the padding id 50,256 is also that of a run of 22 blanks (an official oddity), so pads
    are told by their place and not by their id alone.

    Args:
        path: Lines of base64 and rank, as the tiktoken library has them.

    Raises:
        InputError: the file is missing or is none of that kind.
    """

    def __init__(self, path: str | Path) -> None:
        import tiktoken

        ranks = read_ranks(path)
        self.fingerprint = sha256_file(path)
        self.name = "EleutherAI/gpt-neox-20b" if len(ranks) == 50_254 else Path(path).stem
        self.eot_id, self.pad_id = END_OF_TEXT_ID, len(ranks) + PAD_OFFSET
        self.vocab_size = max(self.pad_id, max(ranks.values())) + 1
        self._bytes = {rank: piece for piece, rank in ranks.items()}
        self._encoding = tiktoken.Encoding(
            self.name, pat_str=NEOX_PATTERN, mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, text: str) -> npt.NDArray[np.uint32]:
        """Ids of the text."""
        text = _sound(text)
        if len(text) < LONGEST_BLANK_RUN or _LONG_RUN.search(text) is None:
            return self._encode(text)
        parts: list[npt.NDArray[np.uint32]] = []
        begin = 0
        for run in _LONG_RUN.finditer(text):
            # within a text the last blank of a run belongs to what follows; the others are one piece
            end = run.end() if run.end() == len(text) else run.end() - 1
            parts.append(self._encode(text[begin : run.start()]))
            piece = text[run.start() : end].encode()
            parts.append(np.array(self._encoding._encode_single_piece(piece), np.uint32))
            begin = end
        return np.concatenate([*parts, self._encode(text[begin:])])

    def decode(self, ids: npt.ArrayLike) -> bytes:
        """The bytes of the ids; id 50,256 gives its 22 blanks."""
        pieces = (self._bytes.get(int(i), b"") for i in np.asarray(ids) if int(i) != self.eot_id)
        return b"".join(pieces)

    def _encode(self, text: str) -> npt.NDArray[np.uint32]:
        # encode_to_numpy is slower than the list for short texts
        return np.array(self._encoding.encode_ordinary(text), np.uint32)


class JsonTokenizer:
    """A tokenizer.json of the `tokenizers` library, its special tokens read as ordinary text.

    End of text is the id of `<|endoftext|>`, and the padding id that of `<|padding|>`, where the file has
    them; else 0, and the number of base entries plus 2, which is the official rule.

    Raises:
        InputError: the file is missing or is none of that kind.
        MissingExtra: the library is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        library = require("tokenizers", toolkit="dclm-bench", extra="eval")
        try:
            self._tokenizer: Any = library.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"{path}: not a tokenizer.json ({reason}); name another file") from None
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.fingerprint = sha256_file(path)
        base = self._tokenizer.get_vocab_size(with_added_tokens=False)
        neox = base == 50_254 and self._tokenizer.token_to_id("<|endoftext|>") == END_OF_TEXT_ID
        self.name = "EleutherAI/gpt-neox-20b" if neox else Path(path).stem
        eot = self._tokenizer.token_to_id("<|endoftext|>")
        pad = None if neox else self._tokenizer.token_to_id("<|padding|>")
        self.eot_id = END_OF_TEXT_ID if eot is None else int(eot)
        self.pad_id = base + PAD_OFFSET if pad is None else int(pad)
        ids = self._tokenizer.get_vocab(with_added_tokens=True).values()
        self.vocab_size = max(self.pad_id, max(ids, default=-1)) + 1

    def encode(self, text: str) -> npt.NDArray[np.uint32]:
        """Ids of the text."""
        return np.array(self._tokenizer.encode(_sound(text), add_special_tokens=False).ids, np.uint32)

    def decode(self, ids: npt.ArrayLike) -> bytes:
        """The bytes of the text that the library gives."""
        kept = [int(i) for i in np.asarray(ids) if int(i) not in (self.eot_id, self.pad_id)]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False)).encode()


def load_tokenizer(spec: str | Path) -> Tokenizer:
    """The tokenizer of `bytes`, a `.tiktoken` file of ranks, or a tokenizer.json.

    Raises:
        InputError: there is no such file, or it is of no such kind.
    """
    if str(spec) == "bytes":
        return ByteTokenizer()
    path = Path(spec)
    if not path.is_file():
        raise InputError(
            f"--tokenizer: {spec}: no such file; give the ranks of GPT-NeoX (a .tiktoken file), a "
            "tokenizer.json, or bytes"
        )
    return JsonTokenizer(path) if path.suffix == ".json" else RankTokenizer(path)


@lru_cache(maxsize=2)
def cached_tokenizer(spec: str) -> Tokenizer:
    """The same, loaded once a process."""
    return load_tokenizer(spec)


def read_ranks(path: str | Path) -> dict[bytes, int]:
    """Byte sequence to rank, of a file with a line of base64 and a number for each.

    Raises:
        InputError: a line is none of that kind, a rank or a sequence comes twice, or a byte that occurs in
            UTF-8 has no rank.
    """
    path = Path(path)
    if path.stat().st_size > MAX_RANKS_BYTES:
        raise InputError(f"{path}: larger than {MAX_RANKS_BYTES >> 20} MiB, so no file of ranks")
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            piece, rank = line.split()
            sequence, value = base64.b64decode(piece, validate=True), int(rank)
        except (ValueError, binascii.Error):
            raise InputError(
                f"{path}, line {number}: not base64 and a rank; give a .tiktoken file of ranks"
            ) from None
        if sequence in ranks or not 0 <= value < 1 << 31:
            raise InputError(f"{path}, line {number}: the entry comes twice or its rank is out of range")
        ranks[sequence] = value
    if len(set(ranks.values())) != len(ranks):
        raise InputError(f"{path}: two entries have the same rank; give another file")
    utf8 = [*range(0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5)]
    if missing := [byte for byte in utf8 if bytes([byte]) not in ranks]:
        raise InputError(f"{path}: no rank for the byte {missing[0]}; such a file cannot encode every text")
    return ranks


def _sound(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
