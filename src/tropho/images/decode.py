"""Strict decoding of image files to uint8 RGB: what is not a whole image of a known format raises DataError."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from tropho.errors import DataError
from tropho.images.bit_depth import DeepPixels, Range, channels, deep_pixels, is_deep, tiff_size

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "GIF", "WEBP", "PPM", "JPEG2000")
"""Formats that are opened; others start programs (EPS). Phones' MPO, a JPEG with a second image, opens as JPEG."""

Image.MAX_IMAGE_PIXELS = None  # too large images are refused here, by a setting
_MEGA = 1_000_000

_ORIENTATION = 0x0112  # the EXIF tag
_QUARTER_TURNS = (5, 6, 7, 8)  # its values that swap width and height
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_REFUSED = {"I": "32-bit or signed integer pixels", "F": "32-bit floating-point pixels"}
_NO_RANGE = "holds {}, whose range is unknown, since no training image has such; save it with 8 or 16 bits a channel."


@dataclass(frozen=True)
class Decoding:
    """How files are decoded, in training as in prediction."""

    max_megapixels: float = 178.0  # larger images are refused
    # values that become black and white in images of more than 8 bits; None keeps the upper 8 of 16
    value_range: Range | None = None

    @classmethod
    def recorded(cls, summary: dict[str, Any]) -> "Decoding":
        """Read the record of an audit's summary or a model's config."""
        value_range = summary.get("value_range")
        limit = summary.get("max_megapixels", cls.max_megapixels)
        return cls(limit, (value_range["low"], value_range["high"]) if value_range else None)

    def record(self) -> dict[str, Any]:
        """Return what `recorded` reads."""
        value_range = self.value_range and dict(zip(("low", "high"), self.value_range, strict=True))
        return {"max_megapixels": self.max_megapixels, "value_range": value_range}


DECODING = Decoding()  # without an audit


@dataclass(frozen=True)
class ImageReader:
    """Reads the images of a folder; raises as `read_image` does."""

    folder: Path
    decoding: Decoding = DECODING

    def read(self, path: str, min_long_side: int | None = None) -> np.ndarray:
        """Return (height, width, 3) uint8 RGB; see `read_image`."""
        return read_image(self.folder / path, min_long_side, self.decoding)

    def size(self, path: str) -> tuple[int, int]:
        """Return width and height in pixels, upright."""
        return image_size(self.folder / path)


def read_image(path: Path, min_long_side: int | None = None, decoding: Decoding = DECODING) -> np.ndarray:
    """Decode an image into (height, width, 3) uint8 RGB, upright by its EXIF orientation.

    Grey is repeated in the three channels, transparency is black, and of an animation the first frame is read.

    Args:
        path: the file; its ending does not matter.
        min_long_side: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if its longer side keeps this many pixels.
        decoding: limit of the size, and range of more than 8 bits a channel.

    Raises:
        DataError: the file is missing, truncated, damaged, too large or no image, or `decoding` has no range for it.
    """
    if decoding.value_range is not None:
        deep = read_deep(path, decoding.max_megapixels)
        if deep is not None:
            return deep.to_rgb(decoding.value_range)
    with _opened(path, decoding.max_megapixels) as image:
        if min_long_side is not None and image.format in ("JPEG", "MPO"):
            width, height = image.size
            scale = min_long_side / max(width, height)
            image.draft("RGB", (max(1, round(width * scale)), max(1, round(height * scale))))
        image.load()
        return _to_rgb(image if orientation_of(image) == 1 else ImageOps.exif_transpose(image), path)


def read_deep(path: Path, max_megapixels: float = DECODING.max_megapixels) -> DeepPixels | None:
    """Return the unscaled values of an image of more than 8 bits, None for any other; raises as `read_image` does."""
    try:
        with _opened(path, max_megapixels) as image:
            if not is_deep(image, path):
                return None
            image.load()
            return deep_pixels(image, path)
    except _OddTiffError:
        return channels(path)


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height, pixels, after EXIF rotation, from the header alone; raises as `read_image` does."""
    try:
        with _opened(path, math.inf) as image:
            width, height = image.size
            # TIFF answers with the size of the upright image, the other formats with the stored one.
            turned = image.format != "TIFF" and orientation_of(image) in _QUARTER_TURNS
            return (height, width) if turned else (width, height)
    except _OddTiffError as odd:
        return odd.size


def image_orientation(path: Path) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; raises as `read_image` does."""
    with _opened(path, math.inf) as image:
        return orientation_of(image)


@contextmanager
def _opened(path: Path, max_megapixels: float) -> Iterator[ImageFile.ImageFile]:
    """Open an image without decoding it; any error becomes a DataError."""
    try:
        # From a name, Pillow maps uncompressed TIFFs into memory by their upright size and scrambles those that lie.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            _check_size(path, image.size, max_megapixels)
            yield image
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except Exception as error:
        # Pillow's plugins let their own struct, zlib, index and value errors through on damaged files.
        if isinstance(error, UnidentifiedImageError) and (size := tiff_size(path)):
            _check_size(path, size, max_megapixels)
            raise _OddTiffError(path, size) from error
        raise DataError(f"{path} can't be read as an image: {_reason(error)}.") from error


class _OddTiffError(DataError):
    """A TIFF file that Pillow does not open, such as 64-bit floats; OpenCV may."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        super().__init__(f"{path} {_NO_RANGE.format('pixels of a kind that is not 8 or 16 bits')}")
        self.size = size


def _check_size(path: Path, size: tuple[int, int], max_megapixels: float) -> None:
    megapixels = size[0] * size[1] / _MEGA
    if megapixels > max_megapixels:
        raise DataError(
            f"{path} has {_few(megapixels)} megapixels, more than audit.max_megapixels ({max_megapixels:g}); raise it."
        )


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) where the EXIF block is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _few(number: float) -> str:
    """Format a number as an integer, or to three digits if it is small."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode in _REFUSED:
        raise DataError(f"{path} {_NO_RANGE.format(_REFUSED[image.mode])}")
    if image.mode in _SIXTEEN_BIT:
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.array(image.convert("RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not a " + ", ".join(FORMATS[:-1]) + f" or {FORMATS[-1]} file"
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
