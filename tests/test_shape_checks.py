"""Shapes are checked while tests run: a wrong one fails where it enters, not somewhere below."""

import sys
from pathlib import Path

import jaxtyping
import pytest

from tests.shape_checks import checked

MODULE = """
from jaxtyping import Float
from numpy import ndarray
from typing import Self

def add(a: Float[ndarray, "rows columns"], b: Float[ndarray, "rows columns"], *, scale: float = 1.0) -> float:
    return scale * float((a + b).sum())

class Holder:
    def itself(self) -> Self:
        return self
"""


def test_a_wrong_shape_is_refused_and_an_int_is_a_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    (tmp_path / "with_shapes.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    with jaxtyping.install_import_hook("with_shapes", "tests.shape_checks.checked"):
        import with_shapes
    monkeypatch.delitem(sys.modules, "with_shapes")

    assert with_shapes.add(np.ones((2, 3)), np.ones((2, 3)), scale=2) == 24
    assert isinstance(with_shapes.Holder().itself(), with_shapes.Holder)
    with pytest.raises(jaxtyping.TypeCheckError, match="rows columns"):
        with_shapes.add(np.ones((2, 3)), np.ones((3, 3)))  # numpy itself would refuse only the sum
    with pytest.raises(jaxtyping.TypeCheckError):
        with_shapes.add(np.ones((1, 3)), np.ones((2, 3)))  # numpy would broadcast


def test_a_function_without_self_types_is_checked() -> None:
    @checked
    def double(number: int) -> int:
        return number * 2

    with pytest.raises(Exception, match="violates type hint"):
        double("2")  # type: ignore[arg-type]
