"""The picture of training images before and after augmentation."""

from types import SimpleNamespace

import numpy as np
import pytest

from tropho.images.annotated import AnnotatedImage
from tropho.stages import augment


def scene(count):
    return AnnotatedImage(
        np.zeros((32, 32, 3), np.uint8), np.tile(np.float32([4, 4, 20, 20]), (count, 1)), np.zeros(count, int)
    )


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (0, 0, ""),
        (0, 2, ""),
        (3, 2, ", 2 of 3 boxes"),
        (1, 1, ", 1 box"),
        (2, 2, ", 2 boxes"),
        (2, 5, ", 5 boxes"),
        (2, 0, ", 0 of 2 boxes"),
    ],
)
def test_preview_sheet_counts_the_boxes_that_are_left(tmp_path, monkeypatch, before, after, says):
    class Transform:
        settings = SimpleNamespace(image_size=32, policy="light")
        scenes = (scene(before),)

        def __call__(self, number, seed):
            return scene(after)

    captions, draw = [], augment.contact_sheet
    monkeypatch.setattr(
        augment, "contact_sheet", lambda tiles, names, *rest: captions.extend(names) or draw(tiles, names, *rest)
    )
    augment.preview_sheet(Transform(), [0], ["a.png"], ["cell"], tmp_path / "sheet.png")
    assert captions == ["a.png", f"augmented{says}"]
    assert (tmp_path / "sheet.png").stat().st_size > 0
