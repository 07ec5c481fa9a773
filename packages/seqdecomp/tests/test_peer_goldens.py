"""Against the numbers of OLMo-core 3.0.0 and TRL 1.16.0, which run in environments of their own.

The numbers and the scripts that made them are in `goldens/`; a missing file fails the tests.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seqdecomp.curriculum import subcycle_batches
from seqdecomp.decomposition import decompose, document_boundaries
from seqdecomp.olmo_order import olmo_batch_order, olmo_bucket_permutation
from seqdecomp.packing import best_fit_decreasing

GOLDENS = Path(__file__).parent / "goldens"
BUCKET_CASES = [
    "unit-example",
    "lognormal-256-8192",
    "lognormal-64-1024",
    "lognormal-2-128",
    "pareto-256-32768",
    "one-token-documents-2-16",
    "trailing-tokens-64-1024",
]
PACKING_CASES = [
    "lognormal-2048",
    "lognormal-8192",
    "uniform-1024",
    "uniform-1000",
    "short-64",
    "halves-100",
    "all-full-256",
]


def olmo_curricula() -> dict[str, Any]:
    return json.loads((GOLDENS / "olmo_core_3.0.0_curricula.json").read_text(encoding="utf-8"))


def trl_packing() -> dict[str, Any]:
    return json.loads((GOLDENS / "trl_1.16.0_packing.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def olmo_buckets() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDENS / "olmo_core_3.0.0_buckets.npz"))


@pytest.fixture(scope="module")
def olmo_packing() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDENS / "olmo_core_3.0.0_packing.npz"))


def tokens_of(lengths: np.ndarray, trailing: int) -> np.ndarray:
    """A token file with EOS 0 at the end of each document and `trailing` tokens after the last."""
    tokens = np.full(int(lengths.sum(dtype=np.int64)) + trailing, 7, np.uint16)
    tokens[np.cumsum(lengths, dtype=np.int64) - 1] = 0
    return tokens


def test_the_goldens_cover_the_named_cases(olmo_buckets, olmo_packing):
    assert {key.split("/")[0] for key in olmo_buckets} == set(BUCKET_CASES)
    assert {key.split("/")[0] for key in olmo_packing} == set(PACKING_CASES) == set(trl_packing()["cases"])


@pytest.mark.parametrize("case", BUCKET_CASES)
def test_pieces_are_those_of_olmo_core(olmo_buckets, case):
    # given a token file and the pieces that the peer cuts from it
    lengths = olmo_buckets[f"{case}/document_lengths"]
    shortest, longest, trailing = olmo_buckets[f"{case}/settings"].tolist()
    theirs = olmo_buckets[f"{case}/pieces"].astype(np.int64)
    # when its documents are found and decomposed here; the peer loses what follows the last EOS
    starts, found = document_boundaries(tokens_of(lengths, trailing), 0)
    assert found.tolist() == [*lengths.tolist(), *([trailing] if trailing else [])]
    starts, found = starts[: len(lengths)], found[: len(lengths)]
    buckets = decompose(starts, found, min_length=shortest, max_length=longest)
    # then (start, end) agree, and so do the numbers of instances by length
    ours = [(start, start + n) for n, bucket in buckets.items() for start in bucket.starts.tolist()]
    assert sorted(ours) == sorted(map(tuple, theirs.tolist()))
    assert {n: bucket.sequences for n, bucket in buckets.items()} == dict(
        olmo_buckets[f"{case}/instances_per_bucket"].tolist()
    )
    in_file_order = [end - start for start, end in sorted(ours)]
    assert in_file_order == olmo_buckets[f"{case}/instance_lengths"].tolist()


def test_the_unit_example_of_olmo_core_loses_two_lone_eos(olmo_buckets):
    # documents [1..8, 0], [1..5, 0], [1..10, 0], lengths 2 to 8
    assert olmo_buckets["unit-example/instance_lengths"].tolist() == [8, 4, 2, 8, 2]
    members = {n: olmo_buckets[f"unit-example/bucket-{n}"].tolist() for n in (2, 4, 8)}
    assert members == {2: [2, 4], 4: [1], 8: [0, 3]}
    buckets = decompose(np.array([0, 9, 15]), np.array([9, 6, 11]), min_length=2, max_length=8)
    assert {n: bucket.starts.tolist() for n, bucket in buckets.items()} == {2: [13, 23], 4: [9], 8: [0, 15]}


@pytest.mark.parametrize("longest", [128, 256, 512, 32768, 65536, 131072])
def test_no_longest_bucket_vanishes_as_it_does_in_olmo_core(longest):
    theirs = olmo_curricula()["faults"]["instances_of_the_longest_bucket_of_20"]
    assert theirs[str(longest)] == (0 if longest in (256, 65536) else 20)
    lengths = np.full(20, longest + 1)
    buckets = decompose(np.cumsum(lengths) - lengths, lengths, min_length=64, max_length=longest)
    assert buckets[longest].sequences == 20


def test_bucket_permutations_are_those_of_olmo_core():
    permutations = olmo_curricula()["permutations"]
    assert [(p["instances"], p["length"]) for p in permutations] == [(50, 256), (301, 1024), (7, 8192)]
    for p in permutations:
        ours = olmo_bucket_permutation(p["length"], p["instances"], seed=p["seed"], epoch=p["epoch"])
        assert ours.tolist() == p["permutation"]


def test_batch_orders_are_those_of_olmo_core():
    # 15 orders: 5 sets of buckets under 3 curricula; for two, the peer's rounding leaves it without any
    orders = olmo_curricula()["orders"]
    compared = 0
    for order in orders:
        if order["batch_indices"] is None:
            assert order["curriculum"] == "olmo-grow-linear"
            continue
        buckets, numbers = olmo_batch_order(
            order["curriculum"], order["available"], cycles=order["cycles"], seed=order["seed_plus_epoch"] - 1
        )
        first = np.cumsum(order["batches"]) - order["batches"]
        assert (first[buckets] + numbers).tolist() == order["batch_indices"]
        compared += 1
    assert (len(orders), compared) == (15, 13)


def test_subcycles_are_those_of_olmo_core_where_they_sum_to_what_there_is():
    compared = 0
    for order in olmo_curricula()["orders"]:
        if order["curriculum"] == "olmo-natural":
            continue
        shape = "p2" if order["curriculum"] == "olmo-grow-p2" else "linear"
        for bucket, theirs in enumerate(order["batches_by_subcycle"]):
            batches = order["batches"][bucket] // order["cycles"]
            ours = subcycle_batches(batches, bucket, len(order["batches"]), shape)
            assert sum(ours) == batches
            if sum(theirs) == batches:
                assert ours == theirs
                compared += 1
    assert compared >= 35


def test_growth_curricula_never_take_more_batches_than_there_are():
    # OLMo-core's linear curriculum does in 75 of 700 settings, and then fails; 3 buckets of 11 give 6 + 4 + 2
    faults = olmo_curricula()["faults"]
    overfull = faults["settings_with_more_batches_than_there_are"]
    assert faults["settings_tried_for_each_curriculum"] == 700
    assert (len(overfull["olmo-grow-linear"]), len(overfull["olmo-grow-p2"])) == (75, 0)
    assert faults["grow_linear_3_buckets_11_batches"] == [6, 4, 2]
    for num_buckets, batches in overfull["olmo-grow-linear"]:
        for bucket in range(num_buckets):
            counts = subcycle_batches(batches, bucket, num_buckets, "linear")
            assert sum(counts) == batches
            assert min(counts) >= 0


@pytest.mark.parametrize("case", PACKING_CASES)
def test_best_fit_decreasing_needs_as_many_bins_as_olmo_core_and_trl(olmo_packing, case):
    lengths = olmo_packing[f"{case}/lengths"].astype(np.int64)
    capacity, olmo_bins = olmo_packing[f"{case}/capacity_and_bins"].tolist()
    trl = trl_packing()["cases"][case]
    bins = best_fit_decreasing(lengths, capacity)
    assert int(bins.max()) + 1 == trl["rows_one_batch"]
    if olmo_bins >= 0:  # OLMo-core packs into powers of two only
        assert trl["rows_one_batch"] == olmo_bins
    fill = np.bincount(bins, weights=lengths)
    assert fill.max() <= capacity
    assert fill.sum() == trl["tokens"]


def test_packing_all_documents_at_once_needs_fewer_rows_than_trl_by_default():
    # TRL packs each map batch of 1,000 documents by itself
    for case in ("lognormal-2048", "lognormal-8192", "uniform-1024"):
        trl = trl_packing()["cases"][case]
        assert trl["rows_one_batch"] < trl["rows_batches_of_1000"]


def test_documents_longer_than_a_row_are_split_as_trl_splits_them(olmo_packing):
    golden = trl_packing()["longer_than_a_row"]
    lengths, capacity = olmo_packing[f"{golden['case']}/lengths"].astype(np.int64), golden["capacity"]
    full, rest = lengths // capacity, lengths % capacity
    pieces = np.concatenate([np.full(int(full.sum()), capacity), rest[rest > 0]])
    assert int(pieces.sum()) == golden["tokens"] > golden["tokens_kept_by_bfd"]
    assert int(best_fit_decreasing(pieces, capacity).max()) + 1 == golden["rows_bfd_split_one_batch"]
