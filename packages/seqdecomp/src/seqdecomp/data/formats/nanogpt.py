"""nanoGPT and llm.c token files: flat ids with the ending .bin, with or without a header of 256 int32."""

from pathlib import Path

import numpy as np
from toolkit_shared.errors import InputError

from seqdecomp.data.formats.olmo import boundaries_at_eos, map_flat
from seqdecomp.data.formats.units import FlatTokens

HEADER_BYTES = 256 * 4
# magic -> (version, dtype): GPT-2 ids, Llama 3 ids.
MAGICS = {20240520: (1, "uint16"), 20240801: (7, "uint32")}


def open_nanogpt(path: str, name: str, *, dtype: str | None, eos_id: int | None) -> FlatTokens:
    """The tokens in place, with boundaries found by one scan for EOS.

    Headerless files hold uint16 unless `dtype` says otherwise. Tokens after the last EOS are a document too.

    Raises:
        InputError: EOS is not known, or the header does not fit the file.
    """
    if eos_id is None:
        raise InputError(
            f"{name}: flat token files are split at EOS, and its id is not known; pass --read.eos-id N"
        )
    size = Path(path).stat().st_size
    header = np.fromfile(path, "<i4", 256) if size >= HEADER_BYTES else np.zeros(256, np.int32)
    if int(header[0]) not in MAGICS:
        tokens = map_flat(path, name, dtype or "uint16", 0)
        return FlatTokens(path, dtype or "uint16", 0, len(tokens), boundaries_at_eos(tokens, eos_id))
    version, dtype = MAGICS[int(header[0])]
    if int(header[1]) != version:
        raise InputError(
            f"{name}: version {int(header[1])} of magic {int(header[0])} is not known; expected {version}"
        )
    tokens = map_flat(path, name, dtype, HEADER_BYTES)
    if len(tokens) != int(header[2].view(np.uint32)):
        raise InputError(
            f"{name}: its header tells {int(header[2])} tokens, but it holds {len(tokens)}; copy it again"
        )
    return FlatTokens(path, dtype, HEADER_BYTES, len(tokens), boundaries_at_eos(tokens, eos_id))


def nanogpt_header(tokens: int, dtype: str) -> bytes:
    """The header of 256 int32 in front of `tokens` ids of uint16 or uint32.

    Raises:
        ValueError: there are more tokens than the header's int32 can tell.
    """
    if tokens >= 1 << 31:
        raise ValueError(f"{tokens} tokens do not fit the header's int32")
    header = np.zeros(256, "<i4")
    magic = next(magic for magic, (_, name) in MAGICS.items() if name == dtype)
    header[:3] = magic, MAGICS[magic][0], tokens
    return header.tobytes()
