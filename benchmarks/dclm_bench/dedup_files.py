"""BFF from a file of pages to a file of spans."""

import json
from pathlib import Path

from dclm_bench.data.reading import read_pages
from dclm_bench.dedup.batches import text_batches
from dclm_bench.dedup.bff import BffOptions, collect_units, decide_units
from dclm_bench.dedup.bloom_filter import BloomFilter


def mark_paragraphs(source: Path, target: Path, num_ngrams: int, fp_rate: float) -> int:
    """Write the paragraphs that were seen before, as spans a page; the number of pages."""
    pages = list(read_pages(source))
    options = BffOptions(mode="paragraph", min_ngram=13, max_ngram=13, threshold=0.8)
    bloom = BloomFilter.for_ngrams(num_ngrams, fp_rate, ngram_size=13)
    number = 0
    with open(target, "w", encoding="utf-8") as stream:
        for batch in text_batches([page.text for page in pages]):
            decided = decide_units(collect_units(batch, options), bloom, options)
            spans, place = decided["spans"].tolist(), 0
            for count in decided["page_spans"].tolist():
                line = {
                    "id": pages[number].record["id"],
                    "attributes": {"dup": [[*span, 1.0] for span in spans[place : place + count]]},
                }
                stream.write(json.dumps(line) + "\n")
                place += count
                number += 1
    bloom.save(target.with_suffix(".bloom"))
    return number
