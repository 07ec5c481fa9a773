"""Makes trl_1.16.0_packing.json: the number of rows into which TRL packs the lengths of OLMo-core's golden.

    uv run --isolated --no-project --python 3.11 --with trl==1.16.0 --with datasets python make_trl_goldens.py

Run `make_olmo_core_goldens.py` first. Only numbers are stored.
"""

import json
from importlib.metadata import version
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import trl

HERE = Path(__file__).parent


def main() -> None:
    """Write the file beside this script."""
    if version("trl") != "1.16.0":
        raise SystemExit(f"made for trl 1.16.0, found {version('trl')}")
    datasets.disable_progress_bars()
    inputs = np.load(HERE / "olmo_core_3.0.0_packing.npz")
    cases = {}
    for name in sorted({key.split("/")[0] for key in inputs.files}):
        lengths, capacity = inputs[f"{name}/lengths"], int(inputs[f"{name}/capacity_and_bins"][0])
        cases[name] = {
            "capacity": capacity,
            "tokens": int(lengths.sum()),
            "rows_one_batch": rows(lengths, capacity, "bfd", len(lengths)),
            "rows_batches_of_1000": rows(lengths, capacity, "bfd", 1000),
        }
    # Documents longer than a row: what "bfd" leaves out, and what "bfd_split" needs for all of them.
    name = "lognormal-8192"
    lengths = inputs[f"{name}/lengths"]
    long = {
        "case": name,
        "capacity": 1024,
        "tokens": int(lengths.sum()),
        "tokens_kept_by_bfd": int(np.minimum(lengths, 1024).sum()),
        "rows_bfd_one_batch": rows(lengths, 1024, "bfd", len(lengths)),
        "rows_bfd_split_one_batch": rows(lengths, 1024, "bfd_split", len(lengths)),
        "rows_bfd_split_batches_of_1000": rows(lengths, 1024, "bfd_split", 1000),
    }
    text = json.dumps({"cases": cases, "longer_than_a_row": long}, sort_keys=True, indent=1)
    (HERE / "trl_1.16.0_packing.json").write_text(text + "\n", encoding="utf-8")


def rows(lengths: np.ndarray, capacity: int, strategy: str, batch_size: int) -> int:
    """Rows that `pack_dataset` makes when it maps over batches of `batch_size` documents."""
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
    tokens = pa.ListArray.from_arrays(offsets, np.zeros(offsets[-1], np.int32))
    dataset = datasets.Dataset(pa.table({"input_ids": tokens}))
    packed = trl.pack_dataset(dataset, capacity, strategy, map_kwargs={"batch_size": batch_size})
    kept = np.minimum(lengths, capacity).sum() if strategy == "bfd" else lengths.sum()
    if sum(len(row) for row in packed["input_ids"]) != kept:
        raise SystemExit(f"{strategy}: tokens are missing from the packed rows")
    return len(packed)


if __name__ == "__main__":
    main()
