"""Models whose every answer is known: a bigram table, and one that recites given texts."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seqdecomp.data.tokenizer import ByteTokenizer
from toolkit_shared.evaluation.scorer import Scorer
from torch import Tensor, nn

VOCABULARY = 257


class Bigram(nn.Module):
    """The next token depends on the present one alone: `logits[a, b]` of b after a."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.logits[input_ids]


class Recites(nn.Module):
    """Goes on with the first of the given texts that begins as the row does, and else with token 1."""

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.texts = [list(text) for text in texts]

    def forward(self, input_ids: Tensor) -> Tensor:
        logits = torch.zeros(*input_ids.shape, VOCABULARY)
        logits[:, :, 1] = 1.0
        for row, tokens in enumerate(input_ids.tolist()):
            for text in reversed(self.texts):
                same = 0
                while same < min(len(tokens), len(text) - 1) and tokens[same] == text[same]:
                    logits[row, same] = 0.0
                    logits[row, same, text[same + 1]] = 30.0
                    same += 1
        return logits


@pytest.fixture
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()


@pytest.fixture
def bigram_scorer() -> Scorer:
    """Random bigram logits over the 257 byte tokens, context 4,096."""
    table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(3))
    return Scorer(model=Bigram(table), max_length=4096)


@pytest.fixture
def reciting(tokenizer: ByteTokenizer) -> Callable[..., Scorer]:
    """Make a scorer that recites texts; each ends with EOS."""

    def make(*texts: str, max_length: int = 4096) -> Scorer:
        ids = [[*tokenizer.encode_batch([text])[0].tolist(), tokenizer.eos_id] for text in texts]
        return Scorer(model=Recites(ids), max_length=max_length)

    return make


@pytest.fixture
def expected_loss(bigram_scorer: Scorer, tokenizer: ByteTokenizer) -> Callable[[str, str], np.ndarray]:
    """Losses of a text after another under the bigram table, computed in float64."""
    table = bigram_scorer.model.logits.double().numpy()
    log_probabilities = table - np.log(np.exp(table).sum(axis=1, keepdims=True))

    def losses(context: str, continuation: str) -> np.ndarray:
        ids = tokenizer.encode_batch([context + continuation])[0].astype(int)
        start = len(context.encode())
        return -log_probabilities[ids[start - 1 : -1], ids[start:]]

    return losses


@pytest.fixture
def write_records(tmp_path: Path) -> Callable[..., Path]:
    """Write records as a .jsonl or .jsonl.gz file in the test's folder."""

    def write(name: str, records: Sequence[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in records)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write
