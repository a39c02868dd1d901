"""Repair boxes: bring them into the upright image, clip them, drop those without area, list or merge duplicates.

Cameras store a photo as the sensor lay and say by EXIF how to turn it; some tools draw boxes on the stored picture.
The size that labels state tells the frame, as do boxes that fit into one alone, or else the other images.
"""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage

from tropho.boxes.box_ops import pair_iou
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.formats.label_collector import IssueLog
from tropho.orientation import SYMMETRIES, UPRIGHT, turn_boxes
from tropho.tables import BOX, is_region

MIN_BOX_SIZE = 1.0  # pixels; thinner boxes are dropped and listed
STORED_FRAME, UPRIGHT_FRAME = "stored", "upright"
_SLACK = 1.0  # pixels that a box may reach over the edge, by rounding
_BEYOND = 0.05  # share of a side by which a box that belongs to another picture reaches over the edge at least
_UNKNOWN = (
    "EXIF rotates the photo, and it is unknown whether its boxes were drawn before or after that; turn the pixels "
    "and remove the tag, or state the images' sizes (audit.image_sizes_csv)."
)
Size = tuple[int, int]  # width and height, pixels


@dataclass(frozen=True)
class _Photo:
    """A decoded image and what its labels say of it."""

    image_id: str
    path: str
    upright: Size  # size as it is shown
    stored: Size  # size of the picture as it is stored
    turn: str  # name in SYMMETRIES of the turn from the stored picture to the upright one
    stated: Size | None  # size by the labels
    boxes: np.ndarray  # (n, 4) float64 xyxy
    is_relative: bool  # whether the labels hold shares of the picture, which the reader took of the upright one

    @property
    def mismatch(self) -> str:
        """Say that the stated size is not the file's."""
        width, height = self.stated or self.upright
        return f"The labels state {width}x{height} pixels, the file has {self.upright[0]}x{self.upright[1]}"

    def overhang(self, size: Size) -> float:
        """Measure by how many pixels boxes reach over the right or lower edge of a picture, at most."""
        return float(np.max(self.boxes[:, 2:] - np.array(size), initial=0.0))


