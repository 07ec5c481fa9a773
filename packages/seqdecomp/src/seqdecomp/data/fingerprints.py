"""Content hashes that stay affordable on token files of many gigabytes."""

import hashlib
import os
from pathlib import Path

WHOLE_BYTES = 1 << 28
SAMPLES = 256
SAMPLE_BYTES = 1 << 16


def hash_file(path: Path, *, whole: bool = False) -> str:
    """A hash of the contents, with its kind in front.

    "sha256:..." covers every byte. Without `whole`, files above 256 MiB get "sampled:...": the size and 256
    blocks of 64 KiB at even distances, first and last included; it finds truncated and replaced files, not
    one changed byte. It is meant for token files of others that a store only refers to.
    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        if whole or size <= WHOLE_BYTES:
            while block := stream.read(1 << 20):
                digest.update(block)
            return f"sha256:{digest.hexdigest()}"
        digest.update(str(size).encode())
        for index in range(SAMPLES):
            stream.seek((size - SAMPLE_BYTES) * index // (SAMPLES - 1), os.SEEK_SET)
            digest.update(stream.read(SAMPLE_BYTES))
    return f"sampled:{digest.hexdigest()}"


def hash_file_as(path: Path, recorded: str) -> str:
    """The hash of the contents in the kind of a recorded one."""
    return hash_file(path, whole=recorded.startswith("sha256:"))
