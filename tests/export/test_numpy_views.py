"""Views and selection in NumPy against those in torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from tropho.boxes import tta
from tropho.config.predict_config import parse_view
from tropho.export.onnx_predictor import decode_detections, pad_image, view_image
from tropho.models import heads
from tropho.orientation import INVERSE, SYMMETRIES, turn_image
from tropho.tasks.datasets import pad_batch

VIEWS = [*SYMMETRIES, "identity@1.25", "rot90@0.7", "transpose@1.5"]


@pytest.mark.parametrize("name", SYMMETRIES)
def test_inverse_undoes_a_symmetry(rng, name):
    image = rng.integers(0, 256, (4, 6, 3))
    np.testing.assert_array_equal(turn_image(turn_image(image, name), INVERSE[name]), image)


@pytest.mark.parametrize("view", VIEWS)
def test_view_image_equals_torch(rng, view):
    image = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    expected = tta.view_images(torch.from_numpy(image).permute(2, 0, 1)[None], view, 32)[0].permute(1, 2, 0).numpy()
    seen = view_image(image, view, 32)
    assert seen.shape == expected.shape
    difference = np.abs(seen.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert not (difference > 0)[~_is_half(image, view, 32)].any()  # how a CPU adds up decides on halves


def _is_half(image, view, stride):
    """Which values of a view are n + 1/2 before they are rounded, to 1e-3 grey levels."""
    symmetry, scale = parse_view(view)
    size = [round(side * scale) for side in image.shape[:2]]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    exact = functional.interpolate(pixels, size, mode="bilinear", antialias=True) if scale != 1.0 else pixels
    half = np.abs(exact[0].permute(1, 2, 0).numpy() % 1 - 0.5) < 1e-3
    return turn_image(pad_image(half, stride), symmetry)


@pytest.mark.parametrize("square", [False, True])
def test_pad_image_equals_that_of_a_batch(rng, square):
    image = rng.integers(0, 256, (33, 70, 3), dtype=np.uint8)
    expected = pad_batch([(torch.from_numpy(image).permute(2, 0, 1), {}, 0)], 32, square)["images"][0]
    np.testing.assert_array_equal(pad_image(image, 32, square), expected.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("most", [5, 3000])
def test_decode_detections_equals_torch(rng, settings, most):
    model = settings("smear_demo", **{"model.max_detections": most, "model.score_threshold": 0.2}).model
    centre, size = rng.uniform(-5, 105, (1500, 2)), rng.uniform(0, 30, (1500, 2))
    boxes = np.hstack([centre - size, centre + size]).astype(np.float32)
    scores = rng.uniform(0, 1, (1500, 3)).astype(np.float32)
    expected = heads.decode_detections(torch.from_numpy(scores)[None], torch.from_numpy(boxes)[None], (100, 90), model)[
        0
    ]
    found = decode_detections(scores, boxes, (100, 90), model)
    for name in ("scores", "labels", "boxes"):
        np.testing.assert_allclose(found[name], expected[name].numpy(), atol=1e-5)


def test_decode_detections_of_nothing(settings):
    model = settings("smear_demo").model
    found = decode_detections(np.zeros((8, 2), np.float32), np.zeros((8, 4), np.float32), (32, 32), model)
    assert {name: value.shape for name, value in found.items()} == {"boxes": (0, 4), "scores": (0,), "labels": (0,)}
