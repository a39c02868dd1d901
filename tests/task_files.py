"""Files of a small task, up to the image cache."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.files import write_json
from tropho.images.cache import write_cache
from tropho.paths import Paths
from tropho.tables import BOXES, IMAGES, SPLITS, conform, write_table


@pytest.fixture
def smear_paths(tmp_path, rng):
    """Files up to the pack: 12 training images in two folds, half of them empty, and 3 test images, 64 x 48 pixels."""
    paths = Paths(tmp_path, "smear_demo")
    paths.raw.mkdir(parents=True)
    names = [f"im{number:02d}.png" for number in range(15)]
    boxes = []
    for number, name in enumerate(names):
        pixels = rng.integers(150, 200, (48, 64, 3))
        if number % 2:
            pixels[10:30, 20:40] = 40
            boxes.append((name, "WBC", 20.0, 10.0, 40.0, 30.0))
        Image.fromarray(pixels.astype(np.uint8)).save(paths.raw / name)
    subset = ["train" if number < 12 else "test" for number in range(15)]
    images = pd.DataFrame({"image_id": names, "path": names, "group": names, "subset": subset})
    images = images.assign(width=64, height=48, status="ok", sha256="", duplicate=pd.NA, label=pd.NA)
    write_table(conform(images, IMAGES), paths.audit / "images.csv", IMAGES)
    write_table(pd.DataFrame(boxes[:6], columns=list(BOXES)[:-1]), paths.audit / "boxes.csv", BOXES)
    write_json(
        paths.audit / "summary.json",
        {"classes": ["Trophozoite", "WBC"], "columns": {"Train.csv": {"image": "Image_ID"}}},
    )
    folds = [number // 6 if number < 12 else -1 for number in range(15)]
    write_table(images[["image_id", "subset", "group"]].assign(fold=folds), paths.splits, SPLITS)
    write_cache(images, paths.raw, paths.augmented / "cache", 64)
    return paths
