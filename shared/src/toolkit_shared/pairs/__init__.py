"""Pairs of an image and its captions, from the formats that people have, behind one kind of source.

    source = open_pairs("pairs.parquet")           # or shards, a CSV or TSV of paths, a folder of images
    pair = source[17]                              # any pair at once
    image = decode_image(pair.image, where=pair.where)

Opening reads names and sizes, no image. A pair that cannot be used raises `BadPair` when it is asked for,
with its place and a reason to be counted (`toolkit_shared.losses`).
"""

from toolkit_shared.pairs.opening import open_pairs
from toolkit_shared.pairs.order import shuffled_order
from toolkit_shared.pairs.pair import BadPair, Pair, PairSource, usable_key
from toolkit_shared.pairs.tars import pair_of_sample

__all__ = ["BadPair", "Pair", "PairSource", "open_pairs", "pair_of_sample", "shuffled_order", "usable_key"]
