"""Every image decoded once: can it be read, how large is it, what does it show."""

import hashlib
import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tropho.audit.signature import signature
from tropho.errors import DataError
from tropho.files import sha256_of
from tropho.images.decode import ENDINGS, read_image
from tropho.progress import track

THUMB = 32  # pixels; side of the thumbnails that perceptual hashes and comparisons are made of

_MAKE, _MODEL, _CHANGED = 0x010F, 0x0110, 0x0132  # EXIF tags
_PHOTO, _TAKEN = 0x8769, 0x9003  # the block on the photo, and its tag


@dataclass(frozen=True)
class Look:
    """What one file holds; only `sha256` and `fault` are set where it can't be decoded."""

    path: str
    sha256: str
    fault: str = ""
    width: int = 0
    height: int = 0
    pixels: str = ""
    """Hash of the decoded RGB pixels: equal for one picture stored in two ways."""
    phash: int = 0
    thumb: np.ndarray | None = None
    """(THUMB, THUMB) uint8, grey."""
    mode: str = ""
    """Colour mode of the file, such as L, RGB, CMYK."""
    format: str = ""
    device: str = ""
    """Maker and model of the camera, by EXIF."""
    taken: float = math.nan
    """Seconds, by the camera's clock (EXIF); NaN where the file does not say."""
    signature: np.ndarray | None = None
    """What photos of one slide share (signature.signature), where it was asked for."""

    @property
    def mistyped(self) -> bool:
        """Whether the file's ending is that of another format."""
        return self.format not in ENDINGS.get(Path(self.path).suffix.lower(), {self.format})


def look_at(raw: Path, paths: Iterable[str], signed: bool = False) -> dict[str, Look]:
    """Decode each file below `raw`, on every core; the result is keyed by path, with signatures if asked for."""
    paths = list(paths)
    # Decoding and hashing release the GIL, so threads use every core and copy no pixels.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = pool.map(lambda path: _look(raw, path, signed), paths)
        return {path: next(looks) for path in track(paths, "Reading images")}


def _look(raw: Path, path: str, signed: bool) -> Look:
    file = raw / path
    try:
        digest = sha256_of(file)
        pixels = read_image(file)
        with Image.open(file) as header:
            mode, form = header.mode, header.format or ""
            device, taken = device_of(header), taken_at(header)
    except DataError as error:
        return Look(path, digest, fault=str(error).replace(f"{file}", "the file"))
    except OSError as error:
        return Look(path, "", fault=f"the file can't be opened ({error.strerror}).")
    height, width = pixels.shape[:2]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    thumb = cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    seen = hashlib.sha256(f"{width}x{height}".encode())
    seen.update(np.ascontiguousarray(pixels).data)
    return Look(
        path,
        digest,
        width=width,
        height=height,
        pixels=seen.hexdigest(),
        phash=perceptual_hash(thumb),
        thumb=thumb,
        mode=mode,
        format=form,
        device=device,
        taken=taken,
        signature=signature(pixels) if signed else None,
    )


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


def perceptual_hash(thumb: np.ndarray) -> int:
    """64 bits of a (THUMB, THUMB) grey picture that survive scaling, re-encoding and changes of brightness.

    A bit says whether one of the 8 x 8 lowest frequencies of its cosine transform is above their median (the
    constant one left out of the median).
    """
    low = cv2.dct(thumb.astype(np.float32))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")
