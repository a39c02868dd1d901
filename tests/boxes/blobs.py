"""Pictures of separate blobs, and a detector that finds just these: what tiles lose or double shows at once."""

import cv2
import numpy as np
import torch
from hypothesis import strategies as st

CLASSES = 2
"""Blobs of class 0 are red, of class 1 green."""

GAP = 2
"""Pixels between blobs at least, so that they are never one."""

Blob = tuple[int, int, int, int, int, bool]
"""left, top, width, height, class, round."""


class BlobDetector(torch.nn.Module):
    """Finds the box around each blob of what it sees, and knows of nothing outside.

    The score is any function of what is seen of a blob, so that a part of one may score more than the whole. P(any
    object) grows with the light area.

    Args:
        error: pixels by which each side is off at most, as a function of what is seen of the blob.
        least: pixels; what is thinner is not seen.
    """

    def __init__(self, error: float = 0.0, least: int = 1) -> None:
        super().__init__()
        self.error, self.least = error, least
        self.batches: list[torch.Size] = []

    def forward(self, images: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        self.batches.append(images.shape)
        return [self.find(image.permute(1, 2, 0).numpy()) for image in images]

    def find(self, image: np.ndarray) -> dict[str, torch.Tensor]:
        rows = []
        for label in range(CLASSES):
            light = np.ascontiguousarray(image[..., label] > 127).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(light, connectivity=8)
            for left, top, width, height, area in stats[1:].tolist():
                if min(width, height) < self.least:
                    continue
                rng = np.random.default_rng([left, top, width, height])
                off = rng.uniform(-self.error, self.error, 4)
                box = np.array([left, top, left + width, top + height]) + off
                limit = [image.shape[1], image.shape[0]] * 2
                rows.append([*box.clip(0, limit), 0.02 + area * 7919 % 97 / 100, label])
        rows.sort(key=lambda row: -row[4])
        table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
        presence = torch.tensor(float((image > 127).any(axis=2).mean()))
        return {"boxes": table[:, :4], "scores": table[:, 4], "labels": table[:, 5].long(), "presence": presence}


def blobs(height: int, width: int, least: int, most: int) -> st.SearchStrategy[list[Blob]]:
    """Some blobs with sides of `least` to `most` pixels in a picture of that size."""
    side = st.integers(least, most)
    place = st.integers(0, max(height, width) - least)
    return st.lists(st.tuples(place, place, side, side, st.integers(0, CLASSES - 1), st.booleans()), max_size=12)


def painted(height: int, width: int, wanted: list[Blob]) -> np.ndarray:
    """A picture (height, width, 3) uint8 of those blobs that fit in without coming near another."""
    picture = np.zeros((height, width, 3), np.uint8)
    for left, top, blob_width, blob_height, label, is_round in wanted:
        near = picture[max(0, top - GAP) : top + blob_height + GAP, max(0, left - GAP) : left + blob_width + GAP]
        if left + blob_width > width or top + blob_height > height or near.any():
            continue
        shape = np.ones((blob_height, blob_width), bool)
        if is_round:
            y, x = ((np.arange(side) + 0.5) * 2 / side - 1 for side in (blob_height, blob_width))
            shape = y[:, None] ** 2 + x**2 <= 1
        picture[top : top + blob_height, left : left + blob_width, label][shape] = 255
    return picture
