"""Settings of the stage augment."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from tropho.config.types import Pixels, Section, Share

DISABLED: dict[str, Any] = {
    "policy": "none",
    "copy_paste_prob": 0.0,
    "mosaic_prob": 0.0,
    "crop_size": None,
    "zoom_range": [1.0, 1.0],
}
"""Settings that each switch a step on, and their values when it is off."""


class AugmentConfig(Section):
    """The cache of images at training size, and their augmentation."""

    image_size: Pixels
    cache_format: Literal["raw", "png", "jpeg"]
    grayscale: bool
    policy: Literal["none", "light", "microscopy", "radiology"]
    copy_paste_prob: Share
    mosaic_prob: Share
    crop_size: Annotated[int, Field(ge=32, le=16_384)] | None
    zoom_range: Annotated[list[Annotated[float, Field(ge=0.1, le=10)]], Field(min_length=2, max_length=2)]

    def faults(self) -> Iterator[str]:
        low, high = self.zoom_range
        if low > high:
            yield f"zoom_range must be [least, most], not {self.zoom_range}"
        if self.crop_size is not None and self.crop_size > self.image_size * high:
            yield f"crop_size {self.crop_size} is more than the {self.image_size * high:g} pixels of an image"

    @property
    def shortest(self) -> int:
        """Return the longer side of the smallest training sample, in pixels."""
        zoomed = int(self.image_size * self.zoom_range[0])
        return zoomed if self.crop_size is None else min(self.crop_size, zoomed)
