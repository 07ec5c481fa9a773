"""The one way in which this toolkit compiles a loop."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

PACKAGE = Path(__file__).resolve().parent.parent
MARK = "text.compiled import compiled"
"""Source files that hold kernels have this line."""


def compiled(function: Kernel) -> Kernel:
    """`function` as machine code: compiled at its first call, kept on disk, and run without the GIL.

    Arrays are not bounds-checked, and a division by zero gives infinity or NaN as in NumPy. The code is kept
    beside the source (or, where that may not be written, in the user's cache folder) and made anew when any
    source file with kernels has changed.
    """
    kernel: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    # numba looks only at the file of the kernel itself. One that calls a kernel of another file has that
    # one's code inside, and would go on with the old after an edit there.
    kernel._cache._cache_file._source_stamp = kernels_stamp()
    return cast(Kernel, kernel)


@lru_cache(maxsize=1)
def kernels_stamp(folder: Path = PACKAGE) -> str:
    """A mark of the contents of all source files with kernels below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        source = path.read_bytes()
        if MARK.encode() in source:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + source + b"\0")
    return digest.hexdigest()
