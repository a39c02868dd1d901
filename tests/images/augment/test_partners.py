"""An image is mixed only with images that say at least as much as it does."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tropho.images.annotated import AnnotatedImages
from tropho.images.augment.mix import MAX_PASTED, DonorSampler
from tropho.images.cache import ImageCache, write_cache
from tropho.images.draw import write_png
from tropho.tables import BOXES

CLASSES = ["Trophozoite", "WBC"]


@pytest.fixture
def scenes(tmp_path: Path) -> AnnotatedImages:
    """Images 0 and 1 are fully labelled; 2 and 3 lack WBC; 4 has no boxes. Brightness is the number times ten."""
    images = pd.DataFrame({"image_id": [f"{number}.png" for number in range(5)]})
    images["path"] = images["image_id"]
    images["ignore_classes"] = [None, None, '["WBC"]', '["WBC"]', None]
    for number, name in enumerate(images["path"]):
        write_png(tmp_path / name, np.full((60, 80, 3), 10 * number, np.uint8))
    write_cache(images, tmp_path, tmp_path / "pack", 80)
    boxes = [("0.png", "Trophozoite", 10 * x, 10, 10 * x + 3, 15) for x in range(1, 7)]
    boxes += [("0.png", "WBC", 0, 40, 10, 50)]  # at the edge, so not to be cut out
    boxes += [("1.png", "WBC", 30, 30, 40, 40), ("2.png", "Trophozoite", 30, 30, 40, 40)]
    return AnnotatedImages(
        ImageCache(tmp_path / "pack"), images, pd.DataFrame(boxes, columns=list(BOXES)[:-1]), CLASSES
    )


def numbers_drawn(partners: DonorSampler, number: int) -> set[int]:
    rng = np.random.default_rng(0)
    return {int(partners.draw(number, rng).image[0, 0, 0]) // 10 for _ in range(60)}


def test_fully_labelled_images_never_meet_those_that_lack_a_class(scenes: AnnotatedImages) -> None:
    partners = DonorSampler(scenes)
    assert numbers_drawn(partners, 0) == {0, 1, 4}
    assert numbers_drawn(partners, 2) == {0, 1, 2, 3, 4}


def test_donors_are_of_every_class_alike_and_never_of_one_that_is_ignored(scenes: AnnotatedImages) -> None:
    partners = DonorSampler(scenes)
    rng = np.random.default_rng(0)
    draws = [partners.draw_donor(4, rng) for _ in range(200)]
    firsts = [(scene.image[0, 0, 0] // 10, int(scene.labels[rows[0]])) for scene, rows in draws]
    assert set(firsts) == {(0, 0), (1, 1)}
    assert 70 < sum(label for _, label in firsts) < 130  # 100 expected, standard deviation 7
    for scene, rows in draws:
        assert len(set(rows.tolist())) == len(rows) <= MAX_PASTED
        assert (scene.boxes[rows, 0] > 0).all()
    assert {len(rows) for scene, rows in draws if scene.image[0, 0, 0] == 0} == {1, 2, 3, 4, 5, 6}
    lacking = [partners.draw_donor(3, rng) for _ in range(100)]
    assert {int(scene.labels[row]) for scene, rows in lacking for row in rows} == {0}
    assert {int(scene.image[0, 0, 0]) // 10 for scene, _ in lacking} == {0, 2}


def test_without_objects_there_is_nothing_to_give(scenes: AnnotatedImages) -> None:
    only = pd.DataFrame({"image_id": ["4.png"]})
    bare = AnnotatedImages(scenes._cache, only, pd.DataFrame(columns=list(BOXES)[:-1]), CLASSES)
    assert DonorSampler(bare).draw_donor(0, np.random.default_rng(0)) is None
    assert DonorSampler(bare).draw(0, np.random.default_rng(0)).image[0, 0, 0] == 40
