"""What training shares with what judges it, in folders as people bring them, through the stages that they run."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

SHORT = "0123456789abcdef"


def picture(rng: np.random.Generator, side: int = 96) -> np.ndarray:
    """A grey picture with content at several scales, (side, side) uint8."""
    layers = [cv2.resize(rng.random((n, n)), (side, side), interpolation=cv2.INTER_CUBIC) / n for n in (4, 8, 16)]
    total = np.sum(layers, axis=0)
    return np.uint8(40 + 170 * (total - total.min()) / np.ptp(total))


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def audited(project, source, **sections):
    """The images and the summary of an audit of a folder of class folders."""
    project.add("t", "classification", download={"path": str(source)}, **sections)
    project.run("t", "download", "audit")
    summary = json.loads((project.root / "data/audit/t/summary.json").read_text(encoding="utf-8"))
    return project.table("t", "images").set_index("image_id"), summary


@pytest.fixture
def source(tmp_path):
    return tmp_path / "source"


def test_a_pattern_for_one_class_alone_is_told_by_class(project, source, rng):
    for number in range(12):
        save(source / f"PNEUMONIA/person{number // 2}_virus_{number}.png", picture(rng))
        save(source / f"NORMAL/IM-{number // 2:04d}-{number}.png", picture(rng))
    images, summary = audited(project, source, audit={"group_pattern": "(person[0-9]+)_"})
    told = " ".join(summary["notes"])
    assert "audit.group_pattern matches 0% of NORMAL and 100% of PNEUMONIA images. 12 have no group" in told
    assert summary["groups"]["matched"] == {"NORMAL": 0.0, "PNEUMONIA": 1.0, "all": 0.5}
    assert images["group"].nunique() == 18

    images, summary = audited(project, source, audit={"group_pattern": "(person[0-9]+)_|(IM-[0-9]+)-"})
    assert "audit.group_pattern" not in " ".join(summary["notes"])
    assert images["group"].nunique() == 12


@pytest.mark.parametrize("pattern", ["(person[0-9]*)?", "(.*)"])
def test_a_pattern_that_names_nothing_is_refused(project, source, rng, pattern):
    for label in "ab":
        save(source / f"{label}/{label}.png", picture(rng))
    project.add("t", "classification", download={"path": str(source)}, audit={"group_pattern": pattern})
    project.run("t", "download")
    assert "that never is empty" in project.tropho("audit", "t", code=2).text


def test_augmented_copies_are_one_group_and_told(project, source, rng):
    for number in range(12):
        label = "ab"[number % 2]
        for copy in range(3):
            name = f"train/{label}/p{number}_jpeg.rf.{SHORT}{number:08x}{copy:08x}.jpg"
            save(source / name, picture(rng))
    images, summary = audited(project, source)
    assert images["group"].nunique() == 12
    assert summary["issues"]["augmented_copies"] == 24
    assert "Augmented copies of a picture, by their names (.rf.), grouped: 24." in summary["notes"]


def test_turned_copies_are_one_group_and_leave_training(project, source, rng):
    for number in range(20):
        label = "ab"[number % 2]
        own = picture(rng)
        save(source / f"train/{label}/{number}.png", own)
        if number < 6:
            turn = cv2.getRotationMatrix2D((47.5, 47.5), (-14, 9, 13)[number % 3], 1.0)
            save(source / f"test/{label}/copy{number}.png", np.uint8(cv2.warpAffine(own, turn, (96, 96)) * 0.8))
    images, summary = audited(project, source)
    assert images["group"].nunique() == 20
    assert summary["duplicates"]["train_images_in_test"] == 6
    told = project.tropho("split", "t", code=None).text
    assert "6 training images are kept out, since the test set has them, exactly or nearly." in told
    project.add(
        "t", "classification", download={"path": str(source)}, split={"test_overlap": "keep"}, audit={"negative": None}
    )
    kept = project.tropho("split", "t").text
    assert "kept out" not in kept
    assert "6 training images share 6 groups with the published test set" in kept


@pytest.mark.parametrize(("overlap", "excluded"), [("drop_duplicates", 0), ("drop_groups", 6)])
def test_patients_of_the_test_leave_training_on_demand(project, source, rng, overlap, excluded):
    for number in range(32):
        save(source / f"train/{'ab'[number % 2]}/P{number // 2}-{number}.png", picture(rng))
        if number < 3:
            save(source / f"test/{'ab'[number % 2]}/P{number}-x{number}.png", picture(rng))
    audited(project, source, audit={"group_pattern": "P([0-9]+)-"}, split={"test_overlap": overlap})
    told = project.run("t", "split").text
    assert (f"{excluded} training images are kept out" in told) == (excluded > 0)
    assert ("share 3 groups with the published test set" in told) == (excluded == 0)


def test_retired_settings_name_what_replaced_them(project, source):
    project.add("t", "classification", download={"path": str(source)}, split={"drop_test_duplicates": True})
    told = project.tropho("split", "t", code=2).text
    assert "drop_test_duplicates is now split.test_overlap (true is drop_duplicates and false is keep)" in told
    project.add("t", "classification", download={"path": str(source)}, audit={"near_duplicate_bits": 4})
    assert "near_duplicate_bits is gone" in project.tropho("audit", "t", code=2).text
