"""The one way in which this toolkit compiles a loop."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """`function` as machine code: compiled at its first call, kept on disk, and run without the GIL.

    Arrays are not bounds-checked, and a division by zero gives infinity or NaN as in NumPy. The code is kept
    beside the source (or, where that may not be written, in the user's cache folder) and made anew when the
    source file changes. A kernel that calls a kernel of another file does not notice a change there: after
    such an edit remove the `*.nbi` files in `__pycache__`.
    """
    return cast(Kernel, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
