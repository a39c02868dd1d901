"""What the app shows of one photo, and of a batch that is predicted once and shown at any confidence."""

import socket
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from trained_models import write_models
from tropho.app.predict_photos import (
    has_heat_maps,
    name_photos,
    predict_batch,
    remove_batch,
    show_batch,
    show_photo,
    view_photo,
)
from tropho.app.serve import start_app
from tropho.commands.load_model import load_trained
from tropho.errors import DataError, ExternalError, UsageError
from tropho.paths import Paths

CHANGES = {
    "smear_demo": {"model.fpn_channels": 8, "augment.image_size": 64},
    "cells_demo": {"model.name": "lenet", "augment.image_size": 24},
}
CLASSES = {"smear_demo": ["Trophozoite", "WBC"], "cells_demo": ["Parasitized", "Uninfected"]}


@pytest.fixture
def model(settings, tmp_path):
    """Function of a task's name that loads untrained models."""

    def load(task):
        chosen, paths = settings(task, **CHANGES[task]), Paths(tmp_path, task)
        write_models(chosen, paths, CLASSES[task])
        return load_trained(chosen, paths)

    return load


@pytest.fixture
def photo(tmp_path, rng):
    """A file whose pixels lie on their side, as EXIF says."""
    image = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "photo.jpg", exif=exif)
    return tmp_path / "photo.jpg"


def test_boxes_from_the_thresholds_on(model, photo):
    loaded = model("smear_demo")
    seen = view_photo(loaded, photo)
    assert seen.image.shape == (560, 420, 3)  # upright and enlarged
    boxes = seen.table[seen.table["label"] != "NEG"]
    assert boxes["xmax"].max() <= 420
    assert boxes["ymax"].max() <= 560
    _, sentence, counts = show_photo(loaded, seen, loaded.thresholds("0"))
    assert sum(count for _, count in counts) == len(boxes)
    assert "per microlitre" in sentence
    _, sentence, counts = show_photo(loaded, seen, loaded.thresholds("1"))
    assert counts == [["Trophozoite", 0], ["WBC", 0]]
    assert sentence == "Nothing found. Estimate: no white cell to count parasites against."
    assert seen.heat is None


def test_a_class_with_its_heat_map(model, photo):
    loaded = model("cells_demo")
    seen = view_photo(loaded, photo)
    assert sum(seen.probabilities.values()) == pytest.approx(1)
    assert show_photo(loaded, seen, loaded.thresholds("1"))[1].endswith("(uncertain)")
    if has_heat_maps(loaded):
        assert seen.heat.shape == (420, 420, 3)


def test_a_file_that_is_no_image(model, tmp_path):
    (tmp_path / "no.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"no\.jpg"):
        view_photo(model("cells_demo"), tmp_path / "no.jpg")


def test_the_app_needs_gradio(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "before")  # set back afterwards
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "before")
    with pytest.raises(UsageError, match="needs Gradio"):
        start_app(model("cells_demo"), tmp_path, "127.0.0.1", None)


def test_a_used_port_is_named_with_another(model, tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "before")  # set back afterwards
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "before")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ExternalError, match=rf"port {port} of 127\.0\.0\.1, .*; try --port 7860") as told:
            start_app(model("cells_demo"), tmp_path, "127.0.0.1", port)
    assert "GRADIO" not in str(told.value)


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


def test_a_batch_is_shown_at_another_confidence_without_its_files(model, photos, tmp_path):
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


def test_a_batch_without_any_photo_says_why(model, photos, tmp_path):
    loaded = model("cells_demo")
    shown = show_batch(loaded, predict_batch(loaded, name_photos(photos[1:2]), tmp_path), "0.5")
    assert shown.summary == "0 of 1 images predicted."
    assert shown.rows[0][0] == "text.jpg"
    assert (shown.files, shown.pictures) == ([], [])


def test_classes_of_a_batch(model, photos, tmp_path):
    loaded = model("cells_demo")
    batch = predict_batch(loaded, name_photos(photos), tmp_path)
    assert all(row[1].endswith("(uncertain)") for row in show_batch(loaded, batch, "1").rows[::2])
    assert [file.name for file in show_batch(loaded, batch, "0").files] == ["predictions.csv", "pictures.zip"]
