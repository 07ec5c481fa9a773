"""Content hashes that stay affordable on token files of many gigabytes."""

import hashlib
import os
from pathlib import Path

WHOLE_BYTES = 1 << 28
SAMPLES = 256
SAMPLE_BYTES = 1 << 16


def hash_file(path: Path) -> str:
    """A hash of the contents, with its kind in front.

    "sha256:..." covers every byte. Files above 256 MiB, which are only referred to, get "sampled:...": the size
    and 256 blocks of 64 KiB at even distances, first and last included; it finds truncation and replaced
    files, not one changed byte.
    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        if size <= WHOLE_BYTES:
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
    if recorded.startswith("sha256:"):
        digest = hashlib.sha256()
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        return f"sha256:{digest.hexdigest()}"
    return hash_file(path)
