"""What the files of a store hold; read by the reader and the writer alike.

A store is a folder of parts and a manifest. A part is six files with the part's number in front:

    image.bin          embeddings of the augmented images, rows of all samples one after the other
    text.bin           embeddings of each sample's real captions, then of its synthetic ones
    augmentations.bin  fixed-size records, one an image row
    samples.arrow      keys, captions, counts, sizes (Arrow IPC)
    members.bin        files that are carried along, such as images, one after the other
    json               counts and hashes; written last, so a part with it is whole

`keys.bin` beside the manifest finds a sample by its key: hash and number, sorted by hash.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

STORE_KIND = "mobileclip reinforced store"
STORE_VERSION = 1
PARTS = "parts"
KEYS = "keys.bin"
PART_FILES = ("image.bin", "text.bin", "augmentations.bin", "members.bin", "samples.arrow")
KEY_RECORD = np.dtype([("hash", "<u8"), ("index", "<u8")])

SAMPLES = pa.schema(
    [
        ("key", pa.string()),
        ("key_hash", pa.uint64()),
        ("num_augmentations", pa.int32()),
        ("num_captions", pa.int32()),
        ("num_synthetic", pa.int32()),
        ("width", pa.int32()),  # of the stored image; 0: not known
        ("height", pa.int32()),
        ("captions", pa.list_(pa.string())),
        ("synthetic_captions", pa.list_(pa.string())),
        ("synthetic_groups", pa.string()),  # JSON; "" for one group of the usual name
        ("other_fields", pa.string()),  # JSON, or ""
        ("joined", pa.bool_()),
        (
            "members",
            pa.list_(pa.struct([("extension", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])),
        ),
    ]
)


def augmentation_record(num_operations: int) -> np.dtype[Any]:
    """A record of one augmentation with room for so many operations; `steps` is -1 where there are none."""
    return np.dtype(
        [
            ("crop", "<i4", (4,)),
            ("steps", "i1"),
            ("operations", "i1", (num_operations,)),
            ("magnitudes", "<f8", (num_operations,)),
        ]
    )


def part_path(folder: Path, part: int, file: str) -> Path:
    """The path of a part's file."""
    return folder / PARTS / f"{part:05d}.{file}"


def key_hash(key: str) -> int:
    """64 bits of a key's BLAKE2 hash."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
