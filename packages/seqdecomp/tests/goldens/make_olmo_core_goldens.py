"""Makes the olmo_core_3.0.0_* files: what OLMo-core computes for documents, orders and packings given here.

    uv run --isolated --no-project --python 3.11 --with ai2-olmo-core==3.0.0 python make_olmo_core_goldens.py

Only numbers are stored. Inputs are stored beside the outputs, so that a test needs no generator of random
numbers to give the same stream in every release of numpy.
"""

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from olmo_core.data import numpy_dataset, utils
from olmo_core.data.tokenizer import TokenizerConfig

HERE = Path(__file__).parent
EOS = 0
CURRICULA = {
    "olmo-natural": lambda cycles: numpy_dataset.VSLNaturalCurriculum(),
    "olmo-grow-p2": lambda cycles: numpy_dataset.VSLGrowP2Curriculum(num_cycles=cycles),
    "olmo-grow-linear": lambda cycles: numpy_dataset.VSLGrowLinearCurriculum(num_cycles=cycles),
}


def main() -> None:
    """Write the three files beside this script."""
    if version("ai2-olmo-core") != "3.0.0":
        raise SystemExit(f"made for ai2-olmo-core 3.0.0, found {version('ai2-olmo-core')}")
    with tempfile.TemporaryDirectory() as folder:
        np.savez_compressed(HERE / "olmo_core_3.0.0_buckets.npz", **buckets(Path(folder)))
        curricula_document = curricula() | {"faults": faults(Path(folder))}
    text = json.dumps(curricula_document, sort_keys=True, separators=(",", ":"))
    (HERE / "olmo_core_3.0.0_curricula.json").write_text(text + "\n", encoding="utf-8")
    np.savez_compressed(HERE / "olmo_core_3.0.0_packing.npz", **packings())


