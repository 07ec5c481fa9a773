"""Composition metrics: what an arm makes of a corpus, how long its contexts are, and what it loses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqdecomp.documents import Documents
from seqdecomp.rows import Group

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What the rows of an arm hold of a corpus.

    Attributes:
        documents: Documents that have a token.
        tokens: Tokens of all documents.
        kept_tokens: Tokens in some row.
        dropped_tokens: Tokens in no row.
        rows: Sequences.
        positions: Input positions of all rows, padding included; what training is paid for.
        eos_survival: Fraction of documents whose last token is in some row.
        eos_survival_of_kept: The same, among documents with at least one token in a row.
        documents_without_row: Documents of which nothing is kept.
        average_sequence_length: Mean length of a row.
        average_segment_length: Mean number of tokens that stand together from one document.
        average_context_length: Mean number of tokens before a token that it can attend to.
        mean_attended_length: Mean row length by token, as the cost law needs it.
        padding_ratio: Fraction of places that hold padding.
        truncation_ratio: Fraction of documents that are whole in no row.
        concatenation_ratio: Documents for each row.
    """

    documents: int
    tokens: int
    kept_tokens: int
    dropped_tokens: int
    rows: int
    positions: int
    eos_survival: float
    eos_survival_of_kept: float
    documents_without_row: int
    average_sequence_length: float
    average_segment_length: float
    average_context_length: float
    mean_attended_length: float
    padding_ratio: float
    truncation_ratio: float
    concatenation_ratio: float


def average_sequence_length(sequences: Mapping[int, int]) -> float:
    """Mean length of sequences given as length to count; 0 when there is none."""
    number = sum(sequences.values())
    return sum(length * count for length, count in sequences.items()) / number if number else 0.0


def average_context_length(sequences: Mapping[int, int]) -> float:
    """Mean number of tokens before a token of the same sequence, for length to count; 0 when there is none.

    A token at place t of its sequence has t tokens before it, so it is sum l (l - 1) / 2 over sum l.

    Source: Appendix F of arXiv 2405.13226.
    """
    tokens = sum(length * count for length, count in sequences.items())
    pairs = sum(length * (length - 1) // 2 * count for length, count in sequences.items())
    return pairs / tokens if tokens else 0.0


def summarize(documents: Documents, groups: Iterable[Group]) -> Composition:
    """The composition of the rows of `groups`, made from `documents`.

    Source: average lengths from Appendix F of arXiv 2405.13226; padding, truncation and concatenation ratio
    from section 2 of arXiv 2407.07495.
    """
    total = _Totals()
    starts, spans = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for group in groups:
        offsets, segment_starts, segment_spans = group.rows.segments()
        starts.append(segment_starts)
        spans.append(segment_spans)
        total.add(group, offsets, segment_spans)
    survived, touched, whole = _documents_in(documents, np.concatenate(starts), np.concatenate(spans))
    number = int(np.count_nonzero(documents.lengths))
    tokens = int(documents.lengths.sum())
    kept = sum(int(part.sum()) for part in spans)
    segments = sum(len(part) for part in starts)
    return Composition(
        documents=number,
        tokens=tokens,
        kept_tokens=kept,
        dropped_tokens=tokens - kept,
        rows=total.rows,
        positions=total.positions,
        eos_survival=_ratio(survived, number),
        eos_survival_of_kept=_ratio(survived, touched),
        documents_without_row=number - touched,
        average_sequence_length=_ratio(total.positions, total.rows),
        average_segment_length=_ratio(kept, segments),
        average_context_length=_ratio(total.pairs, total.attending),
        mean_attended_length=_ratio(total.squares, total.positions),
        padding_ratio=_ratio(total.places - kept, total.places),
        truncation_ratio=_ratio(number - whole, number),
        concatenation_ratio=_ratio(number, total.rows),
    )


def attended_pairs(group: Group, offsets: Int64s, spans: Int64s) -> tuple[int, int]:
    """Pairs of a token and one before it that it can attend to, and tokens; their ratio is the mean context.

    Args:
        group: What the rows are of; says whether attention stays inside segments.
        offsets: int64 [rows + 1], row r holds segments offsets[r] : offsets[r + 1].
        spans: int64 [segments], tokens of each.
    """
    alone = spans
    if not group.masked:
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(spans)])
        alone = ends[offsets[1:]] - ends[offsets[:-1]]
    # The last token of a plus1 row is a target only.
    alone = np.minimum(alone, group.length)
    return int((alone * (alone - 1) // 2).sum()), int(alone.sum())


def composition_table(arms: Mapping[str, Composition]) -> list[str]:
    """The lines of a table for people, a header and one line an arm."""
    lines = [
        f"{'arm':<16}{'rows':>12}{'mean length':>13}{'context':>9}{'padding':>9}{'truncated':>11}"
        f"{'docs/row':>10}{'dropped':>9}{'EOS':>8}"
    ]
    for name, arm in arms.items():
        lines.append(
            f"{name:<16}{arm.rows:>12,}{arm.average_sequence_length:>13,.1f}"
            f"{arm.average_context_length:>9,.0f}{arm.padding_ratio:>9.2%}{arm.truncation_ratio:>11.2%}"
            f"{arm.concatenation_ratio:>10.2f}{arm.dropped_tokens / max(arm.tokens, 1):>9.2%}"
            f"{arm.eos_survival:>8.1%}"
        )
    return lines


class _Totals:
    """Sums over groups."""

    def __init__(self) -> None:
        self.rows = self.positions = self.places = self.squares = self.pairs = self.attending = 0

    def add(self, group: Group, offsets: Int64s, spans: Int64s) -> None:
        number, length = len(group.rows), group.length
        self.rows += number
        self.positions += number * length
        self.places += number * group.rows.span
        self.squares += number * length * length
        pairs, attending = attended_pairs(group, offsets, spans)
        self.pairs += pairs
        self.attending += attending


def _documents_in(documents: Documents, starts: Int64s, spans: Int64s) -> tuple[int, int, int]:
    """Documents whose end is in a segment, that have a segment at all, and that are one segment."""
    some = documents.lengths > 0
    order = np.argsort(documents.starts[some], kind="stable")
    begins, lengths = documents.starts[some][order], documents.lengths[some][order]
    if not len(begins) or not len(starts):
        return 0, 0, 0
    owner = np.searchsorted(begins, starts, side="right") - 1
    survives = starts + spans == (begins + lengths)[owner]
    touched = np.zeros(len(begins), np.bool_)
    touched[owner] = True
    return int(survives.sum()), int(touched.sum()), int((survives & (spans == lengths[owner])).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
