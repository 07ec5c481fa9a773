"""Spans of tokens that stand more than once in a corpus, exactly.

A token lies in a repeated span of at least n tokens if and only if it lies in a window of exactly n tokens
that stands twice. So instead of a suffix array the windows of n tokens are hashed and sorted, and those
with equal hashes are compared token by token; what a suffix array of the corpus would report is found, with
memory for one number a token. Tokens are compared by their 64-bit hashes: two different tokens are taken
for one with a probability of 2^-64.

Source: Lee et al., "Deduplicating training data makes language models better" (2021), ExactSubstr with 50
tokens; arXiv 2406.11794 has it after MinHash in one arm. That one occurrence stays (`keep="first"`) is how
the former paper defines it; what the arm of DCLM did with it is unconfirmed.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from dclm_bench.text.compiled import compiled
from dclm_bench.text.hashes import ngram_hashes

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Keep = Literal["first", "none"]


def repeated_tokens(
    hashes: UInt64s, page_tokens: Int64s, *, min_tokens: int = 50, keep: Keep = "first"
) -> Bools:
    """Which tokens lie in a repeated span that is to be removed, bool [tokens].

    With "first" a window is removed where an equal one stands before it in the corpus without overlapping it;
    with "none" where an equal one stands anywhere else. No window crosses pages.

    Args:
        hashes: uint64 [tokens], of all pages one after the other.
        page_tokens: int64 [pages], tokens of each.
        min_tokens: n, fewest tokens of a span.
        keep: Whether the first occurrence stays.
    """
    starts = window_starts(page_tokens, min_tokens)
    if len(starts) == 0:
        return np.zeros(len(hashes), np.bool_)
    windows = ngram_hashes(hashes, min_tokens)[starts]
    order = np.argsort(windows, kind="stable")  # equal windows stand in the order of the corpus
    removed: Bools = _removed_tokens(hashes, starts, windows, order, min_tokens, keep == "none")
    return removed


def window_starts(page_tokens: Int64s, min_tokens: int) -> Int64s:
    """int64 [windows]: the token with which each window of `min_tokens` tokens inside one page begins."""
    ends = np.cumsum(page_tokens)
    left = np.repeat(ends, page_tokens) - np.arange(ends[-1] if len(ends) else 0)
    return np.flatnonzero(left >= min_tokens)


@compiled
def _removed_tokens(
    hashes: UInt64s, starts: Int64s, windows: UInt64s, order: Int64s, length: int, all_go: bool
) -> Bools:
    gone = np.zeros(len(starts), np.bool_)
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and windows[order[end]] == windows[order[begin]]:
            end += 1
        if end - begin > 1:
            _mark_copies(hashes, starts, order[begin:end], length, all_go, gone)
        begin = end
    removed = np.zeros(len(hashes), np.bool_)
    covered = 0
    for window in range(len(starts)):
        if gone[window]:
            for token in range(max(covered, starts[window]), starts[window] + length):
                removed[token] = True
            covered = starts[window] + length
    return removed


@compiled
def _mark_copies(
    hashes: UInt64s, starts: Int64s, members: Int64s, length: int, all_go: bool, gone: Bools
) -> None:
    """Mark the windows to remove among some with equal hashes, in the order of the corpus.

    Windows that only collide are told apart: each is compared with the first of the others, and those that
    differ from it are a class of their own.
    """
    left = members.copy()
    while len(left) > 1:
        first = starts[left[0]]
        others = np.empty_like(left)
        num_others = 0
        num_equal = 1
        for window in left[1:]:
            place = starts[window]
            same = True
            for i in range(length):
                if hashes[first + i] != hashes[place + i]:
                    same = False
                    break
            if not same:
                others[num_others] = window
                num_others += 1
                continue
            num_equal += 1
            if all_go or place >= first + length:
                gone[window] = True
        if all_go and num_equal > 1:
            gone[left[0]] = True
        left = others[:num_others].copy()
