"""A batch of photos is predicted once and shown at any confidence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from app.test_viewer import model  # noqa: F401 - fixture
from tropho.app.predict_photos import name_photos, predict_batch, remove_batch, show_batch


@pytest.fixture
def photos(tmp_path, rng):
    """Two photos of one name, and a text file."""
    folder = tmp_path / "secret"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name / "x.png")
    (folder / "text.jpg").write_text("no image")
    return [folder / "a" / "x.png", folder / "text.jpg", folder / "b" / "x.png"]


def test_photos_of_one_name_are_numbered():
    files = [Path("h1/x.png"), Path("h2/x.png"), Path("h1/x.png")]
    assert name_photos(files) == {"x.png": Path("h1/x.png"), "x (2).png": Path("h2/x.png")}


def test_a_batch_is_shown_at_another_confidence_without_its_files(model, photos, tmp_path):  # noqa: F811
    loaded = model("smear_demo")
    batch = predict_batch(loaded, name_photos(photos), tmp_path)
    for file in photos:
        file.unlink()
    nothing = show_batch(loaded, batch, "1")
    everything = show_batch(loaded, batch, "0")
    assert [row[0] for row in everything.rows] == ["x.png", "text.jpg", "x (2).png"]
    assert [row[1] for row in nothing.rows][::2] == ["nothing found"] * 2
    assert everything.rows[1][1].startswith("text.jpg can't be read as an image")
    assert "secret" not in everything.rows[1][1]
    assert everything.summary.startswith("2 of 3 images predicted. In all: ")
    assert [file.name for file in everything.pictures] == ["x_drawn.png", "x (2)_drawn.png"]
    assert not any(file.exists() for file in nothing.files)  # a new choice replaces the results
    table, counts = (pd.read_csv(file) for file in everything.files[:2])
    assert list(counts["image_id"]) == ["x.png", "x (2).png"]
    assert table["label"].isin(loaded.classes).sum() == counts[loaded.classes].to_numpy().sum() > 0
    with Image.open(everything.pictures[0]) as picture:
        assert picture.width >= 640
    remove_batch(batch)
    assert not batch.folder.exists()


def test_a_batch_without_any_photo_says_why(model, photos, tmp_path):  # noqa: F811
    loaded = model("cells_demo")
    shown = show_batch(loaded, predict_batch(loaded, name_photos(photos[1:2]), tmp_path), "0.5")
    assert shown.summary == "0 of 1 images predicted."
    assert shown.rows[0][0] == "text.jpg"
    assert (shown.files, shown.pictures) == ([], [])


def test_classes_of_a_batch(model, photos, tmp_path):  # noqa: F811
    loaded = model("cells_demo")
    batch = predict_batch(loaded, name_photos(photos), tmp_path)
    assert all(row[1].endswith("(uncertain)") for row in show_batch(loaded, batch, "1").rows[::2])
    assert [file.name for file in show_batch(loaded, batch, "0").files] == ["predictions.csv", "pictures.zip"]
