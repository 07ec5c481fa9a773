"""A model as two ONNX files, each compared with the encoder it came from before the folder is finished."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from toolkit_shared.artifacts import atomic_path, claim_folder, finish_folder, sha256_file
from toolkit_shared.errors import require
from torch import Tensor, nn

from mobileclip.export.parity import Parity, compare_features, parity_table, read_parity, write_parity
from mobileclip.export.sidecar import write_sidecar
from mobileclip.export.towers import UnitTower, sample_images, sample_tokens
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.folding import fold, is_folded

Precision = Literal["fp32", "fp16"]
INPUTS = {"image": "image", "text": "tokens"}
# fp16 keeps 11 bits, and errors add up over the layers
TOLERANCES: dict[Precision, float] = {"fp32": 1e-5, "fp16": 2e-2}
OPSET = 20  # the first with GELU as one operator, which takes a tenth off the image encoder's time
KIND = "mobileclip onnx"


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        out: The folder.
        files: The file of each encoder.
        parity: Each encoder against the model.
    """

    out: Path
    files: dict[str, str]
    parity: tuple[Parity, ...]

    @property
    def passed(self) -> bool:
        """Whether every encoder equals the model's."""
        return all(row.passed for row in self.parity)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "out": str(self.out),
            "files": {
                tower: {"name": name, "bytes": (self.out / name).stat().st_size}
                for tower, name in self.files.items()
            },
            "parity": [row.as_dict() for row in self.parity],
            "passed": self.passed,
        }

    def to_text(self) -> str:
        """The report as lines of text."""
        sizes = [
            f"{self.out / name}  {(self.out / name).stat().st_size / 2**20:.1f} MiB"
            for name in self.files.values()
        ]
        return "\n".join([*sizes, "", parity_table(self.parity)])


def export_onnx(
    model: ImageTextModel,
    out: Path,
    *,
    name: str,
    weights: str,
    towers: Sequence[str] = ("image", "text"),
    precision: Precision = "fp32",
    folded: bool = True,
    num_inputs: int = 16,
    seed: int = 0,
    overwrite: bool = False,
) -> Export:
    """Write `image_encoder.onnx`, `text_encoder.onnx`, sidecars and `parity.json`; what was found.

    Inputs are `image` (batch, 3, size, size) float32 and `tokens` (batch, 77) int64; outputs have length one.
    The batch is free. The folder is finished even when an encoder differs, with that verdict in it.

    Args:
        model: On the CPU.
        out: Folder to write.
        name: Of the architecture.
        weights: Mark of the weights, for the manifest.
        towers: Which encoders.
        precision: Of weights and arithmetic; inputs and outputs are float32 either way.
        folded: Whether to fold the model before.
        num_inputs: Compared inputs of each encoder.
        seed: Of those inputs.
        overwrite: Replace an export of something else.

    Raises:
        MissingExtra: the extra `export` is not installed.
        InputError: the folder holds something else.
    """
    for library in ("onnx", "onnxscript", "onnxruntime"):
        require(library, toolkit="mobileclip", extra="export")
    config = {
        "model": name,
        "weights": weights,
        "towers": list(towers),
        "precision": precision,
        "folded": folded or is_folded(model),
        "num_inputs": num_inputs,
        "seed": seed,
        "opset": OPSET,
    }
    files = {tower: f"{tower}_encoder.onnx" for tower in towers}
    if claim_folder(out, kind=KIND, config=config, overwrite=overwrite) == "complete":
        return Export(out, files, read_parity(out))
    model = fold(model) if folded and not is_folded(model) else model.eval()
    rows = []
    for tower, file in files.items():
        module = UnitTower(encoder_of(model, tower)).eval()
        inputs = sample_inputs(model, tower, num_inputs, seed=seed)
        with atomic_path(out / file) as temporary:
            write_graph(module, inputs[:2], temporary, tower=tower, precision=precision)
        with torch.no_grad():
            expected = module(inputs).numpy()
        found = run_graph(out / file, tower, inputs.numpy())
        rows.append(compare_features(tower, "onnxruntime", found, expected, tolerance=TOLERANCES[precision]))
    write_sidecar(model, out, name=name, files=files)
    export = Export(out, files, tuple(rows))
    write_parity(out, rows)
    finish_folder(out, {"schema": 1, "files": _hashes(out), "passed": export.passed})
    return export


def encoder_of(model: ImageTextModel, tower: str) -> nn.Module:
    """The image or the text encoder of a model."""
    encoder = model.image_encoder if tower == "image" else model.text_encoder
    assert isinstance(encoder, nn.Module)
    return encoder


def sample_inputs(model: ImageTextModel, tower: str, count: int, *, seed: int) -> Tensor:
    """Inputs of one encoder to compare runtimes on."""
    if tower == "image":
        return sample_images(count, model.architecture.image.image_size, seed=seed)
    return sample_tokens(count, model.architecture.text, seed=seed)


def write_graph(
    module: nn.Module, example: Tensor, path: Path, *, tower: str, precision: Precision = "fp32"
) -> None:
    """Write a module as one ONNX file with a free batch.

    Args:
        module: In evaluation mode.
        example: A batch of two inputs, for tracing.
        path: File to write.
        tower: "image" or "text"; names input and output.
        precision: Of weights and arithmetic.
    """
    onnx = require("onnx", toolkit="mobileclip", extra="export")
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=[INPUTS[tower]],
            output_names=[f"{tower}_embedding"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None
        graph = program.model_proto
    for node in graph.graph.node:  # where the exporter found a node is no business of the file's reader
        del node.metadata_props[:]
        node.doc_string = ""
    if precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        with _quiet():
            graph = convert_float_to_float16(graph, keep_io_types=True)
    onnx.save_model(graph, str(path))


def run_graph(path: Path, tower: str, inputs: NDArray[Any], *, batch_size: int = 8) -> NDArray[np.float32]:
    """The features that ONNX Runtime computes on the CPU, (rows, width) float32."""
    session = open_session(path, threads=None)
    name = INPUTS[tower]
    parts = [
        session.run(None, {name: inputs[start : start + batch_size]})[0]
        for start in range(0, len(inputs), batch_size)
    ]
    return np.concatenate(parts)


def open_session(path: Path, *, threads: int | None) -> Any:
    """An ONNX Runtime session of a file on the CPU.

    Args:
        path: ONNX file.
        threads: Of one operator; None: as the runtime likes.
    """
    runtime = require("onnxruntime", toolkit="mobileclip", extra="export")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _hashes(out: Path) -> dict[str, str]:
    names = sorted(path.name for path in out.iterdir() if path.suffix in (".onnx", ".json"))
    return {name: sha256_file(out / name) for name in names if name != "job.json"}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks, which are for its own developers, off the terminal."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
