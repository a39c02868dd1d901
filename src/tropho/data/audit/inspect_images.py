"""Decode every image once: whether it can be read, how large it is, what it shows."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from tropho.data.audit.slide_features import signature
from tropho.errors import DataError
from tropho.files import sha256_of
from tropho.images.bit_depth import DeepPixels, Range
from tropho.images.decode import DECODING, Decoding, image_size, orientation_of, read_deep, read_image
from tropho.images.file_types import FORMATS_BY_ENDING, ending_of
from tropho.images.thread_pool import PixelBudget, in_threads
from tropho.log import track

THUMB = 64  # pixels; side of the thumbnails in which near-duplicates are looked for
_MAKE, _MODEL = 0x010F, 0x0110  # EXIF tags


@dataclass(frozen=True)
class ImageInfo:
    """What one file holds; only `sha256` and `fault` are set where it can't be decoded."""

    path: str  # below the folder of the images
    sha256: str
    fault: str = ""  # why it can't be decoded; empty if it can
    width: int = 0  # pixels, upright
    height: int = 0
    pixels: str = ""  # hash of the pixels as RGB, of more than 8 bits as they are stored
    thumb: np.ndarray | None = None  # (THUMB, THUMB) uint8, grey
    mode: str = ""  # colour mode of the file, such as L, RGB, CMYK
    format: str = ""
    frames: int = 1  # pictures in the file (animation, stack, pyramid), of which the first is read
    orientation: int = 1  # by EXIF, 1 to 8
    depth: str = ""  # integer | floating-point where the file holds more than 8 bits a channel, or signed values
    # (256,) bool, of an image with a depth: the grey levels that occur once it is scaled
    shades: np.ndarray | None = None
    device: str = ""  # maker and model of the camera, by EXIF
    signature: np.ndarray | None = None  # result of slide_features.signature, where it was asked for

    @property
    def mistyped(self) -> bool:
        """Tell whether the file's ending is that of another format."""
        return self.format not in FORMATS_BY_ENDING.get(ending_of(self.path), {self.format})


def inspect_images(
    raw: Path, paths: Iterable[str], with_signature: bool = False, decoding: Decoding = DECODING
) -> dict[str, ImageInfo]:
    """Decode each file below `raw`, on every core; return what they hold, by path."""
    paths, budget = list(paths), PixelBudget()
    infos = in_threads(
        lambda path: _inspect(raw, path, with_signature, decoding, budget), track(paths, "Reading images")
    )
    return dict(zip(paths, infos, strict=True))


def value_range(raw: Path, paths: Iterable[str], max_megapixels: float) -> Range | None:
    """Find the least and greatest finite value of the images of more than 8 bits; None if none is."""
    budget = PixelBudget()

    def measure(path: str) -> Range | None:
        try:
            with budget.taking(image_size(raw / path)):
                deep = read_deep(raw / path, max_megapixels)
                return deep.range if deep else None
        except (DataError, OSError):  # listed when the image is inspected
            return None

    ranges = [limits for limits in in_threads(measure, list(paths)) if limits is not None]
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None


def thumbnail(grey: np.ndarray) -> np.ndarray:
    """Scale a grey image to (THUMB, THUMB)."""
    shrinking = min(grey.shape) >= THUMB
    return cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def device_of(header: Image.Image) -> str:
    """Return maker and model by EXIF; empty where it states none or is damaged."""
    try:
        exif = header.getexif()
        words = [str(exif.get(tag, "")).replace("\0", "") for tag in (_MAKE, _MODEL)]
    except Exception:
        return ""
    return " ".join(" ".join(words).split())


def _inspect(raw: Path, path: str, with_signature: bool, decoding: Decoding, budget: PixelBudget) -> ImageInfo:
    file, digest = raw / path, ""
    try:
        digest = sha256_of(file)
        size = image_size(file)
        facts = _header_facts(file)
        with budget.taking(size):
            return ImageInfo(path, digest, **facts, **_pixel_facts(file, with_signature, decoding))
    except DataError as error:
        return ImageInfo(path, digest, fault=str(error).replace(f"{file}", "the file"))
    except OSError as error:
        return ImageInfo(path, "", fault=f"the file can't be opened ({error.strerror}).")


def _header_facts(file: Path) -> dict[str, Any]:
    """Return the fields of ImageInfo that stand in the header."""
    try:
        with Image.open(file) as header:
            return {
                "mode": header.mode,
                "format": header.format or "",
                "frames": _frames(header),
                "orientation": orientation_of(header),
                "device": device_of(header),
            }
    except UnidentifiedImageError:  # a kind of TIFF that Pillow does not open, but OpenCV does
        return {"mode": "TIFF", "format": "TIFF"}


def _frames(header: Image.Image) -> int:
    """Count the pictures in a file, without previews beside a JPEG (MPO); 1 where that is unknown."""
    try:
        return 1 if header.format == "MPO" else int(getattr(header, "n_frames", 1))
    except Exception:  # as Pillow's plugins have on damaged files
        return 1


def _pixel_facts(file: Path, with_signature: bool, decoding: Decoding) -> dict[str, Any]:
    """Return the fields of ImageInfo that take its pixels."""
    deep = None if decoding.value_range is None else read_deep(file, decoding.max_megapixels)
    facts: dict[str, Any] = {}
    if deep is None or decoding.value_range is None:
        pixels = read_image(file, decoding=decoding)
    else:
        pixels = deep.to_rgb(decoding.value_range)
        facts["depth"] = "floating-point" if deep.values.dtype.kind == "f" else "integer"
        facts["shades"] = np.bincount(pixels.ravel(), minlength=256) > 0
    facts["height"], facts["width"] = pixels.shape[:2]
    facts["pixels"] = _pixel_hash(pixels, deep)
    facts["thumb"] = thumbnail(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return {**facts, "signature": signature(pixels) if with_signature else None}


def _pixel_hash(pixels: np.ndarray, deep: DeepPixels | None) -> str:
    """Hash the values as they were stored, which scaling may make equal."""
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]}".encode())
    blocks = [pixels] if deep is None else (block for _, block in deep.blocks())
    for block in blocks:
        digest.update(np.ascontiguousarray(block).data)
    if deep is not None and deep.alpha is not None:
        digest.update(np.ascontiguousarray(deep.alpha).data)
    return digest.hexdigest()
