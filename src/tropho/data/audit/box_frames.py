"""Which picture the boxes were drawn in: upright as it is shown, as it is stored, or a resized copy of either.

Cameras store a photo as the sensor lay and say by EXIF how to turn it. Some tools draw boxes on the turned
picture and some on the stored one, so a turned file's boxes may have the right size in the wrong place. The size
that the labels state tells the two apart, as do boxes that fit into only one of them; where neither does, the
other images of the data set do, if they agree.
"""

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.formats.labels import IssueLog
from tropho.orientation import SYMMETRIES, UPRIGHT, turn_boxes
from tropho.tables import BOX

STORED, UPRIGHT_FRAME = "stored", "upright"
_SLACK = 1.0  # pixels that a box may reach over the edge, by rounding
_BEYOND = 0.05  # share of a side by which a box that belongs to another picture reaches over the edge at least


@dataclass(frozen=True)
class _Photo:
    """A decoded image and what its labels say of it."""

    image_id: str
    path: str
    subset: str
    upright: tuple[int, int]
    turn: str
    """By the name of symmetries.SYMMETRIES, from the stored picture to the upright one."""
    stated: tuple[int, int] | None
    boxes: np.ndarray
    """(n, 4) xyxy."""
    shares: bool
    """Whether the labels hold shares of the picture, taken of the upright one."""

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height of the picture as it is stored."""
        return self.upright[::-1] if SYMMETRIES[self.turn][0] else self.upright

    def over(self, size: tuple[int, int]) -> float:
        """By how many pixels the boxes reach over the right or lower edge of a picture of this size, at most."""
        return float(np.max(self.boxes[:, 2:] - np.array(size), initial=0.0))


def resolve_box_frames(
    images: pd.DataFrame, boxes: pd.DataFrame, looks: dict[str, ImageInfo], log: IssueLog, shares: Container[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame, str | None]:
    """Bring every box into the frame of the upright image, or quarantine its image; each is listed.

    Args:
        images: image_id, path, subset, status, stated_width, stated_height.
        boxes: formats.labels.LABELLED_BOXES.
        looks: what the files hold, by path.
        log: gets an issue for every image whose boxes are changed or not used, or whose stated size is wrong.
        shares: ids of images whose labels hold shares of the picture, which its reader took of the upright one; such
            boxes fit into any frame and need no scaling.

    Returns:
        images and boxes; and the frame ("stored" or "upright") that the labels of turned photos use, None where
        there are none or they disagree.
    """
    photos = _photos(images, boxes, looks, shares)
    told = {photo.image_id: _frame(photo) for photo in photos if photo.turn != "identity"}
    votes = Counter(frame for frame in told.values() if frame)
    common = next(iter(votes)) if len(votes) == 1 else None
    images, boxes = images.copy(), boxes.copy()
    corners = {}
    for photo in photos:
        frame = UPRIGHT_FRAME if photo.turn == "identity" else told[photo.image_id] or common
        if len(photo.boxes) == 0:
            if photo.stated not in (None, photo.upright, photo.stored):
                log.add("size_mismatch", "listed", f"{_mismatch(photo)}.", photo.image_id, photo.path)
            continue
        moved, kind, detail = _moved(photo, frame)
        if moved is None:
            log.add(kind, "quarantined", detail, photo.image_id, photo.path)
            own = (images["image_id"] == photo.image_id) & (images["status"] == "ok")
            images.loc[own, "status"] = "unlabelled"
        elif kind:
            log.add(kind, "repaired", detail, photo.image_id, photo.path)
            corners[photo.image_id] = moved
    for image_id, values in corners.items():
        boxes.loc[boxes["image_id"] == image_id, BOX] = values
    return images, boxes, common


def _photos(
    images: pd.DataFrame, boxes: pd.DataFrame, looks: dict[str, ImageInfo], shares: Container[str]
) -> list[_Photo]:
    own = {image_id: rows[BOX].to_numpy("float64") for image_id, rows in boxes.groupby("image_id")}
    photos = []
    rows: Iterable[Any] = images.itertuples()
    for image in rows:
        look = looks.get(str(image.path))
        if look is None or look.fault:
            continue
        stated = (image.stated_width, image.stated_height)
        photos.append(
            _Photo(
                str(image.image_id),
                str(image.path),
                str(image.subset),
                (look.width, look.height),
                UPRIGHT[look.orientation],
                None if any(pd.isna(side) or side < 1 for side in stated) else (int(stated[0]), int(stated[1])),
                own.get(image.image_id, np.zeros((0, 4))),
                str(image.image_id) in shares,
            )
        )
    return photos


def _frame(photo: _Photo) -> str | None:
    """The frame of a turned photo's boxes; None where the photo alone does not tell."""
    pair = (photo.stored, photo.upright)
    if photo.stored == photo.upright:
        return None
    if photo.stated in pair:
        fitting = [photo.stated == size for size in pair]
    elif photo.stated is not None:
        fitting = [_scale(photo.stated, size) is not None for size in pair]
    elif photo.shares:
        return None
    else:
        far = _BEYOND * min(photo.upright)
        over = [photo.over(size) for size in pair]
        fitting = [over[0] <= _SLACK and over[1] > far, over[1] <= _SLACK and over[0] > far]
    if fitting[0] == fitting[1]:
        return None
    return STORED if fitting[0] else UPRIGHT_FRAME


def _scale(stated: tuple[int, int], size: tuple[int, int]) -> tuple[float, float] | None:
    """Pixels of the file per pixel of the labels, along x and y; None where the shapes differ by more than rounding."""
    width, height = stated
    if abs(width - size[0] * height / size[1]) > 1 and abs(height - size[1] * width / size[0]) > 1:
        return None
    return size[0] / width, size[1] / height


def _moved(photo: _Photo, frame: str | None) -> tuple[np.ndarray | None, str, str]:
    """Boxes in the upright frame (None where that can't be known), the kind of issue ("" for none), a sentence."""
    size = photo.stored if frame == STORED else photo.upright
    stated = photo.stated or size
    scale = _scale(stated, size)
    if photo.shares and scale is not None:
        stated = size
    if scale is None or (stated != size and photo.over(stated) > _SLACK):
        return None, "size_mismatch", f"{_mismatch(photo)}; where its boxes belong is unknown, so they are not used."
    if frame is None:
        return None, "unknown_frame", _UNKNOWN
    values = photo.boxes if stated == size else photo.boxes * np.tile(scale, 2)
    if photo.shares:
        values = values * np.tile(np.divide(size, photo.upright), 2)
    words = []
    if stated != size:
        words.append(f"scaled from the {stated[0]}x{stated[1]} pixels that the labels state")
    if frame == STORED:
        values = turn_boxes(values, photo.turn, *size)
        words.append("turned as EXIF turns the picture, for they were drawn on it as it is stored")
    if not words:
        return values, "", ""
    kind = "turned_boxes" if frame == STORED else "scaled_boxes"
    return values, kind, f"Its boxes were {' and '.join(words)}."


_UNKNOWN = (
    "EXIF turns the picture, and nothing tells whether its boxes were drawn before or after the turn; turn the pixels "
    "and remove the tag, or state the images' sizes (audit.image_sizes_csv)."
)


def _mismatch(photo: _Photo) -> str:
    width, height = photo.stated or photo.upright
    return f"The labels state {width}x{height} pixels, the file has {photo.upright[0]}x{photo.upright[1]}"
