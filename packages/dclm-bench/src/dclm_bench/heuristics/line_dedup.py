"""Lines that stand in several pages, kept in one of them: the line deduplication of C4."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.dedup.normalizers import NORMALIZERS, require_normalizer
from dclm_bench.heuristics.checks import require_choice
from dclm_bench.steps.step import Arrays, Rule


class LineDedup:
    r"""Keeps each line in one page of the corpus, and drops pages of which no line is left.

    Of equal lines the one whose page's `selection_key`, normalised, sorts first is kept; among equals, and
    without a key, the first in the order of the input. Equal lines of one page are no exception, nor are
    empty lines: in the whole corpus one is kept.

    The decision sorts 32 bytes a line in memory, for all lines at once.

    Attributes:
        func: "line_dedup".
        rules: `num_lines`, the lines that are left; none drops the page.
        edits: True.

    Source: official `exact_dedup` between `split_lines_modifier` and `join_lines_modifier`
    (`ray_processing/dedup_jsonl.py`); C4 section 2.2.
    """

    func = "line_dedup"
    rules = (Rule("num_lines", ">", 0),)
    edits = True

    def __init__(
        self,
        delimiter: str,
        normalize: str | None,
        selection_key: str | None,
        selection_normalize: str | None,
        selection_reverse: bool,
    ) -> None:
        self.delimiter = delimiter
        self.normalize = normalize
        self.selection_key = selection_key
        self.selection_normalize = selection_normalize
        self.selection_reverse = selection_reverse

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """`line` and `selection`, uint64 [lines, 2]: the MD5 of each line, and by what one is chosen."""
        normalize = NORMALIZERS[self.normalize] if self.normalize is not None else str
        digests: list[bytes] = []
        selections: list[bytes] = []
        for page in pages:
            lines = self._lines(page)
            digests += [_md5(str(normalize(line))) for line in lines]
            selections += [self._selection(page)] * len(lines)
        return {"line": _pairs(digests), "selection": _pairs(selections)}

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """`kept`, bool [lines], for each shard."""
        shards = [(arrays["line"], arrays["selection"]) for arrays in collected()]
        if not shards:
            return
        lines = np.concatenate([line for line, _ in shards])
        selections = np.concatenate([selection for _, selection in shards])
        kept = keep_one_of_equals(lines, selections, reverse=self.selection_reverse)
        start = 0
        for line, _ in shards:
            yield {"kept": kept[start : start + len(line)]}
            start += len(line)

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """Leave the kept lines in each page; the value is their number."""
        kept = decided["kept"].tolist()
        values: list[Sequence[float]] = []
        start = 0
        for page in pages:
            lines = self._lines(page)
            left = [line for line, keep in zip(lines, kept[start : start + len(lines)], strict=True) if keep]
            start += len(lines)
            page.text = self.delimiter.join(left)
            values.append((len(left),))
        return values

    def _lines(self, page: Page) -> list[str]:
        return page.text.split(self.delimiter) if page.text else []

    def _selection(self, page: Page) -> bytes:
        """16 bytes whose order is that of the pages."""
        if self.selection_key is None:
            return bytes(16)
        value = page.record.get(self.selection_key)
        if not isinstance(value, str):
            raise InputError(
                f"{self.func}: a record has no string '{self.selection_key}'; put move_url_modifier before "
                "this step, or choose another selection_key"
            )
        return _md5(value)


def line_dedup(
    delimiter: str = "\n",
    normalize: str | None = None,
    selection_key: str | None = None,
    selection_normalize: str | None = None,
    selection_reverse: bool = False,
) -> LineDedup:
    """The step that keeps each line in one page of the corpus; see `LineDedup`.

    Args:
        delimiter: What stands between lines.
        normalize: What makes lines equal: None (letter by letter) or one of `dedup.normalizers`.
        selection_key: The key of the record by which the page that keeps a line is chosen.
        selection_normalize: "hash_text", the only order in use; needed with a key.
        selection_reverse: Whether the last in that order keeps the line.
    """
    if not isinstance(delimiter, str) or not delimiter:
        raise InputError(f"line_dedup: delimiter is {delimiter!r}; give what stands between lines")
    require_normalizer(normalize, "line_dedup, normalize")
    if selection_key is not None:
        require_choice("line_dedup", "selection_normalize", selection_normalize, ("hash_text",))
    return LineDedup(delimiter, normalize, selection_key, selection_normalize, bool(selection_reverse))


def keep_one_of_equals(
    keys: npt.NDArray[np.uint64], selections: npt.NDArray[np.uint64], *, reverse: bool = False
) -> npt.NDArray[np.bool_]:
    """Which rows are kept, bool [n]: of those with equal keys the first with the least selection.

    Args:
        keys: uint64 [n, 2].
        selections: uint64 [n, 2], compared by the first column, then the second.
        reverse: Whether the greatest selection is kept instead; of several the first as well.
    """
    kept = np.zeros(len(keys), np.bool_)
    if not len(keys):
        return kept
    ranked = ~selections if reverse else selections
    order = np.lexsort(
        (ranked[:, 1], ranked[:, 0], keys[:, 1], keys[:, 0])
    )  # stable: input order breaks ties
    ordered = keys[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    kept[order[first]] = True
    return kept


def _md5(text: str) -> bytes:
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()


def _pairs(digests: list[bytes]) -> npt.NDArray[Any]:
    """uint64 [n, 2], in an order of numbers that is that of the bytes."""
    return np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
