"""Images decoded and resized once, kept in one memory-mapped file so that epochs cost no decoding.

A pack is a folder: images.bin holds the images one behind the other, index.parquet where each begins and its
sizes, cache.json what it was made from and the SHA-256 of both. Threads make the images, but they are written in the
order of the table, so equal inputs give equal bytes.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.files import atomic_folder, fingerprint, read_json, reading, sha256_of, write_json
from tropho.images.decode import DECODING, Decoding, image_size, read_image
from tropho.images.thread_pool import PixelBudget, in_threads
from tropho.log import info, track

VERSION = 1  # of the layout and of the way pixels are made; another version repacks
JPEG_QUALITY = 95

FILES = ("images.bin", "index.parquet")
_INDEX = ["image_id", "offset", "bytes", "width", "height", "original_width", "original_height"]


def resize_long_side(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (h, w, 3) uint8 so that its longer side is `size` pixels, aspect kept to the nearest pixel.

    Shrinks by area averaging. Smaller images are enlarged (bicubic), so that a cell of 50 px and one of 200
    px reach the model at one scale.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer == size:
        return image
    wanted = (max(1, round(width * size / longer)), max(1, round(height * size / longer)))
    return cv2.resize(image, wanted, interpolation=cv2.INTER_AREA if longer > size else cv2.INTER_CUBIC)


def resize_as_cached(image: np.ndarray, size: int, grey: bool = False) -> np.ndarray:
    """An image (h, w, 3) uint8 RGB as a pack holds it: longer side `size`, without its colours if `grey`."""
    resized = resize_long_side(image, size)
    return cv2.cvtColor(cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) if grey else resized


def read_resized(
    path: Path, size: int, grey: bool = False, decoding: Decoding = DECODING
) -> tuple[np.ndarray, tuple[int, int]]:
    """An image file as a pack holds it, (h, w, 3) uint8 with longer side `size`, and its own (width, height).

    Raises DataError as `read_image` does.
    """
    original = image_size(path)
    return resize_as_cached(read_image(path, size, decoding), size, grey), original


def write_cache(
    images: pd.DataFrame,
    raw: Path,
    to: Path,
    size: int,
    encoding: str = "raw",
    grey: bool = False,
    decoding: Decoding = DECODING,
) -> None:
    """ImageCache images into the folder `to`, whole or not at all; a pack of the same input is left as it is.

    Args:
        images: columns image_id and path (below `raw`); a column sha256, if present, saves hashing the files.
        raw: folder that the paths start from.
        to: the pack's folder.
        size: longer side of a packed image, pixels.
        encoding: "raw" (uint8, fastest), "png" (lossless) or "jpeg" (quality 95).
        grey: whether colours are dropped; the three channels are then equal.
        decoding: how the files become pixels.

    Raises:
        DataError: an image can't be read (it is named), or two images share an id.
    """
    doubled = images["image_id"][images["image_id"].duplicated()]
    if len(doubled):
        raise DataError(f"image_id '{doubled.iloc[0]}' stands for two images; ids must be unique.")
    how: dict[str, Any] = {"size": size, "encoding": encoding, "grey": grey}
    if decoding.value_range is not None:
        how["value_range"] = list(decoding.value_range)
    made_from = _made_from(images, raw, how)
    if _is_current(to, made_from):
        return
    with atomic_folder(to) as folder:
        paths = [raw / path for path in images["path"]]
        budget = PixelBudget()

        def prepare(path: Path) -> tuple[bytes, tuple[int, ...]]:
            with budget.taking(image_size(path)):
                image, original = read_resized(path, size, grey, decoding)
            return _encode(image, encoding), (image.shape[1], image.shape[0], *original)

        with (folder / "images.bin").open("wb") as file:
            rows = _append(file, in_threads(prepare, track(paths, "Packing")))
            file.flush()
            os.fsync(file.fileno())
        index = pd.DataFrame(rows, columns=_INDEX[1:], dtype="int64")
        index.insert(0, "image_id", images["image_id"].astype("string").to_numpy())
        index.to_parquet(folder / "index.parquet", index=False)
        write_json(folder / "cache.json", {**made_from, "sha256": {name: sha256_of(folder / name) for name in FILES}})


class ImageCache:
    """Packed images by id. Pickles as its path: a loader's worker maps the same file again."""

    def __init__(self, path: Path) -> None:
        if not (path / "cache.json").exists():
            raise DataError(f"{path} holds no pack; run the augment stage, or `dvc repro`.")
        self.path = path
        record = read_json(path / "cache.json")
        with reading(path / "index.parquet"):
            index = pd.read_parquet(path / "index.parquet", columns=_INDEX)
        self.sha256: dict[str, str] = record["sha256"]
        """Of the pack's files, by name, as they were written."""
        self._encoding: str = record["encoding"]
        self.size: int = record["size"]
        """Longer side of every image, pixels."""
        self._row = {image_id: row for row, image_id in enumerate(index["image_id"])}
        self._index = index[_INDEX[1:]].to_numpy(dtype=np.int64)
        with reading(path / "images.bin"):
            size = int(index["bytes"].sum())  # an empty file can't be mapped
            self._bytes = np.memmap(path / "images.bin", np.uint8, "r", shape=size) if size else np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._row

    def __getitem__(self, image_id: str) -> np.ndarray:
        """The image as a fresh (height, width, 3) uint8 RGB array."""
        offset, length, width, height = (int(value) for value in self._entry(image_id)[:4])
        stored = self._bytes[offset : offset + length]
        if self._encoding == "raw":
            return np.array(stored).reshape(height, width, 3)
        return cv2.cvtColor(cv2.imdecode(np.asarray(stored), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.__init__(path)  # type: ignore[misc]

    def check(self) -> None:
        """Read the whole pack once; raise DataError where it is not as it was written."""
        for name, digest in self.sha256.items():
            if sha256_of(self.path / name) != digest:
                raise DataError(
                    f"{self.path / name} is damaged: it is not what was written; run `tropho augment TASK`, which "
                    "packs the images again."
                )

    @property
    def image_ids(self) -> list[str]:
        """Every id, in the order of packing."""
        return list(self._row)

    def size_of(self, image_id: str) -> tuple[int, int]:
        """Width and height of the packed image, pixels."""
        _, _, width, height, _, _ = self._entry(image_id)
        return int(width), int(height)

    def original_size(self, image_id: str) -> tuple[int, int]:
        """Width and height of the image as decoded from its file, pixels."""
        *_, width, height = self._entry(image_id)
        return int(width), int(height)

    def scale(self, image_id: str) -> tuple[float, float]:
        """Packed pixels per original pixel along x and y, which differ a little by rounding."""
        _, _, width, height, original_width, original_height = self._entry(image_id)
        return float(width / original_width), float(height / original_height)

    def _entry(self, image_id: str) -> np.ndarray:
        try:
            return self._index[self._row[image_id]]
        except KeyError:
            raise DataError(f"Image '{image_id}' is not in {self.path}; run the augment stage again.") from None


def _made_from(images: pd.DataFrame, raw: Path, how: dict[str, Any]) -> dict[str, Any]:
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
    """Tell whether the folder holds a pack that was made from the same, and is as it was written."""
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
    options = {
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
        "jpeg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    }[encoding]
    _, encoded = cv2.imencode(f".{encoding}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return encoded.tobytes()


def _append(file: BinaryIO, packed: Iterable[tuple[bytes, tuple[int, ...]]]) -> list[tuple[int, ...]]:
    rows, offset = [], 0
    for content, sizes in packed:
        rows.append((offset, file.write(content), *sizes))
        offset += len(content)
    return rows
