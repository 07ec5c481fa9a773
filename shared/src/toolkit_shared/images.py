"""Photographs from bytes that nobody vouches for: whole and within limits, or refused with the reason."""

import io
import threading
from typing import TYPE_CHECKING, Literal

from toolkit_shared.errors import InputError, require

if TYPE_CHECKING:
    from PIL import Image

Reason = Literal["empty", "not an image", "truncated", "corrupt", "too many pixels", "unknown colours"]

MAX_PIXELS = 178_956_970  # Pillow's own limit: a gigabyte of pixels at six bytes each
# What data sets of photographs hold. Pillow knows more formats; each is one more parser of hostile bytes, and
# the one for EPS starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif")
# What Pillow says of a file that ends too soon; each format has its own words.
_CUT_OFF = ("truncated", "unexpected end", "end of file", "not enough image data", "no more data")
_strict_pillow, _switch_seen = threading.Lock(), threading.Event()


class BadImage(InputError):
    """Bytes that give no usable image.

    Attributes:
        reason: one of few, to be counted.
        where: the file and record.
        detail: what is particular to this one, or "".
    """

    def __init__(self, reason: Reason, where: str, detail: str = "") -> None:
        self.reason, self.where, self.detail = reason, where, detail
        what = {
            "empty": "the image has no bytes",
            "not an image": f"is no image of a known format ({', '.join(FORMATS)})",
            "truncated": "the image is cut off",
            "corrupt": "the image is corrupt",
            "too many pixels": "the image has too many pixels",
            "unknown colours": "the image has colours that are not 8 or 16 bits a channel",
        }[reason]
        super().__init__(f"{where}: {what}{f' ({detail})' if detail else ''}; mend or remove it")

    def __reduce__(self) -> tuple[type["BadImage"], tuple[Reason, str, str]]:
        return BadImage, (self.reason, self.where, self.detail)


def decode_image(
    data: bytes, *, where: str, max_pixels: int = MAX_PIXELS, apply_orientation: bool = False
) -> "Image.Image":
    """The image in `data`, in mode RGB and fully decoded.

    The first frame of an animation. Transparency is dropped, not blended, as open_clip does; 16 bits become
    the upper 8. A file that ends too soon is refused; it never gives a picture whose lower part is grey.

    Args:
        data: the bytes of a file.
        where: file and record, for the error.
        max_pixels: larger images are refused by their header, before any pixel is decoded.
        apply_orientation: turn the image as its EXIF data say. Off, because stored crop boxes and label maps
            refer to the pixels as they are stored.

    Raises:
        BadImage: the bytes give no usable image.
        MissingExtra: Pillow is not installed.
    """
    image = _open(data, where, max_pixels)
    try:
        _load_whole(image)
        if apply_orientation:
            from PIL import ImageOps

            image = ImageOps.exif_transpose(image)
        return _to_rgb(image, where)
    except BadImage:
        raise
    except Exception as error:  # decoders of hostile bytes raise nearly everything
        raise _bad(error, where) from None


def image_size(data: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height as stored, from the header alone; errors as in `decode_image`."""
    size = _open(data, where, max_pixels).size
    return int(size[0]), int(size[1])


def _open(data: bytes, where: str, max_pixels: int) -> "Image.Image":
    require("PIL", toolkit="toolkit-shared", extra="images")
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise BadImage("empty", where)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage("too many pixels", where, f"more than {max_pixels:,}") from None
    except UnidentifiedImageError:
        raise BadImage("not an image", where, f"{len(data):,} bytes") from None
    except Exception as error:  # as above
        raise _bad(error, where) from None
    width, height = image.size
    if width * height > max_pixels:
        raise BadImage("too many pixels", where, f"{width} x {height}, the limit is {max_pixels:,}")
    return image


def _load_whole(image: "Image.Image") -> None:
    """Decode the pixels, and raise when some are missing, whatever another library has set globally."""
    from PIL import ImageFile

    if not ImageFile.LOAD_TRUNCATED_IMAGES and not _switch_seen.is_set():
        image.load()
        return
    _switch_seen.set()  # from now on threads wait for each other, for each sets the switch back in the end
    with _strict_pillow:
        switch = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            image.load()
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = switch


def _to_rgb(image: "Image.Image", where: str) -> "Image.Image":
    if image.mode == "RGB":
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _upper_bytes(image).convert("RGB")
    if image.mode == "F":
        raise BadImage("unknown colours", where, "floating-point pixels")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns of what is lost, which is meant here
    return image.convert("RGB")


def _upper_bytes(image: "Image.Image") -> "Image.Image":
    """The upper byte of 16-bit grey values; Pillow's own conversion clips everything above 255 to white."""
    import numpy as np
    from PIL import Image

    values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray((values >> 8).astype(np.uint8))


def _bad(error: Exception, where: str) -> BadImage:
    detail = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    cut_off = isinstance(error, EOFError) or any(words in str(error).lower() for words in _CUT_OFF)
    return BadImage("truncated" if cut_off else "corrupt", where, detail)
