"""What the app shows of a photo."""

import socket
import sys

import numpy as np
import pytest
from PIL import Image

from trained_models import write_models
from tropho.app.predict_photos import has_heat_maps, show_photo, view_photo
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
