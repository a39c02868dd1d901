"""Named augmentation policies; the only module that imports albumentations."""

import os
import random
from typing import Any

import numpy as np

from tropho.errors import UsageError
from tropho.images.annotated import REGION

MIN_VISIBILITY = 0.3  # share of a box's area below which the box is dropped


class Policy:
    """Augments an image and its boxes by a seed; not for several threads at once. Pickles by name and settings."""

    def __init__(self, name: str, size: int, boxed: bool, steps: list[Any]) -> None:
        self.name, self.size, self.boxed = name, size, boxed
        self._compose = _compose(steps, MIN_VISIBILITY) if steps else None
        self._compose_regions = _compose(steps, 0.0) if steps else None

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Augment one image.

        Args:
            image: (h, w, 3) uint8, no side longer than `size`; not changed.
            boxes: (n, 4) float32 xyxy pixels; clipped to the image.
            labels: (n,) int64; REGION for an ignored region, of which every part stays.
            seed: 32 bits.

        Returns:
            A new contiguous image (h, w, 3), or (size, size, 3) without `boxed`; the boxes still visible, (m, 4)
            float32, with an area, inside the image; their labels (m,).
        """
        index = np.arange(len(boxes))
        result = image
        if self._compose is not None:
            # The row number is a fifth column, by which labels follow their boxes.
            rows = np.column_stack([boxes.reshape(-1, 4), index]).astype(np.float64)
            regions = labels == REGION
            result, moved = _run(self._compose, image, rows[~regions], seed)
            if regions.any():
                # albumentations has one visibility for all boxes: the same draw again for regions.
                moved = np.concatenate([moved, _run(self._compose_regions, image, rows[regions], seed)[1]])
            boxes, index = moved[:, :4], moved[:, 4].astype(np.int64)
        if not self.boxed:
            result, boxes = letterbox(result, boxes, self.size)
        boxes = _inside(boxes.astype(np.float32).reshape(-1, 4), result)
        keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        result = np.ascontiguousarray(result)
        if np.may_share_memory(result, image):
            result = result.copy()
        return result, boxes[keep], labels[index[keep]]

    def __reduce__(self) -> tuple[Any, tuple[str, int, bool]]:
        return build_policy, (self.name, self.size, self.boxed)

    def to_dict(self) -> dict[str, Any]:
        """Return all steps and their parameters, for JSON."""
        steps = None if self._compose is None else self._compose.to_dict()
        return {"name": self.name, "size": self.size, "boxed": self.boxed, "albumentations": steps}


def build_policy(name: str, size: int, boxed: bool) -> Policy:
    """Build a policy by its name.

    Args:
        name: "none", "light", "microscopy" (keeps aspect and scale) or "radiology" (keeps grey).
        size: longer side of the cached images, pixels.
        boxed: True for detection; False for classification, where the image is centred on a black square of `size`.

    Raises:
        UsageError: there is no policy of that name.
    """
    steps = {"none": list, "light": _light, "microscopy": _microscopy, "radiology": _radiology}
    if name not in steps:
        raise UsageError(f"There is no augmentation policy '{name}'; choose one of {', '.join(steps)}.")
    return Policy(name, size, boxed, steps[name]())


def letterbox(image: np.ndarray, boxes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre an image (h, w, 3) on a black square of `size` pixels, with its boxes (n, 4) xyxy."""
    height, width = image.shape[:2]
    if max(height, width) > size:
        raise ValueError(f"image {width}x{height} is larger than the square of {size} pixels")
    top, left = (size - height) // 2, (size - width) // 2
    square = np.zeros((size, size, 3), image.dtype)
    square[top : top + height, left : left + width] = image
    return square, boxes + np.array([left, top, left, top], boxes.dtype)


def _light() -> list[Any]:
    a = _albumentations()
    return [
        a.HorizontalFlip(p=0.5),
        a.RandomBrightnessContrast(brightness_limit=(-0.15, 0.15), contrast_limit=(-0.15, 0.15), p=0.7),
    ]


def _microscopy() -> list[Any]:
    a = _albumentations()
    return [
        # A smear has no up or down; both flips together are the half turn.
        a.HorizontalFlip(p=0.5),
        a.VerticalFlip(p=0.5),
        # Stain and lamp vary by slide; hue only so far that chromatin stays violet.
        a.ColorJitter(brightness=(0.85, 1.15), contrast=(0.85, 1.15), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.6),
        a.RandomGamma(gamma_limit=(85, 118), p=0.3),
        # Slightly out of focus, as much of a thick film always is.
        a.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 0.9), p=0.1),
    ]


def _radiology() -> list[Any]:
    a = _albumentations()
    return [
        a.HorizontalFlip(p=0.5),
        a.Affine(
            scale=(0.92, 1.08),
            rotate=(-10, 10),
            translate_percent=(-0.05, 0.05),
            keep_ratio=True,
            fill=0,
            p=0.7,
        ),
        # By the image's own mean: a shift by the full range would turn the black ground of a scan grey.
        a.RandomBrightnessContrast(
            brightness_limit=(-0.15, 0.15), contrast_limit=(-0.15, 0.15), brightness_by_max=False, p=0.7
        ),
    ]


def _run(compose: Any, image: np.ndarray, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the image, and the rows (n, 5) that are left: a box and a number each."""
    # One stream for all steps: with Compose.set_random_seed, steps of equal odds would always happen together.
    compose.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 - nothing secret
    out = compose(image=image, bboxes=rows)
    return out["image"], np.asarray(out["bboxes"], np.float64).reshape(-1, 5) if len(out["bboxes"]) else rows[:0]


def _compose(steps: list[Any], min_visibility: float) -> Any:
    a = _albumentations()
    boxes = a.BboxParams(
        format="pascal_voc",
        clip=True,
        filter_invalid_bboxes=True,
        min_visibility=min_visibility,
        check_each_transform=False,  # only one step moves boxes over the edge; checking once halves the cost
    )
    return a.Compose(steps, bbox_params=boxes)


def _albumentations() -> Any:
    """Import albumentations without its check for a newer version."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


def _inside(boxes: np.ndarray, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return boxes.clip(0, np.array([width, height, width, height], np.float32))