def buckets(folder: Path) -> dict[str, np.ndarray]:
    """Pieces of `bucket_documents`, instance lengths and bucket members, by case."""
    random = np.random.default_rng(2405)
    long = (random.pareto(1.1, 60) * 3000 + 1).astype(np.int64)
    cases = {
        # name: (document lengths, tokens after the last EOS, min, max)
        "unit-example": (np.array([9, 6, 11]), 0, 2, 8),
        "lognormal-256-8192": (lognormal(random, 700, 605), 0, 256, 8192),
        "lognormal-64-1024": (lognormal(random, 500, 605), 0, 64, 1024),
        "lognormal-2-128": (lognormal(random, 150, 300), 0, 2, 128),
        "pareto-256-32768": (long, 0, 256, 32768),
        "one-token-documents-2-16": (random.integers(1, 20, 400), 0, 2, 16),
        "trailing-tokens-64-1024": (lognormal(random, 200, 605), 777, 64, 1024),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, (lengths, trailing, shortest, longest) in cases.items():
        lengths = np.asarray(lengths, np.int64)
        if name == "unit-example":  # the documents of the peer's own unit test
            tokens = np.array([*range(1, 9), 0, *range(1, 6), 0, *range(1, 11), 0], np.uint16)
        else:
            tokens = np.full(int(lengths.sum()) + trailing, 7, np.uint16)
            tokens[np.cumsum(lengths) - 1] = EOS
        path, target = folder / f"{name}.npy", folder / f"{name}-pieces.npy"
        tokens.tofile(path)
        dataset = variable_length_dataset(path, folder / "work" / name, shortest, longest)
        documents, pieces = utils.bucket_documents(
            path, target, buckets=dataset.all_sequence_lengths, eos_token_id=EOS, dtype=np.uint16
        )
        found = np.fromfile(target, np.uint32)
        assert documents == len(lengths)
        assert pieces * 2 == len(found)
        arrays[f"{name}/document_lengths"] = lengths.astype(np.int32)
        arrays[f"{name}/settings"] = np.array([shortest, longest, trailing], np.int32)
        arrays[f"{name}/pieces"] = found.reshape(-1, 2)
        arrays[f"{name}/instance_lengths"] = np.array(dataset.get_instance_lengths()).astype(np.uint32)
        arrays[f"{name}/instances_per_bucket"] = np.array(dataset.instances_per_bucket, np.uint32)
        for length, members in dataset.get_instance_buckets() if name == "unit-example" else []:
            arrays[f"{name}/bucket-{length}"] = np.array(members, np.uint32)
    return arrays


def curricula() -> dict[str, Any]:
    """Orders of batches and of instances: everything that makes up the peer's order of an epoch."""
    settings = [
        # batches that each bucket (256, 512, ...) has, cycles, seed + epoch
        ([40, 40, 40, 40, 40, 40], 2, 1),
        ([37, 52, 61, 44, 23, 9], 2, 7),
        ([128, 96, 64, 32], 8, 35),
        ([24, 24, 24], 1, 2),
        ([17, 5], 3, 4),
    ]
    orders = []
    for available, cycles, seed in settings:
        lengths = [256 << i for i in range(len(available))]
        for name, make in CURRICULA.items():
            curriculum = make(cycles)
            used = available if name == "olmo-natural" else [cycles * (n // cycles) for n in available]
            order = {"curriculum": name, "available": available, "cycles": cycles, "seed_plus_epoch": seed}
            order["batches"] = used
            if name != "olmo-natural":
                order["batches_by_subcycle"] = [
                    curriculum._get_num_bucket_batches_for_cycle(bucket, len(used), n // cycles)
                    for bucket, n in enumerate(used)
                ]
            try:
                found = curriculum.get_batch_indices(list(zip(lengths, used, strict=True)), seed)
                order["batch_indices"] = found.tolist()
            except AssertionError:
                order["batch_indices"] = None  # the rounding fault of the linear curriculum
            orders.append(order)
    permutations = [
        {
            "instances": instances,
            "length": length,
            "seed": seed,
            "epoch": epoch,
            "permutation": utils.get_rng(seed + epoch + length).permutation(np.arange(instances)).tolist(),
        }
        for instances, length, seed, epoch in [(50, 256, 0, 1), (301, 1024, 34521, 2), (7, 8192, 3, 1)]
    ]
    return {"orders": orders, "permutations": permutations}


def faults(folder: Path) -> dict[str, Any]:
    """Faults of the peer, as numbers."""
    counts = {}
    for longest in (128, 256, 512, 32768, 65536, 131072):
        lengths = np.full(20, longest + 1)
        tokens = np.full(int(lengths.sum()), 7, np.uint16)
        tokens[np.cumsum(lengths) - 1] = EOS
        path = folder / f"max-{longest}.npy"
        tokens.tofile(path)
        dataset = variable_length_dataset(path, folder / "faults" / str(longest), 64, longest)
        counts[str(longest)] = dict(dataset.instances_per_bucket)[longest]
    overfull: dict[str, Any] = {}
    for name in ("olmo-grow-p2", "olmo-grow-linear"):
        curriculum = CURRICULA[name](1)
        bad = [
            [num_buckets, batches]
            for num_buckets in range(2, 9)
            for batches in range(1, 101)
            if any(
                sum(curriculum._get_num_bucket_batches_for_cycle(bucket, num_buckets, batches)) > batches
                for bucket in range(num_buckets)
            )
        ]
        overfull[name] = bad
    example = numpy_dataset.VSLGrowLinearCurriculum(num_cycles=1)
    try:
        numpy_dataset.VSLNaturalCurriculum().get_batch_indices([(256, 5), (512, 0)], 1)
        natural = None
    except ValueError as error:
        natural = str(error)
    return {
        "instances_of_the_longest_bucket_of_20": counts,
        "settings_tried_for_each_curriculum": 7 * 100,
        "settings_with_more_batches_than_there_are": overfull,
        "grow_linear_3_buckets_11_batches": example._get_num_bucket_batches_for_cycle(0, 3, 11),
        "natural_with_empty_longest_bucket": natural,
    }


def packings() -> dict[str, np.ndarray]:
    """Lengths and the number of bins that `InstancePacker` fills with them, by case."""
    random = np.random.default_rng(2404)
    cases = {
        "lognormal-2048": (lognormal(random, 4000, 605), 2048),
        "lognormal-8192": (lognormal(random, 6000, 812), 8192),
        "uniform-1024": (random.integers(1, 1025, 4000), 1024),
        "uniform-1000": (random.integers(1, 1001, 4000), 1000),
        "short-64": (random.integers(1, 12, 3000), 64),
        "halves-100": (random.integers(45, 56, 2000), 100),
        "all-full-256": (np.full(500, 256), 256),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, (lengths, capacity) in cases.items():
        lengths = np.minimum(lengths, capacity)  # longer documents are cut before packing
        ends = np.cumsum(lengths)
        # OLMo-core's segment tree needs a power of two; the other capacity is for TRL alone.
        bins = -1
        if capacity & (capacity - 1) == 0:
            packer = utils.InstancePacker(capacity)
            bins = len(packer.pack_documents(np.stack([ends - lengths, ends], axis=1))[0])
        arrays[f"{name}/lengths"] = lengths.astype(np.uint16)
        arrays[f"{name}/capacity_and_bins"] = np.array([capacity, bins], np.int32)
    return arrays


def variable_length_dataset(
    path: Path, work: Path, shortest: int, longest: int
) -> numpy_dataset.NumpyVSLDataset:
    """The peer's dataset over one token file, prepared."""
    config = numpy_dataset.NumpyVSLDatasetConfig(
        paths=[str(path)],
        tokenizer=TokenizerConfig(vocab_size=1000, eos_token_id=EOS, pad_token_id=EOS),
        min_sequence_length=shortest,
        max_sequence_length=longest,
        work_dir=str(work),
        dtype=numpy_dataset.NumpyDatasetDType.uint16,
    )
    dataset = config.build()
    dataset.prepare()
    return dataset


def lognormal(random: np.random.Generator, number: int, mean: float) -> np.ndarray:
    """Document lengths with the skew of web text."""
    sigma = 1.1
    return np.maximum(1, random.lognormal(np.log(mean) - sigma**2 / 2, sigma, number)).astype(np.int64)


if __name__ == "__main__":
    main()
