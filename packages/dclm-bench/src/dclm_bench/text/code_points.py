"""The code points of a text."""

import numpy as np
import numpy.typing as npt


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """uint32 [len(text)]: the code points, lone surrogates included; a fresh array."""
    # A copy, so that it is writable: kernels would be compiled a second time for read-only arrays.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)
