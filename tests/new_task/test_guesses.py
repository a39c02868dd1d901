"""Groups by file names, recipes by images, and the time that is measured."""

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from tropho.config.load import load_params
from tropho.new_task.entry import is_plain
from tropho.new_task.group_guess import guess_groups
from tropho.new_task.image_sample import ImageSample, look_at_sample
from tropho.new_task.label_guess import guess_labels, validated
from tropho.new_task.recipe import choose_recipe
from tropho.new_task.time_estimate import estimate


def names(pattern, n_groups, n_each):
    return [pattern.format(g=group, n=number) for group in range(n_groups) for number in range(n_each)]


@pytest.mark.parametrize(
    ("files", "group"),
    [
        (names("A/C{g}P{g}Thin_IMG_2015_cell_{n}.png", 20, 5), "C9P9Thin"),
        (names("CNV-{g}-{n}.jpeg", 30, 4), "CNV-9"),
        (names("{g}_{n}.jpg", 15, 2), "9"),
        (names("person{g}_bacteria_{n}", 12, 3), "person9"),  # as tables without endings have them
        (names("a/BloodImage_{g}{n}.jpg", 20, 5), None),
        (names("x/{g}{n}.png", 20, 5) + names("y/{g}{n}.png", 20, 5), None),  # numbers that begin anew in each class
        (names("scan{g}_{n}.png", 4, 30), None),  # too few groups for folds
        (names("IMG_{g}_final.png", 90, 1), None),
    ],
)
def test_groups_are_the_shortest_beginning_that_makes_sense(files, group):
    found = guess_groups(files, ["a", "b"] * (len(files) // 2) + ["a"] * (len(files) % 2))
    assert (found.group if found else None) == group


def test_names_that_repeat_the_class_are_no_groups():
    files = names("rose{g}_{n}.jpg", 12, 6)
    assert guess_groups(files, [file.split("_")[0] for file in files]) is None


@pytest.mark.parametrize(
    ("text", "plain"), [("RBC", True), ("no", False), ("007", False), ("a b", True), ("x: y", False)]
)
def test_names_that_yaml_reads_otherwise_are_quoted(text, plain):
    assert is_plain(text) == plain


@pytest.fixture
def squares(tmp_path):
    """Twelve photos of 400 x 300 pixels with a box of 20 pixels in each, in YOLO's layout."""
    rng = np.random.default_rng(0)
    for number in range(12):
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
        pixels = rng.integers(0, 255, (300, 400, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"p{number}.png")
        (tmp_path / "labels" / f"p{number}.txt").write_text("0 0.5 0.5 0.05 0.0666667\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [egg]\n")
    return tmp_path


def test_the_image_size_follows_the_boxes(squares):
    params = load_params(ROOT / "params.yaml")
    guess = guess_labels(squares, params)
    sample = look_at_sample(guess.train, guess.labels.boxes, squares)
    assert (sample.long_side, sample.grey_share) == (400, 0.0)
    assert sample.small_box == pytest.approx(0.05, abs=0.002)
    recipe = choose_recipe(guess, sample, "eggs")
    assert recipe.presets["laptop"]["augment.image_size"] == 320  # 14 pixels would need 280
    assert recipe.sections["model"]["fit_levels"]
    assert (recipe.presets["laptop"]["train.epochs"], recipe.presets["laptop"]["train.val_interval"]) == (40, 8)
    assert recipe.sections["augment"]["policy"] == "light"
    fine = ImageSample(sample.images, 4000, 0.0, 0.01, 0.02)
    large = choose_recipe(guess, fine, "blood cells")
    assert large.presets["laptop"]["augment.image_size"] == 1024
    assert large.presets["laptop"]["augment.crop_size"] == 512
    assert large.presets["gpu"]["augment.image_size"] == 1536
    assert large.sections["augment"]["policy"] == "microscopy"


def test_the_time_is_measured_on_the_images_and_grows_with_epochs(squares):
    params = load_params(ROOT / "params.yaml")
    guess = guess_labels(squares, params)
    sample = look_at_sample(guess.train, guess.labels.boxes, squares)
    entry = {
        "kind": "detection",
        "download": {"source": "local", "path": "x"},
        "audit": guess.audit,
        "augment": {"image_size": 64},
        "model": {"name": "fcos", "fpn_levels": None, "fit_levels": True, "fpn_channels": 8},
        "train": {"epochs": 1000, "batch_size": 4},
    }
    found = estimate(validated("t", entry, params), guess, sample, squares)
    assert found.total > found.training > 10  # 1000 epochs of 7 images can't take less
