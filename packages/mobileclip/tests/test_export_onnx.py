"""ONNX files of both encoders, their sidecars and the comparison with the model."""

import json

import numpy as np
import onnx
import pytest
import torch
from mobileclip.export.onnx import export_onnx, open_session, run_graph
from mobileclip.export.parity import compare_features
from mobileclip.export.towers import sample_images, sample_tokens
from mobileclip.models.factory import create_model
from mobileclip.models.scrambling import scramble
from mobileclip.tokenization import ClipTokenizer
from toolkit_shared.errors import InputError

NAME = "MobileCLIP-Tiny"


@pytest.fixture(scope="module")
def model():
    model = create_model(NAME)
    scramble(model)
    return model


@pytest.fixture(scope="module")
def export(model, tmp_path_factory):
    return export_onnx(model, tmp_path_factory.mktemp("export") / "onnx", name=NAME, weights="w")


def test_both_encoders_equal_the_unfolded_model(model, export):
    assert export.passed
    assert [row.tower for row in export.parity] == ["image", "text"]
    images = sample_images(3, 64, seed=5)
    with torch.inference_mode():
        expected = model.encode_image(images, normalize=True).numpy()
    found = run_graph(export.out / "image_encoder.onnx", "image", images.numpy())
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_batch_is_free(export):
    for count in (1, 5):
        session = open_session(export.out / "image_encoder.onnx", threads=1)
        features = session.run(None, {"image": sample_images(count, 64, seed=1).numpy()})[0]
        assert features.shape == (count, 64)


def test_text_is_encoded_as_the_tokenizer_gives_it(model, export):
    tokens = ClipTokenizer()(["a photo of a dog", "two cats on a mat"])
    with torch.inference_mode():
        expected = model.encode_text(tokens, normalize=True).numpy()
    found = run_graph(export.out / "text_encoder.onnx", "text", tokens.numpy())
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_sidecar_says_what_goes_in_and_what_comes_out(model, export):
    config = json.loads((export.out / "config.json").read_text())
    for tower, encoder in config["encoders"].items():
        graph = onnx.load(export.out / encoder["file"]).graph
        assert [value.name for value in graph.input] == [encoder["input"]]
        assert [value.name for value in graph.output] == [encoder["output"]]
        assert config["embed_dim"] == graph.output[0].type.tensor_type.shape.dim[1].dim_value, tower
    assert config["encoders"]["image"]["preprocessing"]["mean"] == [0.0, 0.0, 0.0]
    assert config["logit_scale"] == pytest.approx(float(model.logit_scale.detach().exp()))
    assert (export.out / "tokenizer.json").is_file()


def test_one_file_an_encoder_with_no_trace_of_the_machine(export):
    data = (export.out / "image_encoder.onnx").read_bytes()
    assert b"site-packages" not in data
    assert b"/home" not in data
    assert {path.name for path in export.out.iterdir()} == {
        "config.json",
        "image_encoder.onnx",
        "manifest.json",
        "parity.json",
        "text_encoder.onnx",
        "tokenizer.json",
    }


def test_half_precision_is_half_the_size_and_nearly_equal(model, export, tmp_path):
    half = export_onnx(model, tmp_path / "half", name=NAME, weights="w", towers=("image",), precision="fp16")
    assert half.passed
    assert half.parity[0].relative_error > export.parity[0].relative_error
    sizes = [(out / "image_encoder.onnx").stat().st_size for out in (half.out, export.out)]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_finished_export_is_kept_and_another_model_is_refused(model, export):
    before = (export.out / "image_encoder.onnx").stat().st_mtime_ns
    again = export_onnx(model, export.out, name=NAME, weights="w")
    assert again.parity == export.parity
    assert (export.out / "image_encoder.onnx").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="weights"):
        export_onnx(model, export.out, name=NAME, weights="other")


def test_a_wrong_encoder_is_found_to_differ():
    rows = np.eye(4, 8, dtype=np.float32)
    wrong = rows.copy()
    wrong[2, 2], wrong[2, 3] = 0.999, 0.045
    assert compare_features("image", "x", rows, rows, tolerance=1e-5).passed
    assert not compare_features("image", "x", wrong, rows, tolerance=1e-5).passed
    wrong[0, 0] = np.nan
    assert not compare_features("image", "x", wrong, rows, tolerance=1e-5).passed


def test_sample_tokens_have_one_start_one_end_and_every_length():
    from mobileclip.architectures import TEXT_512

    tokens = sample_tokens(20, TEXT_512, seed=0)
    ends = tokens.argmax(1)
    assert (tokens[:, 0] == 49406).all()
    assert (tokens == 49407).sum(1).tolist() == [1] * 20
    assert ends.min() == 2
    assert ends.max() == 76
    assert all((row[end + 1 :] == 0).all() for row, end in zip(tokens, ends, strict=True))
