"""CLIP's byte-pair tokenizer: open_clip's own, and the same as a file for other runtimes."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit_shared.artifacts import write_json

if TYPE_CHECKING:
    from torch import Tensor

START_OF_TEXT = "<start_of_text>"
END_OF_TEXT = "<end_of_text>"
PADDING = 0
# One number at a time, words, or runs of other signs; a contraction's ending is a piece of its own.
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Rows of `context_length` token numbers: start, text, end, then zeros.

    A text that is too long is cut, and its last token is the end-of-text token all the same. Text is cleaned
    first as in CLIP: broken encodings mended (ftfy), HTML entities resolved, white space collapsed, letters
    made lower case.
    """

    def __init__(self, context_length: int = 77) -> None:
        if context_length < 2:
            raise ValueError("context_length must hold the start and the end of a text")
        self.context_length = context_length

    def __call__(self, texts: str | Sequence[str]) -> "Tensor":
        """Token numbers, int64, (texts, context_length); one row for a single string."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        tokens: Tensor = self._tokenizer(texts, self.context_length)
        return tokens

    def encode(self, text: str) -> list[int]:
        """The token numbers of one text, uncut, without start, end and padding."""
        numbers: list[int] = self._tokenizer.encode(text)
        return numbers

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token numbers, without start, end and padding, each word followed by a space."""
        special = {self.start_of_text, self.end_of_text, PADDING}
        text: str = self._tokenizer.decode([int(token) for token in tokens if int(token) not in special])
        return text

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are."""
        return int(self._tokenizer.vocab_size)

    @property
    def start_of_text(self) -> int:
        """Number of the token before each text."""
        return int(self._tokenizer.sot_token_id)

    @property
    def end_of_text(self) -> int:
        """Number of the token behind each text, the highest of all."""
        return int(self._tokenizer.eot_token_id)

    def __getstate__(self) -> dict[str, Any]:
        # the vocabulary takes megabytes and is quickly read again in a worker process
        return {"context_length": self.context_length}

    @cached_property
    def _tokenizer(self) -> Any:
        from open_clip.tokenizer import SimpleTokenizer  # importing open_clip takes seconds

        return SimpleTokenizer(context_length=self.context_length)


def write_tokenizer_json(path: str | Path, context_length: int = 77) -> None:
    """Write the tokenizer in the format of Hugging Face's `tokenizers` library, from open_clip's vocabulary.

    It cuts and pads to `context_length`, and gives the rows of `ClipTokenizer` for text that is clean
    already. Of CLIP's cleaning it does the Unicode composition, the collapsing of white space, the stripping
    of its ends and the lower case. It does not mend broken encodings (ftfy: mojibake, curly quotes,
    full-width letters, control characters) and does not resolve HTML entities; whoever needs these does them
    first. The names of the two special tokens within a text are special wherever they stand, where CLIP's
    rules see them at the beginning of a word only.
    """
    write_json(path, tokenizer_json(context_length))


def tokenizer_json(context_length: int = 77) -> dict[str, Any]:
    """The content of the file that `write_tokenizer_json` writes."""
    from open_clip.tokenizer import SimpleTokenizer

    source = SimpleTokenizer()
    specials = [(START_OF_TEXT, source.sot_token_id), (END_OF_TEXT, source.eot_token_id)]
    ordered = sorted(source.bpe_ranks, key=source.bpe_ranks.__getitem__)
    return {
        "version": "1.0",
        "truncation": {
            "direction": "Right",
            "max_length": context_length,
            "strategy": "LongestFirst",
            "stride": 0,
        },
        "padding": {
            "strategy": {"Fixed": context_length},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": PADDING,
            "pad_type_id": 0,
            "pad_token": source.decoder[PADDING],
        },
        "added_tokens": [_added_token(text, number) for text, number in specials],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Strip", "strip_left": True, "strip_right": True},
                {"type": "Lowercase"},
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _PIECES}, "behavior": "Removed", "invert": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                _special(START_OF_TEXT),
                {"Sequence": {"id": "A", "type_id": 0}},
                _special(END_OF_TEXT),
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                text: {"id": text, "ids": [number], "tokens": [text]} for text, number in specials
            },
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(source.encoder),
            "merges": [list(pair) for pair in ordered],
        },
    }


def _added_token(text: str, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": True,
        "special": True,
    }


def _special(text: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": text, "type_id": 0}}
