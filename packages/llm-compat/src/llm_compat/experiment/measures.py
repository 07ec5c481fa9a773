"""What a run's answers say beside those of the old model, and how answers are kept in a file."""

import base64
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_compat.flips import cell_codes, count_cells, flip_metrics
from llm_compat.significance import mcnemar_exact

Answers = npt.NDArray[np.integer]
SHOWN = ("nfr", "pfr", "nfr_mc", "rel_nfr", "btc", "nfi")


def measure(old: Answers, new: Answers, gold: Answers) -> dict[str, float | None]:
    """Accuracy, error and the flip metrics of a model against the old one; None where one is undefined.

    All are shares of 1. Answers and truth are numbers of choices, int [items].
    """
    cells = count_cells(cell_codes(old == gold, new == gold, old.astype(np.uint64), new.astype(np.uint64)))
    metrics = flip_metrics(cells)
    accuracy = metrics["accuracy_new"]
    values = {"accuracy": accuracy, "error": 1.0 - accuracy, **{name: metrics[name] for name in SHOWN}}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def compare_flips(old: Answers, first: Answers, second: Answers, gold: Answers) -> tuple[int, int, float]:
    """Negative flips that only the first update has, those that only the second has, and McNemar's exact p.

    Both updates are measured against the same old model, on the same items.
    """
    was_right = old == gold
    of_first, of_second = was_right & (first != gold), was_right & (second != gold)
    alone = int((of_first & ~of_second).sum()), int((of_second & ~of_first).sum())
    return *alone, mcnemar_exact(*alone)


def pack_answers(answers: Answers) -> str:
    """Answers as text: 16 bits each, compressed, base85."""
    return base64.b85encode(zlib.compress(answers.astype("<u2").tobytes(), 9)).decode()


def unpack_answers(run: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """The answers of a run, int64 [items].

    Raises:
        ValueError: they are not as many as the run says, or no packed answers.
    """
    size = 2 * int(run["items"])
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b85decode(run["answers"]), size + 1)
    except zlib.error as error:
        raise ValueError(f"the answers cannot be unpacked: {error}") from None
    if len(data) != size:
        raise ValueError(f"{len(data) // 2} answers of {run['items']}")
    return np.frombuffer(data, "<u2").astype(np.int64)
