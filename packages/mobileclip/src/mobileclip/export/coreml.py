"""A model as two Core ML packages, by coremltools."""

import contextlib
import importlib
import io
import logging
import platform
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from toolkit_shared.artifacts import claim_folder, finish_folder, sha256_file
from toolkit_shared.errors import InputError, require
from torch import Tensor, nn

from mobileclip.architectures import Preprocessing
from mobileclip.export.onnx import encoder_of, sample_inputs
from mobileclip.export.parity import Parity, compare_features, parity_table, read_parity, write_parity
from mobileclip.export.sidecar import write_sidecar
from mobileclip.export.towers import UnitTower
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.folding import fold, is_folded

KIND = "mobileclip coreml"
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-2}
NO_PARITY = "parity was not measured: Core ML runs on macOS only; repeat the export there to compare"


@dataclass(frozen=True)
class CoreMLExport:
    """What was written.

    Attributes:
        out: The folder.
        files: The package of each encoder.
        parity: Each encoder against the model; empty where Core ML cannot run.
    """

    out: Path
    files: dict[str, str]
    parity: tuple[Parity, ...]

    @property
    def passed(self) -> bool:
        """Whether no encoder was found to differ."""
        return all(row.passed for row in self.parity)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        rows = [row.as_dict() for row in self.parity]
        return {
            "out": str(self.out),
            "files": self.files,
            "parity": rows or None,
            "passed": self.passed,
            "note": "" if rows else NO_PARITY,
        }

    def to_text(self) -> str:
        """The report as lines of text."""
        files = [str(self.out / name) for name in self.files.values()]
        return "\n".join([*files, "", parity_table(self.parity) if self.parity else NO_PARITY])


class _Normalized(nn.Module):
    """An image encoder that takes values 0..1 and does the normalisation of its preprocessing itself."""

    def __init__(self, tower: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.tower = tower
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.tower((images - self.mean) / self.std)
        return features


def export_coreml(
    model: ImageTextModel,
    out: Path,
    *,
    name: str,
    weights: str,
    towers: Sequence[str] = ("image", "text"),
    precision: Literal["fp32", "fp16"] = "fp16",
    overwrite: bool = False,
) -> CoreMLExport:
    """Write `image_encoder.mlpackage` and `text_encoder.mlpackage` with sidecars, for iOS 16 and later.

    The image encoder takes an RGB image of its size and does the scaling and normalisation itself; the text
    encoder takes `tokens` (1, 77) int32. On macOS both are compared with the model.

    Raises:
        MissingExtra: coremltools is not installed (extra `coreml`).
        InputError: the folder holds something else, or coremltools cannot convert the encoder.
    """
    coremltools = _coremltools()
    config = {"model": name, "weights": weights, "towers": list(towers), "precision": precision}
    files = {tower: f"{tower}_encoder.mlpackage" for tower in towers}
    if claim_folder(out, kind=KIND, config=config, overwrite=overwrite) == "complete":
        return CoreMLExport(out, files, read_parity(out))
    model = model.eval() if is_folded(model) else fold(model)
    rows: list[Parity] = []
    for tower, file in files.items():
        converted = _convert(coremltools, model, tower, precision)
        shutil.rmtree(out / file, ignore_errors=True)  # of a run that was killed: it is no single file
        with _quiet():
            converted.save(str(out / file))
        if platform.system() == "Darwin":
            rows.append(_compare(converted, model, tower, TOLERANCES[precision]))
    write_sidecar(model, out, name=name, files=files)
    write_parity(out, rows)
    export = CoreMLExport(out, files, tuple(rows))
    finish_folder(
        out,
        {
            "schema": 1,
            "files": {
                str(path.relative_to(out)): sha256_file(path)
                for path in sorted(out.rglob("*"))
                if path.is_file() and path.name != "job.json"
            },
        },
    )
    return export


def _convert(coremltools: Any, model: ImageTextModel, tower: str, precision: str) -> Any:
    module: nn.Module = UnitTower(encoder_of(model, tower)).eval()
    example = sample_inputs(model, tower, 1, seed=0)
    if tower == "image":
        module = _Normalized(module, model.architecture.preprocessing).eval()
        inputs = coremltools.ImageType(
            name="image",
            shape=tuple(example.shape),
            scale=1 / 255,
            color_layout=coremltools.colorlayout.RGB,
        )
    else:
        inputs = coremltools.TensorType(name="tokens", shape=tuple(example.shape), dtype=np.int32)
        example = example.int()
    compute = coremltools.precision
    with _quiet(), torch.no_grad():
        # torch.export and not a trace: coremltools 9 cannot read the shapes of traces under NumPy 2.4
        program = torch.export.export(module, (example,)).run_decompositions({})
        try:
            return coremltools.convert(
                program,
                inputs=[inputs],
                outputs=[coremltools.TensorType(name=f"{tower}_embedding")],
                minimum_deployment_target=coremltools.target.iOS16,
                compute_precision=compute.FLOAT16 if precision == "fp16" else compute.FLOAT32,
                convert_to="mlprogram",
            )
        except (NotImplementedError, ValueError, RuntimeError, TypeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(
                f"{tower} encoder: coremltools {coremltools.__version__} cannot convert it: {reason}; "
                "try another version of coremltools, or export onnx"
            ) from None


def _compare(converted: Any, model: ImageTextModel, tower: str, tolerance: float) -> Parity:
    from PIL import Image

    inputs = sample_inputs(model, tower, 8, seed=0)
    module: nn.Module = UnitTower(encoder_of(model, tower)).eval()
    if tower == "image":
        inputs = (inputs * 255).round() / 255  # what an 8-bit image holds
        module = _Normalized(module, model.architecture.preprocessing)
    found = []
    for row in inputs:
        value: Any = row.int().numpy()[None]
        if tower == "image":
            value = Image.fromarray((row * 255).round().byte().permute(1, 2, 0).numpy())
        name = "image" if tower == "image" else "tokens"
        found.append(converted.predict({name: value})[f"{tower}_embedding"][0])
    with torch.no_grad():
        expected = module(inputs).numpy()
    return compare_features(tower, "Core ML", np.stack(found), expected, tolerance=tolerance)


def _coremltools() -> Any:
    with _quiet():
        require("coremltools", toolkit="mobileclip", extra="coreml")
        return importlib.import_module("coremltools")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep coremltools' bars and remarks on versions it has not tried off the terminal."""
    level = logging.getLogger("coremltools").level
    logging.getLogger("coremltools").setLevel(logging.CRITICAL)
    hidden = contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO())
    with warnings.catch_warnings(), hidden[0], hidden[1]:
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.getLogger("coremltools").setLevel(level)
