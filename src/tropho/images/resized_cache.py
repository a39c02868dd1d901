"""A pack seen at a smaller size, for models of an ensemble that look at coarser images."""

from pathlib import Path
from typing import Any

import numpy as np

from tropho.images.cache import ImageCache, resize_long_side


class ResizedCache(ImageCache):
    """The images of a pack, their longer side reduced to `size` pixels as they are read."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path)
        if size > self.size:
            raise ValueError(f"a pack of {self.size} pixels can't be shrunk to {size}")
        self.size = size

    def __getitem__(self, image_id: str) -> np.ndarray:
        """The image as a fresh (height, width, 3) uint8 RGB array."""
        return resize_long_side(super().__getitem__(image_id), self.size)

    def __getstate__(self) -> Any:
        return self.path, self.size

    def __setstate__(self, state: Any) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def size_of(self, image_id: str) -> tuple[int, int]:
        """Width and height of the shrunk image, pixels."""
        width, height = super().size_of(image_id)
        longer = max(width, height)
        return max(1, round(width * self.size / longer)), max(1, round(height * self.size / longer))

    def scale(self, image_id: str) -> tuple[float, float]:
        """Shrunk pixels per original pixel along x and y."""
        (width, height), (original_width, original_height) = self.size_of(image_id), self.original_size(image_id)
        return width / original_width, height / original_height
