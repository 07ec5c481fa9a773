"""MinHash signatures by torch, on whatever device: the same numbers, bit for bit, as by the compiled loop."""

import numpy as np
from toolkit_shared.errors import require

from dclm_bench.dedup.minhash import Int64s, MinHashOptions, UInt32s, hash_functions

_LOW = 0xFFFFFFFF

# Elements of the largest array on the device, in 8 bytes each.
_BLOCK = 1 << 26


def signatures_by_torch(
    shingles: UInt32s, counts: Int64s, options: MinHashOptions, *, device: str = "cuda"
) -> UInt32s:
    """The signatures of pages of which the shingles are given, uint32 [pages, bands * rows].

    Products are taken in 64-bit integers, of which the lower 32 bits are what the 32-bit product is.

    Args:
        shingles: uint32 [shingles], as `page_shingles` gives them.
        counts: int64 [pages], shingles of each page.
        options: What a signature is made of.
        device: Where torch computes.

    Raises:
        MissingExtra: torch is not installed.
    """
    torch = require("torch", toolkit="dclm-bench", extra="train")
    multipliers, masks = (
        torch.from_numpy(array.astype(np.int64)).to(device)
        for array in hash_functions(options.num_hashes, options.seed)
    )
    found = np.full((len(counts), options.num_hashes), _LOW, np.uint32)
    keys = torch.from_numpy(shingles.astype(np.int64)).to(device)
    ends = np.cumsum(counts)
    for first, last in page_blocks(counts, max(1, _BLOCK // options.num_hashes)):
        begin, end = int(ends[first] - counts[first]), int(ends[last - 1])
        pages = torch.from_numpy(np.repeat(np.arange(last - first), counts[first:last])).to(device)
        smallest = torch.full((last - first, options.num_hashes), _LOW, dtype=torch.int64, device=device)
        step = max(1, _BLOCK // options.num_hashes)  # a page with very many shingles comes in pieces
        for start in range(begin, end, step):
            stop = min(start + step, end)
            values = ((keys[start:stop, None] ^ masks) * multipliers) & _LOW
            index = pages[start - begin : stop - begin, None].expand_as(values)
            smallest.scatter_reduce_(0, index, values, "amin")
        found[first:last] = smallest.cpu().numpy().astype(np.uint32)
    return found


def page_blocks(counts: Int64s, limit: int) -> list[tuple[int, int]]:
    """Runs of pages with about `limit` shingles together, at least one page each."""
    blocks, first, size = [], 0, 0
    for page, count in enumerate(counts.tolist()):
        if page > first and (size + count > limit or page - first >= limit):
            blocks.append((first, page))
            first, size = page, 0
        size += count
    return [*blocks, (first, len(counts))] if len(counts) else []
