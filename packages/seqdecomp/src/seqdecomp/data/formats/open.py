"""One door to every input format: units to documents, and flat token files to their place."""

from collections.abc import Iterator, Sequence

from toolkit_shared.errors import InputError

from seqdecomp.data.formats.datatrove import open_datatrove
from seqdecomp.data.formats.megatron import open_megatron
from seqdecomp.data.formats.nanogpt import open_nanogpt
from seqdecomp.data.formats.olmo import open_olmo
from seqdecomp.data.formats.text import plan_text, read_text
from seqdecomp.data.formats.units import FLAT_FORMATS, Document, FlatTokens, Input, OnBad, Unit
from seqdecomp.settings import ReadSettings

TEXT_FORMATS = ("text", "jsonl", "parquet", "arrow")


def plan_units(inputs: Sequence[Input], read: ReadSettings) -> list[Unit]:
    """The units of all inputs in the inputs' order; a pure function of names, sizes and settings."""
    from seqdecomp.data.formats.huggingface import plan_parquet
    from seqdecomp.data.formats.jsonl import plan_jsonl

    unit_bytes = read.unit_mib << 20
    units: list[Unit] = []
    texts: list[Input] = []
    for item in inputs:
        if item.format == "text":
            texts.append(item)
            continue
        units += plan_text(texts, read.text_unit, unit_bytes)
        texts = []
        if item.format == "jsonl":
            units += plan_jsonl([item], unit_bytes)
        elif item.format == "parquet":
            units += plan_parquet(item, unit_bytes)
        else:
            units.append(Unit(format=item.format, paths=(item.path,), names=(item.name,), source=item.source))
    return units + plan_text(texts, read.text_unit, unit_bytes)


def read_documents(unit: Unit, read: ReadSettings, eos_id: int | None, on_bad: OnBad) -> Iterator[Document]:
    """Text or token ids of each document of a unit in order; corrupt records go to `on_bad`.

    Raises:
        InputError: the whole file is unusable.
    """
    if unit.format == "text":
        return read_text(unit, read.text_unit, on_bad)
    if unit.format == "jsonl":
        from seqdecomp.data.formats.jsonl import read_json_documents

        return read_json_documents(unit, read.text_field, read.ids_field, on_bad)
    if unit.format in ("parquet", "arrow"):
        from seqdecomp.data.formats.huggingface import read_arrow, read_parquet

        reader = read_parquet if unit.format == "parquet" else read_arrow
        return reader(unit, read.text_field, read.ids_field, on_bad)
    if unit.format == "released":
        from seqdecomp.data.formats.released import read_released

        if eos_id is None:
            raise InputError(
                f"{unit.names[0]}: holds EOS as text, and its id is not known; pass --read.eos-id N"
            )
        return read_released(unit, eos_id, on_bad)
    raise AssertionError(f"flat format {unit.format} holds no records")


def open_flat(unit: Unit, read: ReadSettings, *, eos_id: int | None, vocab_size: int | None) -> FlatTokens:
    """The token file of a unit of a flat format, with its document boundaries.

    Raises:
        InputError: the file is unusable.
    """
    assert unit.format in FLAT_FORMATS
    path, name = unit.paths[0], unit.names[0]
    dtype: str | None = None if read.dtype == "auto" else read.dtype
    if unit.format == "megatron":
        return open_megatron(path, name)
    if unit.format == "datatrove":
        return open_datatrove(path, name)
    if unit.format == "nanogpt":
        return open_nanogpt(path, name, dtype=dtype, eos_id=eos_id)
    if dtype is None and vocab_size is not None:
        dtype = store_dtype("auto", vocab_size)
    return open_olmo(path, name, dtype=dtype, eos_id=eos_id)


def store_dtype(dtype: str, vocab_size: int | None) -> str:
    """The type of a store's ids: as told, else uint16 for up to 65,535 ids, uint32 for more or unknown."""
    if dtype != "auto":
        return dtype
    return "uint16" if vocab_size is not None and vocab_size <= 65_535 else "uint32"
