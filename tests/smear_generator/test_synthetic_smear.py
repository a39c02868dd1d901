import re
from collections import Counter

import cv2
import numpy as np
import pandas as pd
import pytest

from smear_generator.crops import cells
from smear_generator.field import CAMERAS, OTHER, Box
from smear_generator.smear import photos, plant_faults, truth_table


@pytest.fixture(scope="module")
def drawn():
    return list(photos(7, 44, "train", 0.5))


def test_photos_depend_on_seed_alone(drawn):
    again = list(photos(7, 9, "train", 0.5))
    assert [photo.jpeg for photo in again] == [photo.jpeg for photo in drawn[:9]]
    assert [photo.boxes for photo in again] == [photo.boxes for photo in drawn[:9]]
    assert next(photos(8, 1, "train", 0.5)).jpeg != drawn[0].jpeg


def test_photos_of_train_and_test_differ(drawn):
    test = list(photos(7, 6, "test", 0.5))
    assert not {photo.image_id for photo in test} & {photo.image_id for photo in drawn}
    assert test[0].jpeg != drawn[0].jpeg


def test_photo_ids_do_not_reveal_slides(drawn):
    ids = [photo.image_id for photo in drawn]
    assert all(re.fullmatch(r"id_[a-z0-9]{10}\.jpg", each) for each in ids)
    assert len(set(ids)) == len(ids)


def test_photos_of_a_slide_have_one_size(drawn):
    fields = Counter(photo.slide for photo in drawn)
    del fields[drawn[-1].slide]  # cut short
    assert all(3 <= count <= 10 for count in fields.values())
    for slide in fields:
        assert len({photo.camera for photo in drawn if photo.slide == slide}) == 1


def test_photos_are_negative_in_one_of_four(drawn):
    assert sum(not photo.boxes for photo in drawn) == 11
    labels = Counter(box.label for photo in drawn for box in photo.boxes)
    assert labels["Trophozoite"] > labels["WBC"] > 20
    assert all(photo.labelled for photo in drawn if photo.boxes), "an image with parts of a class passes for NEG"


def test_photos_of_one_camera_lack_white_cell_labels():
    photo = next(
        photo
        for photo in photos(3, 60, "train", 0.5)
        if photo.camera is OTHER and any(box.label == "WBC" for box in photo.boxes)
    )
    assert {box.label for box in photo.labelled} == {"Trophozoite"}
    assert [camera.labels_white_cells for camera in set(CAMERAS)].count(False) == 1


def test_boxes_lie_on_dark_pixels(drawn):
    for photo in drawn:
        picture = cv2.imdecode(np.frombuffer(photo.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (photo.camera.height, photo.camera.width, 3)
        red = picture[..., 2].astype(float)  # what blue-violet stain takes away
        for box in photo.boxes:
            assert 0 <= box.xmin < box.xmax <= photo.camera.width
            assert 0 <= box.ymin < box.ymax <= photo.camera.height
            around = red[max(0, box.ymin - 6) : box.ymax + 6, max(0, box.xmin - 6) : box.xmax + 6]
            assert red[box.ymin : box.ymax, box.xmin : box.xmax].min() < 0.75 * np.percentile(around, 90)


def test_photos_have_a_round_field(drawn):
    photo = next(photo for photo in drawn if photo.camera is CAMERAS[0])
    grey = cv2.imdecode(np.frombuffer(photo.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    corners = [grey[:8, :8], grey[:8, -8:], grey[-8:, :8], grey[-8:, -8:]]
    assert min(corner.mean() for corner in corners) < 15
    assert grey[170:190, 310:330].mean() > 60


def test_parasites_are_smaller_with_difficulty():
    def median_side(difficulty: float) -> float:
        boxes = [box for photo in photos(1, 10, "train", difficulty) for box in photo.boxes]
        return float(np.median([box.xmax - box.xmin for box in boxes if box.label == "Trophozoite"]))

    assert median_side(1.0) < 0.75 * median_side(0.0)


def test_truth_table_has_one_row_for_an_image_without_boxes():
    table = truth_table([("id_a.jpg", (Box("WBC", 1, 2, 30, 40),)), ("id_b.jpg", ())])
    assert table.to_csv(index=False).splitlines() == [
        "Image_ID,class,confidence,ymin,xmin,ymax,xmax",
        "id_a.jpg,WBC,1.0,2,1,40,30",
        "id_b.jpg,NEG,1.0,0,0,0,0",
    ]


@pytest.mark.parametrize("seed", range(8))
def test_plant_faults_adds_flat_and_duplicate_boxes(seed):
    boxes = tuple(Box("Trophozoite", 40 * i, 10, 40 * i + 9 + i, 30 + i) for i in range(6))
    clean = truth_table([*((f"id_{n}.jpg", boxes) for n in range(40)), ("id_neg.jpg", ())])
    table, faults = plant_faults(clean, seed)
    pd.testing.assert_frame_equal(table.iloc[: len(clean)], clean)
    added = table.iloc[len(clean) :]
    flat = added[added["ymax"] == added["ymin"]]
    assert flat["Image_ID"].tolist() == faults["zero_height"]
    doubles = added.drop(flat.index)
    assert sorted(doubles["Image_ID"].unique()) == faults["doubled"]
    assert len(faults["doubled"]) == 1  # 3 % of 40
    for row in doubles.itertuples():
        same = clean[(clean["Image_ID"] == row.Image_ID) & (clean["xmax"] == row.xmax)].iloc[0]
        area = (same.xmax - same.xmin) * (same.ymax - same.ymin)
        assert 0.5 <= (row.xmax - row.xmin) * (row.ymax - row.ymin) / area < 1


def test_plant_faults_needs_parasites():
    clean = truth_table([("id_neg.jpg", ())])
    table, faults = plant_faults(clean, 0)
    assert table is clean
    assert faults == {"zero_height": [], "doubled": []}


def test_cells_are_balanced_and_repeatable():
    some = list(cells(7, 60, "train", 0.5))
    assert Counter(cell.label for cell in some) == {"Parasitized": 30, "Uninfected": 30}
    assert all(re.fullmatch(r"s\d{4}_cell_\d{3}\.png", cell.name) for cell in some)
    assert len({cell.name for cell in some}) == 60
    assert all(64 <= side <= 80 for cell in some for side in cell.picture.shape[:2])
    for one, other in zip(some[:12], cells(7, 12, "train", 0.5), strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)
    slides = {cell.name[:5] for cell in some}
    assert not slides & {cell.name[:5] for cell in cells(7, 60, "test", 0.5)}


def test_mean_colour_does_not_separate_cell_classes():
    some = list(cells(5, 240, "train", 0.5))
    red = np.array([cell.picture[..., 0].mean() for cell in some])
    infected = np.array([cell.label == "Parasitized" for cell in some])
    above = red > np.median(red)
    accuracy = (above[infected].mean() + (~above)[~infected].mean()) / 2
    assert max(accuracy, 1 - accuracy) < 0.65
