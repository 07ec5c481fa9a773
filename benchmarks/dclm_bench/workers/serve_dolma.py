"""Dolma's Bloom-filter deduplication at work on a file of pages; runs in Dolma's own environment."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dolma import deduper
from serving import serve


def configuration(source: str, ngrams: int, rate: float, size_in_bytes: int) -> dict[str, Any]:
    """Paragraphs with at least 0.8 of their 13-grams in the filter; one process, files inferred by suffix."""
    folder = Path(source).parent.parent
    by_ngram = {
        "ngram_length": 13,
        "stride": 1,
        "overlap_threshold": 0.8,
        "skip_short_paragraphs": True,
    }
    return {
        "documents": [source],
        "dedupe": {
            "name": "dup",
            "paragraphs": {"attribute_name": "dup", "by_ngram": by_ngram, "paragraph_separator": "\n"},
            "skip_empty": False,
            "min_length": 0,
            "min_words": 0,
            "num_partitions": 1,
            "partition_index": 0,
            "file_partition": False,
            "document_dir": "documents",
        },
        "bloom_filter": {
            "file": str(folder / "dolma.bloom"),
            "read_only": False,
            "size_in_bytes": size_in_bytes,
            "estimated_doc_count": ngrams,
            "desired_false_positive_rate": rate,
        },
        "work_dir": {"input": str(folder / "work-in"), "output": str(folder / "work-out")},
        "processes": 1,
        "compression": {"input": None, "output": None},
        "is_s3_volume": False,
    }


def _clean(source: str) -> Path:
    """Remove what an earlier run has left, which Dolma would go on from; the file that it will write."""
    folder = Path(source).parent.parent
    target = folder / "attributes" / "dup" / Path(source).name
    for path in (target, folder / "dolma.bloom"):
        path.unlink(missing_ok=True)
    return target


def clean(source: str) -> dict[str, str]:
    """The same, outside of the time that is taken."""
    return {"target": str(_clean(source))}


def dedupe(source: str, work: float, ngrams: int, rate: float, size_in_bytes: int) -> float:
    """Mark the paragraphs of a file in this process; the work is what it was told."""
    deduper(configuration(source, ngrams, rate, size_in_bytes))
    return work


def dedupe_process(
    source: str, work: float, ngrams: int, rate: float, size_in_bytes: int
) -> dict[str, float]:
    """The same by the command in a new process, so with its start; the seconds are that process's."""
    path = Path(source).parent.parent / "dolma.json"  # JSON is YAML
    path.write_text(json.dumps(configuration(source, ngrams, rate, size_in_bytes)))
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [str(Path(sys.executable).with_name("dolma")), "-c", str(path), "dedupe"]
    subprocess.run(command, check=True, stdout=sys.stderr, stderr=sys.stderr)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"work": work, "wall_seconds": wall, "cpu_seconds": cpu}


if __name__ == "__main__":
    serve({"clean": clean, "dedupe": dedupe, "dedupe_process": dedupe_process}, ["dolma"])
