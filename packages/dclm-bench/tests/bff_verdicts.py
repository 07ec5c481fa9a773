"""What BFF says of texts, in the form in which tests write it down."""

import numpy as np
from dclm_bench.dedup.bff import BffOptions, collect_units, decide_units
from dclm_bench.dedup.bloom_filter import BloomFilter


def by_filter(
    texts: list[str], options: BffOptions, bloom: BloomFilter
) -> list[tuple[list[tuple[int, int]], int, int]]:
    """Spans, n-grams found and all n-grams of each page."""
    decided = decide_units(collect_units(texts, options), bloom, options)
    ends = np.cumsum(decided["page_spans"])
    return [
        (
            [tuple(span) for span in decided["spans"][end - count : end].tolist()],
            int(decided["contained"][page]),
            int(decided["total"][page]),
        )
        for page, (end, count) in enumerate(zip(ends, decided["page_spans"], strict=True))
    ]
