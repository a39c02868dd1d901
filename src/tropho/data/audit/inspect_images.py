"""Every image decoded once: can it be read, how large is it, what does it show."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
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

_MAKE, _MODEL, _CHANGED = 0x010F, 0x0110, 0x0132  # EXIF tags
_PHOTO, _TAKEN = 0x8769, 0x9003  # the block on the photo, and its tag


@dataclass(frozen=True)
class ImageInfo:
    """What one file holds; only `sha256` and `fault` are set where it can't be decoded."""

    path: str
    sha256: str
    fault: str = ""
    width: int = 0
    height: int = 0
    pixels: str = ""
    """Hash of the pixels as RGB, of more than 8 bits as they are: equal for one picture stored in two ways."""
    thumb: np.ndarray | None = None
    """(THUMB, THUMB) uint8, grey."""
    mode: str = ""
    """Colour mode of the file, such as L, RGB, CMYK."""
    format: str = ""
    frames: int = 1
    """Pictures in the file, of which the first is read: of an animation, a stack or a pyramid."""
    orientation: int = 1
    """By EXIF, 1 to 8: how the stored picture is to be turned."""
    depth: str = ""
    """integer | floating-point where the file holds more than 8 bits a channel, or signed values."""
    shades: np.ndarray | None = None
    """(256,) bool, where there is a depth: the grey levels that occur once it is scaled."""
    device: str = ""
    """Maker and model of the camera, by EXIF."""
    taken: float = math.nan
    """Seconds, by the camera's clock (EXIF); NaN where the file does not say."""
    signature: np.ndarray | None = None
    """What photos of one slide share (signature.signature), where it was asked for."""

    @property
    def mistyped(self) -> bool:
        """Whether the file's ending is that of another format."""
        return self.format not in FORMATS_BY_ENDING.get(ending_of(self.path), {self.format})


def inspect_images(
    raw: Path, paths: Iterable[str], signed: bool = False, decoding: Decoding = DECODING
) -> dict[str, ImageInfo]:
    """Decode each file below `raw`, on every core; the result is keyed by path, with signatures if asked for."""
    paths, budget = list(paths), PixelBudget()
    looks = in_threads(lambda path: _look(raw, path, signed, decoding, budget), track(paths, "Reading images"))
    return dict(zip(paths, looks, strict=True))


def value_range(raw: Path, paths: Iterable[str], max_megapixels: float) -> Range | None:
    """The least and greatest finite value of the images of more than 8 bits among these; None if none is."""
    budget = PixelBudget()

    def measure(path: str) -> Range | None:
        try:
            with budget.taking(image_size(raw / path)):
                deep = read_deep(raw / path, max_megapixels)
                return deep.range if deep else None
        except (DataError, OSError):  # listed when the file is looked at
            return None

    found = [each for each in in_threads(measure, list(paths)) if each is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _look(raw: Path, path: str, signed: bool, decoding: Decoding, budget: PixelBudget) -> ImageInfo:
    file = raw / path
    try:
        digest = sha256_of(file)
        size = image_size(file)
        facts = _facts(file)
        with budget.taking(size):
            return ImageInfo(path, digest, **facts, **_seen(file, signed, decoding))
    except DataError as error:
        return ImageInfo(path, digest, fault=str(error).replace(f"{file}", "the file"))
    except OSError as error:
        return ImageInfo(path, "", fault=f"the file can't be opened ({error.strerror}).")


def _facts(file: Path) -> dict[str, Any]:
    """Fields of a ImageInfo that stand in the header."""
    try:
        with Image.open(file) as header:
            return {
                "mode": header.mode,
                "format": header.format or "",
                "frames": _frames(header),
                "orientation": orientation_of(header),
                "device": device_of(header),
                "taken": taken_at(header),
            }
    except UnidentifiedImageError:  # a kind of TIFF that Pillow does not open, but OpenCV does
        return {"mode": "TIFF", "format": "TIFF"}


def _frames(header: Image.Image) -> int:
    """How many pictures a file holds, previews beside a JPEG (MPO) not counted; 1 where that can't be told."""
    try:
        return 1 if header.format == "MPO" else int(getattr(header, "n_frames", 1))
    except Exception:  # as Pillow's plugins have on damaged files
        return 1


def _seen(file: Path, signed: bool, decoding: Decoding) -> dict[str, Any]:
    """Fields of a ImageInfo that take its pixels."""
    deep = None if decoding.value_range is None else read_deep(file, decoding.max_megapixels)
    known: dict[str, Any] = {}
    if deep is None or decoding.value_range is None:
        pixels = read_image(file, decoding=decoding)
    else:
        pixels = deep.to_rgb(decoding.value_range)
        known["depth"] = "floating-point" if deep.values.dtype.kind == "f" else "integer"
        known["shades"] = np.bincount(pixels.ravel(), minlength=256) > 0
    height, width = pixels.shape[:2]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    thumb = thumbnail(grey)
    return {
        **known,
        "width": width,
        "height": height,
        "pixels": _hash(pixels, deep),
        "thumb": thumb,
        "signature": signature(pixels) if signed else None,
    }


def _hash(pixels: np.ndarray, deep: DeepPixels | None) -> str:
    """Of the values as they were stored, which scaling may make equal."""
    seen = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]}".encode())
    if deep is None:
        seen.update(np.ascontiguousarray(pixels).data)
        return seen.hexdigest()
    for _, block in deep.blocks():
        seen.update(np.ascontiguousarray(block).data)
    if deep.alpha is not None:
        seen.update(np.ascontiguousarray(deep.alpha).data)
    return seen.hexdigest()


def thumbnail(grey: np.ndarray) -> np.ndarray:
    """Scale a grey picture to (THUMB, THUMB)."""
    shrinking = min(grey.shape) >= THUMB
    return cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def device_of(header: Image.Image) -> str:
    """Maker and model as EXIF states them; empty where it states none, or is damaged (the pixels are not)."""
    try:
        exif = header.getexif()
        words = [str(exif.get(tag, "")).replace("\0", "") for tag in (_MAKE, _MODEL)]
    except Exception:
        return ""
    return " ".join(" ".join(words).split())


def taken_at(header: Image.Image) -> float:
    """When the photo was taken (failing that, last changed), seconds of its camera's clock; NaN if EXIF is silent."""
    try:
        exif = header.getexif()
        text = str(exif.get_ifd(_PHOTO).get(_TAKEN) or exif.get(_CHANGED, ""))
        return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except Exception:  # clocks never set ("0000:00:00 ...") and damaged blocks, like those in device_of
        return math.nan