def resolve_box_frames(
    images: pd.DataFrame, boxes: pd.DataFrame, infos: dict[str, ImageInfo], log: IssueLog, relative: Container[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame, str | None]:
    """Bring every box (LABELLED_BOXES) into the frame of the upright image, or quarantine its image; log either.

    `images` has image_id, path, status, stated_width and stated_height; `relative` are ids of images whose labels hold
    shares of the picture. An image without boxes is logged if its stated size is wrong.

    Returns:
        Images, boxes, and the frame ("stored" | "upright") of turned photos; None without such or if they differ.
    """
    photos = _photos(images, boxes, infos, relative)
    frames = {photo.image_id: _frame(photo) for photo in photos if photo.turn != "identity"}
    votes = Counter(frame for frame in frames.values() if frame)
    common = next(iter(votes)) if len(votes) == 1 else None
    images, boxes = images.copy(), boxes.copy()
    for photo in photos:
        if len(photo.boxes) == 0:
            if photo.stated not in (None, photo.upright, photo.stored):
                log.add("size_mismatch", "listed", f"{photo.mismatch}.", photo.image_id, photo.path)
            continue
        frame = UPRIGHT_FRAME if photo.turn == "identity" else frames[photo.image_id] or common
        corners, kind, detail = _to_upright(photo, frame)
        if corners is None:
            log.add(kind, "quarantined", detail, photo.image_id, photo.path)
            own = (images["image_id"] == photo.image_id) & (images["status"] == "ok")
            images.loc[own, "status"] = "unlabelled"
        elif kind:
            log.add(kind, "repaired", detail, photo.image_id, photo.path)
            boxes.loc[boxes["image_id"] == photo.image_id, BOX] = corners
    return images, boxes, common


def _photos(
    images: pd.DataFrame, boxes: pd.DataFrame, infos: dict[str, ImageInfo], relative: Container[str]
) -> list[_Photo]:
    corners = {image_id: rows[BOX].to_numpy("float64") for image_id, rows in boxes.groupby("image_id")}
    photos = []
    row: Any
    for row in images.itertuples():
        info = infos.get(str(row.path))
        if info is None or info.fault:
            continue
        image_id, stated = str(row.image_id), (row.stated_width, row.stated_height)
        size = None if any(pd.isna(side) or side < 1 for side in stated) else (int(stated[0]), int(stated[1]))
        own, turn, upright = (
            corners.get(image_id, np.zeros((0, 4))),
            UPRIGHT[info.orientation],
            (info.width, info.height),
        )
        stored = upright[::-1] if SYMMETRIES[turn][0] else upright
        photos.append(_Photo(image_id, info.path, upright, stored, turn, size, own, image_id in relative))
    return photos


def _frame(photo: _Photo) -> str | None:
    """Find the frame of a turned photo's boxes; None where the photo alone does not tell."""
    pair = (photo.stored, photo.upright)
    if photo.stored == photo.upright:
        return None
    if photo.stated in pair:
        fits = [photo.stated == size for size in pair]
    elif photo.stated is not None:
        fits = [_scale(photo.stated, size) is not None for size in pair]
    elif photo.is_relative:
        return None
    else:
        far = _BEYOND * min(photo.upright)
        stored, upright = (photo.overhang(size) for size in pair)
        fits = [stored <= _SLACK and upright > far, upright <= _SLACK and stored > far]
    if fits[0] == fits[1]:
        return None
    return STORED_FRAME if fits[0] else UPRIGHT_FRAME


def _scale(stated: Size, size: Size) -> tuple[float, float] | None:
    """Return pixels of the file per pixel of the labels, (x, y); None where shapes differ by more than rounding."""
    width, height = stated
    if abs(width - size[0] * height / size[1]) > 1 and abs(height - size[1] * width / size[0]) > 1:
        return None
    return size[0] / width, size[1] / height


def _to_upright(photo: _Photo, frame: str | None) -> tuple[np.ndarray | None, str, str]:
    """Return boxes in the upright frame (None where unknown), the kind of issue ("" for none), and a sentence."""
    size = photo.stored if frame == STORED_FRAME else photo.upright
    stated = photo.stated or size
    scale = _scale(stated, size)
    if photo.is_relative and scale is not None:
        stated = size
    if scale is None or (stated != size and photo.overhang(stated) > _SLACK):
        return None, "size_mismatch", f"{photo.mismatch}; where its boxes belong is unknown, so they are not used."
    if frame is None:
        return None, "unknown_frame", _UNKNOWN
    boxes = photo.boxes if stated == size else photo.boxes * np.tile(scale, 2)
    if photo.is_relative:
        boxes = boxes * np.tile(np.divide(size, photo.upright), 2)
    changes = []
    if stated != size:
        changes.append(f"scaled from the {stated[0]}x{stated[1]} pixels that the labels state")
    if frame == STORED_FRAME:
        boxes = turn_boxes(boxes, photo.turn, *size)
        changes.append("rotated with the photo, since they were drawn on it as it is stored")
    if not changes:
        return boxes, "", ""
    kind = "turned_boxes" if frame == STORED_FRAME else "scaled_boxes"
    return boxes, kind, f"Its boxes were {' and '.join(changes)}."


def clip_boxes(boxes: pd.DataFrame, sizes: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    """Clip boxes (LABELLED_BOXES) to their image and drop those of which too little is left; log each.

    `sizes` has width and height in pixels by image_id; boxes of an unknown size are only checked for area.
    """
    boxes = _drop(boxes, _sides(boxes).min(axis=1) <= 0, "zero_area", "has no area", log)
    size = sizes.reindex(boxes["image_id"])[["width", "height"]].to_numpy("float64", na_value=np.inf)
    before = boxes[BOX].to_numpy("float64")
    after = clip_corners(before, size)
    outside = (after[:, 2] <= after[:, 0]) | (after[:, 3] <= after[:, 1])
    changed = (before != after).any(axis=1) & ~outside
    for box, corners, limit in zip(boxes[changed].itertuples(), after[changed], size[changed], strict=True):
        detail = f"{box_text(box)} reaches over the {limit[0]:g}x{limit[1]:g} image; cut to {corners_text(corners)}."
        log.add("clipped", "clipped", detail, box.image_id, box.file, box.row)
    boxes = _drop(boxes, outside, "outside", "is outside the image", log)
    boxes = boxes.assign(**dict(zip(BOX, after[~outside].T, strict=True)))
    thin = _sides(boxes).min(axis=1) < MIN_BOX_SIZE
    return _drop(boxes, thin, "too_small", f"is thinner than {MIN_BOX_SIZE:g} px", log)


def clip_corners(boxes: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Clip (N, 4) xyxy boxes to images of (N, 2) width and height in pixels; unknown sizes are infinite."""
    low = np.where(np.isfinite(size[:, :1]), 0.0, -np.inf)
    return boxes.clip(low, np.concatenate([size, size], axis=1))  # (N, 2) -> (N, 4)


def resolve_duplicate_boxes(
    boxes: pd.DataFrame, iou: float, merge: bool, log: IssueLog
) -> tuple[pd.DataFrame, tuple[int, int]]:
    """List same-class boxes (LABELLED_BOXES) of an image whose half-open IoU is at least `iou`; merge them if asked to.

    The mean of boxes that all overlap each other (complete linkage) takes the place of the first. Ignored regions
    duplicate nothing. Returns the boxes, and counts (pairs, images).
    """
    corners, objects = boxes[BOX].to_numpy("float64"), np.flatnonzero(~is_region(boxes))
    first_of, n_pairs, with_pair = np.arange(len(boxes)), 0, set()
    for members in boxes.iloc[objects].groupby(["image_id", "label"]).indices.values():
        rows = objects[np.asarray(members)]
        one, other = rows[np.array(np.triu_indices(len(rows), 1))]  # of every pair
        overlap = pair_iou(corners[one], corners[other])
        near = np.flatnonzero(overlap >= iou)
        if merge and len(near):
            labels = fcluster(linkage(1 - overlap, "complete"), 1 - iou + 1e-12, "distance")
            first_of[rows] = pd.Series(rows).groupby(labels).transform("min")
        for pair in near:
            earlier, later = boxes.iloc[one[pair]], boxes.iloc[other[pair]]
            where = f" in row {earlier['row']}" if pd.notna(earlier["row"]) else ""
            same = f"{corners_text(earlier[BOX].to_list())}{where} (IoU {overlap[pair]:.2f})"
            detail = f"{box_text(later)} may be the same object as {same}."
            action = "merged" if first_of[one[pair]] == first_of[other[pair]] else "listed"
            log.add("double_box", action, detail, later["image_id"], later["file"], later["row"])
            with_pair.add(later["image_id"])
        n_pairs += len(near)
    if merge and n_pairs:
        mean = boxes[BOX].groupby(first_of).transform("mean")
        boxes = boxes.assign(**{side: mean[side] for side in BOX})[first_of == np.arange(len(boxes))]
    return boxes, (n_pairs, len(with_pair))


def box_text(box: Any) -> str:
    """Return label and corners of a row in words."""
    return f"The {box.label} box {corners_text([getattr(box, name) for name in BOX])}"


def corners_text(corners: list[float] | np.ndarray) -> str:
    """Return xyxy corners in words."""
    xmin, ymin, xmax, ymax = corners
    return f"x {xmin:g} to {xmax:g}, y {ymin:g} to {ymax:g}"


def _sides(boxes: pd.DataFrame) -> np.ndarray:
    """Return width and height, (N, 2) float64."""
    corners = boxes[BOX].to_numpy("float64")
    return np.asarray(corners[:, 2:] - corners[:, :2])


def _drop(boxes: pd.DataFrame, mask: np.ndarray, kind: str, reason: str, log: IssueLog) -> pd.DataFrame:
    log.add_boxes(boxes[mask], kind, "dropped", lambda box: f"{box_text(box)} {reason}.")
    return boxes[~mask]
