"""Shards: tar files of samples as the `webdataset` library writes them, read with limits and written alike.

A sample is a run of members that share the part of their name before the first dot of the base name (the
key); what follows the dot is the extension, in lower case.

    for sample in read_samples("train-0000.tar", on_bad=print):
        sample.key, sample.members["jpg"]

    with TarWriter("kept-0000.tar") as shard:
        shard.write(sample.key, sample.members)

The library itself is not used, for three reasons. It unpacks whatever the archive holds, with no limit on a
member's size and no refusal of links and leaving names; it reads streams only, while stored embeddings and
pair sources need any sample at once (`index_tar`); and it takes a header that is damaged in the middle for
the end of the archive, so that samples are lost in silence, as Python's `tarfile` does. Files go both ways
unchanged: the tests compare with `tarfile`, on which the library stands.
"""

from toolkit_shared.shards.expanding import expand_shards
from toolkit_shared.shards.reading import (
    MAX_MEMBER_BYTES,
    IndexedSample,
    Member,
    Sample,
    index_samples,
    index_tar,
    read_member,
    read_members,
    read_samples,
    split_name,
)
from toolkit_shared.shards.streams import SampleStream, shard_order
from toolkit_shared.shards.writing import TarWriter

__all__ = [
    "MAX_MEMBER_BYTES",
    "IndexedSample",
    "Member",
    "Sample",
    "SampleStream",
    "TarWriter",
    "expand_shards",
    "index_samples",
    "index_tar",
    "read_member",
    "read_members",
    "read_samples",
    "shard_order",
    "split_name",
]
