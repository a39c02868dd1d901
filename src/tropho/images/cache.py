"""A cache of decoded, resized images in one memory-mapped file, so that epochs cost no decoding.

A cache is a folder: images.bin holds the images one after the other, index.parquet their offsets and sizes, and
cache.json what they were made from and the SHA-256 of both. Equal inputs give equal bytes.
"""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.files import atomic_folder, fingerprint, read_json, reading, sha256_of, write_json
from tropho.images.decode import DECODING, Decoding, image_size, read_image
from tropho.images.thread_pool import PixelBudget, in_threads
from tropho.log import info, track

VERSION = 1  # of the layout and of the way pixels are made; another version is written anew

JPEG_QUALITY = 95

FILES = ("images.bin", "index.parquet")
_INDEX = ["image_id", "offset", "bytes", "width", "height", "original_width", "original_height"]


def resize_long_side(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (h, w, 3) uint8 to a longer side of `size` pixels, by area averaging or, to enlarge, bicubic."""
    height, width = image.shape[:2]
    if max(height, width) == size:
        return image
    method = cv2.INTER_AREA if max(height, width) > size else cv2.INTER_CUBIC
    return cv2.resize(image, _resized((width, height), size), interpolation=method)


def resize_as_cached(image: np.ndarray, size: int, grayscale: bool = False) -> np.ndarray:
    """Resize (h, w, 3) uint8 RGB as a cache holds it; with `grayscale`, its three channels are equal."""
    resized = resize_long_side(image, size)
    return cv2.cvtColor(cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) if grayscale else resized


def write_cache(
    images: pd.DataFrame,
    raw: Path,
    to: Path,
    size: int,
    encoding: str = "raw",
    grayscale: bool = False,
    decoding: Decoding = DECODING,
) -> None:
    """Write the cache of a table of images; a complete cache of the same input is left as it is.

    Args:
        images: columns image_id and path; a column sha256, if present, saves hashing the files.
        raw: folder of the paths.
        to: folder of the cache.
        size: longer side of a cached image, pixels.
        encoding: "raw" (uint8, fastest), "png" (lossless) or "jpeg" (quality 95).
        grayscale: whether the three channels are made equal.
        decoding: how files are decoded.

    Raises:
        DataError: an image can't be read, or two images share an id.
    """
    duplicates = images["image_id"][images["image_id"].duplicated()]
    if len(duplicates):
        raise DataError(f"image_id '{duplicates.iloc[0]}' stands for two images; ids must be unique.")
    made_from = _made_from(images, raw, {"size": size, "encoding": encoding, "grayscale": grayscale}, decoding)
    if _is_current(to, made_from):
        return
    with atomic_folder(to) as folder:
        paths = [raw / path for path in images["path"]]
        budget = PixelBudget()

        def prepare(path: Path) -> tuple[bytes, tuple[int, ...]]:
            original = image_size(path)
            with budget.taking(original):
                image = resize_as_cached(read_image(path, size, decoding), size, grayscale)
            return _encode(image, encoding), (image.shape[1], image.shape[0], *original)

        rows: list[tuple[int, ...]] = []
        with (folder / "images.bin").open("wb") as file:
            for content, sizes in in_threads(prepare, track(paths, "Packing")):
                rows.append((file.tell(), len(content), *sizes))
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        index = pd.DataFrame(rows, columns=_INDEX[1:], dtype="int64")
        index.insert(0, "image_id", images["image_id"].astype("string").to_numpy())
        index.to_parquet(folder / "index.parquet", index=False)
        write_json(folder / "cache.json", {**made_from, "sha256": {name: sha256_of(folder / name) for name in FILES}})


class ImageCache:
    """Cached images by id; pickles by its arguments, so that a loader's worker maps the same file.

    `size` is the longer side to which images are shrunk as they are read, pixels; None leaves them as they are cached.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        if not (path / "cache.json").exists():
            raise DataError(f"{path} holds no image cache; run the augment stage, or `dvc repro`.")
        self.path = path
        record = read_json(path / "cache.json")
        with reading(path / "index.parquet"):
            index = pd.read_parquet(path / "index.parquet", columns=_INDEX)
        self.sha256: dict[str, str] = record["sha256"]  # of the cache's files, by name, as they were written
        self._encoding: str = record["encoding"]
        self._cached_size: int = record["size"]
        if size is not None and size > self._cached_size:
            raise ValueError(f"a cache of {self._cached_size} pixels can't be shrunk to {size}")
        self.size = size or self._cached_size  # longer side of every image, pixels
        self._row = {image_id: row for row, image_id in enumerate(index["image_id"])}
        self._index = index[_INDEX[1:]].to_numpy(dtype=np.int64)
        with reading(path / "images.bin"):
            total = int(index["bytes"].sum())  # an empty file can't be mapped
            self._bytes = np.memmap(path / "images.bin", np.uint8, "r", shape=total) if total else np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._row

    def __getitem__(self, image_id: str) -> np.ndarray:
        """Return the image as a new (height, width, 3) uint8 RGB array."""
        offset, length, width, height = (int(value) for value in self._entry(image_id)[:4])
        stored = self._bytes[offset : offset + length]
        if self._encoding == "raw":
            image: np.ndarray = np.array(stored).reshape(height, width, 3)
        else:
            decoded = cv2.imdecode(np.asarray(stored), cv2.IMREAD_COLOR)
            assert decoded is not None
            image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        return image if self.size == self._cached_size else resize_long_side(image, self.size)

    def __reduce__(self) -> tuple[Any, tuple[Path, int]]:
        return ImageCache, (self.path, self.size)

    def check(self) -> None:
        """Read the whole cache; raise DataError where it is not as it was written."""
        for name, digest in self.sha256.items():
            if sha256_of(self.path / name) != digest:
                raise DataError(
                    f"{self.path / name} is damaged: it is not what was written; run `tropho augment TASK`, which "
                    "packs the images again."
                )

    @property
    def image_ids(self) -> list[str]:
        """Every id, in the order of the table."""
        return list(self._row)

    def size_of(self, image_id: str) -> tuple[int, int]:
        """Return width and height of the image as it is read from the cache, pixels."""
        size = int(self._entry(image_id)[2]), int(self._entry(image_id)[3])
        return size if self.size == self._cached_size else _resized(size, self.size)

    def original_size(self, image_id: str) -> tuple[int, int]:
        """Return width and height of the image as decoded from its file, pixels."""
        *_, width, height = self._entry(image_id)
        return int(width), int(height)

    def scale(self, image_id: str) -> tuple[float, float]:
        """Return cached pixels per original pixel along x and y, which differ a little by rounding."""
        (width, height), (original_width, original_height) = self.size_of(image_id), self.original_size(image_id)
        return width / original_width, height / original_height

    def _entry(self, image_id: str) -> np.ndarray:
        try:
            entry: np.ndarray = self._index[self._row[image_id]]
        except KeyError:
            raise DataError(f"Image '{image_id}' is not in {self.path}; run the augment stage again.") from None
        return entry


def _resized(size: tuple[int, int], longer: int) -> tuple[int, int]:
    """Return the width and height of an image resized to a longer side, aspect kept to the nearest pixel."""
    return max(1, round(size[0] * longer / max(size))), max(1, round(size[1] * longer / max(size)))


def _made_from(images: pd.DataFrame, raw: Path, how: dict[str, Any], decoding: Decoding) -> dict[str, Any]:
    if decoding.value_range is not None:
        how = {**how, "value_range": list(decoding.value_range)}
    hashes = images["sha256"] if "sha256" in images else pd.Series(None, index=images.index, dtype="object")
    content = [
        (image_id, known if pd.notna(known) else _hash(raw / path))
        for image_id, path, known in zip(images["image_id"], images["path"], hashes, strict=True)
    ]
    made_from = {"version": VERSION, **how, "images": len(images)}
    return {**made_from, "fingerprint": fingerprint([made_from, content])}


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}.") from None


def _is_current(to: Path, made_from: dict[str, Any]) -> bool:
    """Tell whether the folder holds an undamaged cache of the same input."""
    if not to.exists():
        return False
    try:
        record = read_json(to / "cache.json")
        if {**record, "sha256": None} != {**made_from, "sha256": None}:
            return False
        ImageCache(to).check()
    except DataError:
        info(f"{to} is damaged, or of another version of Tropho; the images are packed again.")
        return False
    return True


def _encode(image: np.ndarray, encoding: str) -> bytes:
    if encoding == "raw":
        return image.tobytes()
    png, jpeg = [cv2.IMWRITE_PNG_COMPRESSION, 3], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    options = {"png": png, "jpeg": jpeg}[encoding]
    _, encoded = cv2.imencode(f".{encoding}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return encoded.tobytes()
