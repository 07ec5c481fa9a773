"""Whether two models speak the same vocabulary; distillation between others would be nonsense, silently."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from toolkit_shared.errors import InputError


@dataclass(frozen=True)
class Vocabulary:
    """What has to agree between two models for their logits to mean the same.

    Attributes:
        tokens: Each token with its number.
        merges: SHA-256 of the merges, in their order; of nothing where there are none.
        special: Names of the special tokens with their numbers.
        rows: Rows of the output head; more than there are tokens where they are padded.
    """

    tokens: dict[str, int]
    merges: str
    special: dict[str, int]
    rows: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all of it."""
        value = [sorted(self.tokens.items()), self.merges, sorted(self.special.items()), self.rows]
        return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def vocabulary_of(tokenizer: Any, rows: int) -> Vocabulary:
    """The vocabulary of a tokenizer of transformers, for a head with so many rows."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    merges: Any = []
    if backend is not None:
        merges = json.loads(backend.to_str())["model"].get("merges") or []
    text = json.dumps([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    special = {
        name: int(tokenizer.convert_tokens_to_ids(token))
        for name, token in tokenizer.special_tokens_map.items()
        if isinstance(token, str)
    }
    return Vocabulary(
        tokens={token: int(number) for token, number in tokenizer.get_vocab().items()},
        merges=hashlib.sha256(text.encode()).hexdigest(),
        special=special,
        rows=rows,
    )


def require_same_vocabulary(old: Vocabulary, new: Vocabulary) -> None:
    """Make sure that token number k is the same token in both models.

    Raises:
        InputError: it is not; the first difference is named.
    """
    difference = _difference(old, new)
    if difference is not None:
        raise InputError(
            f"vocabulary: {difference}; no adapter can be trained between these models, "
            "though 'llm-compat diff' can compare them"
        )


def _difference(old: Vocabulary, new: Vocabulary) -> str | None:
    if len(old.tokens) != len(new.tokens):
        return f"the old tokenizer has {len(old.tokens):,} tokens, the new one {len(new.tokens):,}"
    for token, number in sorted(old.tokens.items(), key=lambda pair: pair[1]):
        if new.tokens.get(token) != number:
            there = "absent" if token not in new.tokens else new.tokens[token]
            return f"token {token!r} is {number} in the old model and {there} in the new"
    if old.merges != new.merges:
        return "the merges of the two tokenizers differ"
    for name in sorted(old.special.keys() & new.special.keys()):
        if old.special[name] != new.special[name]:
            return f"{name} is {old.special[name]} in the old model and {new.special[name]} in the new"
    if old.rows != new.rows:
        return f"the old output head has {old.rows:,} rows, the new one {new.rows:,}"
    return None
