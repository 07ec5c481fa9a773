"""Images through corruption: what gives a picture gives the right one, everything else says why not."""

import contextlib
import io
import pickle
import re
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile
from toolkit_shared.errors import InputError
from toolkit_shared.images import BadImage, decode_image, image_size


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture(width: int = 40, height: int = 30) -> Image.Image:
    """A picture in which every pixel differs from its neighbours."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 5 % 256, columns * 6 % 256, (rows + columns) * 3 % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def one_pixel_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises any number of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_the_pixels_that_were_written(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}

    image = decode_image(encoded(picture(), kind, **options), where="a")

    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(picture()))


def test_a_jpeg_gives_what_pillow_gives() -> None:
    data = encoded(picture(), "JPEG")

    assert np.array_equal(np.asarray(decode_image(data, where="a")), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb_as_pillow_converts_it(mode: str) -> None:
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    data = encoded(picture().convert(mode), kind)

    image = decode_image(data, where="a")

    assert (image.mode, image.size) == ("RGB", (40, 30))
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_a_palette_with_transparency_keeps_its_colours_and_warns_of_nothing() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)

    image = decode_image(encoded(palette, transparency=bytes([0, 128])), where="a")

    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_become_their_upper_byte_and_not_white(kind: str) -> None:
    values = np.array([[0, 255, 256, 40_000, 65_535]], np.uint16)

    image = decode_image(encoded(Image.fromarray(values), kind), where="a")

    assert [image.getpixel((x, 0)) for x in range(5)] == [(v, v, v) for v in (0, 0, 1, 156, 255)]


def test_floating_point_pixels_are_refused_for_their_range_is_unknown() -> None:
    with pytest.raises(BadImage, match="floating-point") as caught:
        decode_image(encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), where="a")

    assert caught.value.reason == "unknown colours"


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]

    image = decode_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), where="a")

    assert image.getpixel((0, 0)) == (255, 0, 0)


def test_the_stored_pixels_are_turned_only_on_demand() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    data = encoded(picture(), "JPEG", exif=exif)

    assert decode_image(data, where="a").size == image_size(data, where="a") == (40, 30)
    assert decode_image(data, where="a", apply_orientation=True).size == (30, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_no_file_that_ends_early_gives_a_picture(kind: str) -> None:
    data = encoded(picture(200, 200), kind)
    for part in (0.3, 0.6, 0.9):
        with pytest.raises(BadImage) as caught:
            decode_image(data[: int(len(data) * part)], where="shard.tar, sample 7")
        assert caught.value.reason in ("truncated", "corrupt", "not an image")
        assert str(caught.value).startswith("shard.tar, sample 7: ")


def test_a_jpeg_that_ends_early_says_so() -> None:
    data = encoded(picture(200, 200), "JPEG")

    with pytest.raises(BadImage, match=re.escape("a.jpg: the image is cut off (OSError: ")) as caught:
        decode_image(data[: len(data) // 2], where="a.jpg")

    assert caught.value.reason == "truncated"


def test_a_global_switch_of_another_library_lets_no_half_grey_picture_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(picture(200, 200), "JPEG")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr("toolkit_shared.images._switch_seen", threading.Event())

    with pytest.raises(BadImage, match="is cut off"):
        decode_image(data[: len(data) // 2], where="a.jpg")
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    assert decode_image(data, where="a.jpg").size == (200, 200)


def test_too_many_pixels_are_refused_by_the_header_alone() -> None:
    with pytest.raises(BadImage) as caught:
        decode_image(encoded(picture()), where="a.png", max_pixels=1199)

    assert str(caught.value) == (
        "a.png: the image has too many pixels (40 x 30, the limit is 1,199); mend or remove it"
    )
    assert decode_image(encoded(picture()), where="a.png", max_pixels=1200).size == (40, 30)


@pytest.mark.parametrize(("width", "height"), [(16_000, 16_000), (2_000_000, 2_000_000)])
def test_a_bomb_of_a_hundred_bytes_is_refused(width: int, height: int) -> None:
    with pytest.raises(BadImage) as caught:
        decode_image(one_pixel_header(width, height), where="a")

    assert caught.value.reason == "too many pixels"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),  # its reader runs a program
        (b"\xff\xd8\xff\xe0" + bytes(50), "corrupt"),
    ],
)
def test_what_is_no_image_says_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        decode_image(data, where="a")

    assert caught.value.reason in ((reason, "not an image") if reason == "corrupt" else (reason,))
    assert isinstance(caught.value, InputError)


def test_the_error_survives_the_way_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(BadImage("empty", "a.jpg")))

    assert (error.reason, error.where, str(error)) == (
        "empty",
        "a.jpg",
        "a.jpg: the image has no bytes; mend or remove it",
    )


def test_damaged_bytes_give_a_picture_or_a_reason_and_nothing_else() -> None:
    generator = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        data = np.frombuffer(encoded(picture(), kind), np.uint8)
        for _ in range(40):
            damaged = data.copy()
            damaged[generator.integers(len(data), size=4)] = generator.integers(256, size=4)
            with contextlib.suppress(BadImage):
                assert decode_image(damaged.tobytes(), where="a", max_pixels=1 << 20).mode == "RGB"
