"""Pictures to train on."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache, write_cache
from tropho.tables import BOXES, empty


@pytest.fixture
def data(tmp_path):
    """Eight pictures of two classes: a pack, and their truth."""
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(8)]
    for number, name in enumerate(names):
        pixels = rng.integers(0, 100, (32, 32, 3)) + 100 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
    images = pd.DataFrame({"image_id": names, "path": names, "label": ["a", "b"] * 4})
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    return ImageCache(tmp_path / "pack"), GroundTruth(images, empty(BOXES))
