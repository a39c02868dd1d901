"""Boxes in the frame of the stored files."""

import pandas as pd
from PIL import Image

from tropho.submission.target import to_stored_frame
from tropho.tables import BOX, IMAGES, conform


def test_boxes_go_back_to_the_pictures_as_they_are_stored(tmp_path):
    exif = Image.Exif()
    for name, orientation in (("turned.png", 6), ("plain.png", 1), ("half.png", 3), ("empty.png", 6), ("alone.png", 6)):
        exif[0x0112] = orientation
        Image.new("RGB", (40, 20)).save(tmp_path / name, exif=exif)  # stored 40 x 20
    names = ["turned.png", "plain.png", "half.png", "gone.png", "empty.png", "alone.png"]
    images = pd.DataFrame({"image_id": names, "path": names, "width": 20, "height": 40})
    images.loc[images["image_id"].isin(["plain.png", "half.png"]), ["width", "height"]] = [40, 20]
    images = conform(images.reindex(columns=list(IMAGES)), IMAGES)
    boxes = {
        "turned.png": (2, 5, 8, 15), "plain.png": (2, 5, 8, 15), "half.png": (2, 5, 8, 15), "gone.png": (2, 5, 8, 15),
        "empty.png": (0, 0, 0, 0),
    }  # fmt: skip
    table = pd.DataFrame([(name, *map(float, box)) for name, box in boxes.items()], columns=["image_id", *BOX])
    flat = pd.DataFrame([("turned.png", 3.0, 4.0, 3.0, 9.0), ("turned.png", 3.0, 4.0, 9.0, 4.0)], columns=table.columns)
    moved, sizes = to_stored_frame(pd.concat([table, flat], ignore_index=True), images, tmp_path)
    found = moved[BOX].to_numpy().tolist()
    assert found[0] == [5, 20 - 8, 15, 20 - 2]  # the stored picture is the upright one turned counter-clockwise
    assert found[1] == [2, 5, 8, 15]
    assert found[2] == [32, 5, 38, 15]
    assert found[3:] == [[2, 5, 8, 15], [0, 0, 0, 0], [3, 4, 3, 9], [3, 4, 9, 4]]
    by_id = sizes.set_index("image_id")[["width", "height"]].astype(int)
    assert by_id.loc["turned.png"].tolist() == by_id.loc["empty.png"].tolist() == [40, 20]
    assert by_id.loc["half.png"].tolist() == by_id.loc["plain.png"].tolist() == [40, 20]
    assert by_id.loc["alone.png"].tolist() == by_id.loc["gone.png"].tolist() == [20, 40]
