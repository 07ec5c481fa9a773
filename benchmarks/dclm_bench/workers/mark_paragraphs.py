"""This repository's BFF as a process of its own: `mark_paragraphs PAGES SPANS NGRAMS RATE`."""

import sys
from pathlib import Path

from benchmarks.dclm_bench.dedup_files import mark_paragraphs

if __name__ == "__main__":
    mark_paragraphs(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
