"""A generated crawl in the real formats, whose every defect is known."""

from dclm_bench.data.generated.crawl import PageTruth, generate_pages, pages_jsonl, write_crawl
from dclm_bench.data.generated.pages import KINDS

__all__ = ["KINDS", "PageTruth", "generate_pages", "pages_jsonl", "write_crawl"]
