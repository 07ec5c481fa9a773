"""Core ML packages; they are written everywhere, and run on macOS only."""

import platform

import pytest
from mobileclip.export.coreml import export_coreml
from mobileclip.models.factory import create_model


@pytest.mark.slow
def test_both_packages_are_written_with_the_inputs_of_the_sidecar(tmp_path):
    export = export_coreml(
        create_model("MobileCLIP-Tiny"), tmp_path / "ml", name="MobileCLIP-Tiny", weights="w"
    )
    import coremltools  # after the export, which keeps the remarks of its import quiet

    specs = {
        tower: coremltools.utils.load_spec(str(export.out / file)) for tower, file in export.files.items()
    }
    image = specs["image"].description
    assert [value.name for value in image.input] == ["image"]
    assert (image.input[0].type.imageType.width, image.input[0].type.imageType.height) == (64, 64)
    assert [value.name for value in image.output] == ["image_embedding"]
    assert list(specs["text"].description.input[0].type.multiArrayType.shape) == [1, 77]
    assert bool(export.parity) == (platform.system() == "Darwin")
    assert export.as_dict()["passed"]
