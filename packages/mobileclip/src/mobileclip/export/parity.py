"""How far the features of an exported encoder are from those of the model that it came from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from toolkit_shared.artifacts import read_json, write_json
from toolkit_shared.report.text_table import text_table

PARITY = "parity.json"


@dataclass(frozen=True, kw_only=True)
class Parity:
    """One exported encoder against its model, on the same inputs.

    Attributes:
        tower: "image" or "text".
        runtime: What computed the exported one's features.
        num_inputs: Rows compared.
        relative_error: The largest L2 norm of a row's difference, over that of the model's row.
        cosine: The smallest cosine between two rows.
        tolerance: Of the relative error.
    """

    tower: str
    runtime: str
    num_inputs: int
    relative_error: float
    cosine: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the features are equal within the tolerance."""
        return self.relative_error <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """The figures and the verdict, as JSON values."""
        return {**asdict(self), "passed": self.passed}


def compare_features(
    tower: str,
    runtime: str,
    exported: Float[NDArray[np.floating[Any]], "rows width"],
    model: Float[NDArray[np.floating[Any]], "rows width"],
    *,
    tolerance: float,
) -> Parity:
    """The parity of an exported encoder's features with the model's.

    Raises:
        ValueError: the shapes differ, or there is no row.
    """
    if exported.shape != model.shape or not len(model):
        raise ValueError(f"features of shapes {exported.shape} and {model.shape} cannot be compared")
    there, here = exported.astype(np.float64), model.astype(np.float64)
    norms = np.linalg.norm(here, axis=1)
    error = np.linalg.norm(there - here, axis=1) / norms
    cosine = (there * here).sum(1) / (np.linalg.norm(there, axis=1) * norms)
    # a NaN would pass every comparison that asks for too large a value
    worst = float(error.max()) if np.isfinite(error).all() else float("inf")
    return Parity(
        tower=tower,
        runtime=runtime,
        num_inputs=len(here),
        relative_error=worst,
        cosine=float(cosine.min()) if np.isfinite(cosine).all() else -1.0,
        tolerance=tolerance,
    )


def write_parity(folder: Path, rows: Sequence[Parity]) -> None:
    """Write `parity.json` of an export."""
    write_json(folder / PARITY, [row.as_dict() for row in rows])


def read_parity(folder: Path) -> tuple[Parity, ...]:
    """The parity that `write_parity` wrote."""
    rows = read_json(folder / PARITY)
    return tuple(Parity(**{key: value for key, value in row.items() if key != "passed"}) for row in rows)


def parity_table(rows: Sequence[Parity]) -> str:
    """The rows as lines of text."""
    header = ("encoder", "runtime", "inputs", "relative error", "cosine", "verdict")
    cells = [
        (
            row.tower,
            row.runtime,
            str(row.num_inputs),
            f"{row.relative_error:.1e}",
            f"{row.cosine:.7f}",
            "equal" if row.passed else f"differs by more than {row.tolerance:.0e}",
        )
        for row in rows
    ]
    return "\n".join(text_table(header, cells))
