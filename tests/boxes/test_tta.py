"""Test-time views: what is seen through them, and that boxes come back to where they are in the picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.boxes.box_ops import invert_boxes
from tropho.boxes.tta import view_images
from tropho.config.predict_config import parse_view
from tropho.orientation import SYMMETRIES

TURNED = {
    "identity": lambda image: image,
    "hflip": np.fliplr,
    "vflip": np.flipud,
    "rot90": np.rot90,
    "rot180": lambda image: np.rot90(image, 2),
    "rot270": lambda image: np.rot90(image, 3),
    "transpose": np.transpose,
    "antitranspose": lambda image: np.rot90(image, 2).T,
}


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_view_images_symmetries_equal_numpy(symmetry):
    image = np.arange(15).reshape(3, 5)
    seen = view_images(torch.from_numpy(image)[None, None], symmetry)
    np.testing.assert_array_equal(seen[0, 0].numpy(), TURNED[symmetry](image))


def filled(height: int, width: int, box: list[int]) -> torch.Tensor:
    image = torch.zeros(1, 1, height, width, dtype=torch.uint8)
    image[..., box[1] : box[3], box[0] : box[2]] = 255
    return image


def edges(image: torch.Tensor) -> torch.Tensor:
    """The box (1, 4) around what is light."""
    rows, columns = torch.nonzero(image[0, 0] > 127, as_tuple=True)
    sides = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.tensor([[float(side) for side in sides]])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(SYMMETRIES)), st.sampled_from([0.5, 0.8, 1.0, 1.25, 2.0]), st.data())
def test_invert_boxes_is_inverse(symmetry, scale, data):
    height, width = (32 * data.draw(st.integers(1, 3)) for _ in range(2))
    xmin, ymin = (data.draw(st.integers(0, side // 2 - 4)) * 2 for side in (width, height))
    xmax = data.draw(st.integers(xmin // 2 + 3, width // 2)) * 2
    ymax = data.draw(st.integers(ymin // 2 + 3, height // 2)) * 2
    view = symmetry if scale == 1.0 else f"{symmetry}@{scale}"
    seen = view_images(filled(height, width, [xmin, ymin, xmax, ymax]), view, stride=32)
    assert seen.shape[-1] % 32 == seen.shape[-2] % 32 == 0
    found = torch.from_numpy(invert_boxes(edges(seen).numpy(), view, height, width, stride=32))
    # Even sides stay whole at half, equal and double size; at others an edge is known to one pixel of the view.
    tolerance = 1e-4 if scale in (0.5, 1.0, 2.0) else 1.0 / scale
    torch.testing.assert_close(found, torch.tensor([[xmin, ymin, xmax, ymax]]).float(), atol=tolerance, rtol=0)


def test_view_images_pads_before_symmetry():
    seen = view_images(torch.full((1, 3, 32, 64), 200, dtype=torch.uint8), "hflip@1.25", stride=32)
    assert seen.shape == (1, 3, 64, 96)
    assert (seen[..., :40, 16:] == 200).all()
    assert seen.sum() == 3 * 40 * 80 * 200


def test_invert_boxes_of_no_boxes():
    assert invert_boxes(np.zeros((0, 4)), "rot90@1.5", 32, 64).shape == (0, 4)


def test_parse_view():
    assert parse_view("rot270") == ("rot270", 1.0)
    assert parse_view("transpose@0.75") == ("transpose", 0.75)
    for wrong in ("mirror", "hflip@", "hflip@x", "@2", "hflip@0.1", "hflip@1.0.0"):
        with pytest.raises(ValueError, match="view"):
            parse_view(wrong)
