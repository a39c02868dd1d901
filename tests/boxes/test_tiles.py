"""Looking at images tile by tile: what is found equals what is found in the whole image."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boxes.blobs import BlobDetector, blobs, painted
from tropho.boxes.box_ops import invert_boxes
from tropho.boxes.tiles import EDGE, EDGE_SHARE, predict_tiled, tile_windows
from tropho.boxes.tta import view_images
from tropho.config.model_config import STRIDE
from tropho.models import build_model
from tropho.orientation import SYMMETRIES
from tropho.tasks import build_task

MOST = 300

sides = st.integers(1, 9).map(lambda number: number * STRIDE)


@st.composite
def tilings(draw, least_overlap=0):
    """height, width, tile and overlap."""
    tile = draw(st.integers(1 + least_overlap // STRIDE, 5)) * STRIDE
    overlap = draw(st.integers(least_overlap // STRIDE, tile // STRIDE - 1)) * STRIDE
    return draw(sides), draw(sides), tile, overlap


def batch_of(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def rows(found: dict[str, torch.Tensor], *columns: str) -> list[list[float]]:
    """Class and box of what was found, and further columns, in an order of their own."""
    table = torch.cat(
        [found["labels"][:, None].float(), found["boxes"], *(found[name][:, None] for name in columns)], 1
    )
    return sorted(table.tolist())


@settings(max_examples=200, deadline=None)
@given(tilings())
def test_tile_windows_cover_image_and_overlap(tiling):
    height, width, tile, overlap = tiling
    windows = tile_windows(height, width, tile, overlap)
    assert not (windows % STRIDE).any()
    seen = np.zeros((height, width), int)
    for left, top, right, bottom in windows.tolist():
        assert (right - left, bottom - top) == (min(tile, width), min(tile, height))
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1
    for length, starts in ((width, windows[:, 0].unique()), (height, windows[:, 1].unique())):
        assert starts[0] == 0
        assert starts[-1] + min(tile, length) == length
        assert (starts.diff() <= tile - overlap).all()
        assert len(starts) == 1 or (len(starts) - 2) * (tile - overlap) + tile < length  # one fewer would not do


@settings(max_examples=120, deadline=None)
@given(st.data(), tilings(least_overlap=STRIDE), st.sampled_from(list(SYMMETRIES)))
def test_predict_tiled_finds_objects_once_and_whole(data, tiling, view):
    height, width, tile, overlap = tiling
    picture = painted(height, width, data.draw(blobs(height, width, 1, max(height, width))))
    (whole,) = BlobDetector()(batch_of(picture))
    (tiled,) = predict_tiled(BlobDetector(), view_images(batch_of(picture), view), tile, overlap, 4, MOST)
    tiled["boxes"] = torch.from_numpy(invert_boxes(tiled["boxes"].numpy(), view, height, width))
    assert rows(tiled) == rows(whole)


@settings(max_examples=120, deadline=None)
@given(st.data(), tilings(least_overlap=STRIDE))
def test_predict_tiled_keeps_scores_of_small_objects(data, tiling):
    height, width, tile, overlap = tiling
    fits = (
        int(min(overlap - 2 * EDGE, overlap / (1 + 2 * EDGE_SHARE))) - 1
    )  # one tile shows it whole and off its borders
    picture = painted(height, width, data.draw(blobs(height, width, 1, min(fits, height, width))))
    (whole,) = BlobDetector()(batch_of(picture))
    (tiled,) = predict_tiled(BlobDetector(), batch_of(picture), tile, overlap, 4, MOST)
    assert rows(tiled, "scores") == rows(whole, "scores")
    assert (tiled["scores"].diff() <= 0).all()


@settings(max_examples=120, deadline=None)
@given(st.data(), tilings(least_overlap=2 * STRIDE))
def test_predict_tiled_tolerates_detector_errors(data, tiling):
    """Sides are off by up to 1.5 pixels, another way in each tile; objects have 16 pixels or more, 7 are not seen."""
    height, width, tile, overlap = tiling
    picture = painted(height, width, data.draw(blobs(height, width, 16, max(16, height, width))))
    (true,) = BlobDetector()(batch_of(picture))
    (tiled,) = predict_tiled(BlobDetector(error=1.5, least=8), batch_of(picture), tile, overlap, 4, MOST)
    assert len(tiled["boxes"]) == len(true["boxes"])
    for label, *box in rows(true):
        off = [np.abs(np.subtract(other, box)).max() for same, *other in rows(tiled) if same == label]
        assert min(off) <= 8.5  # the rest of an object's end that was not seen, and the error


@settings(max_examples=50, deadline=None)
@given(st.data(), sides, sides, st.sampled_from(list(SYMMETRIES)))
def test_predict_tiled_one_tile_equals_image(data, height, width, view):
    seen = view_images(batch_of(painted(height, width, data.draw(blobs(height, width, 1, 60)))), view)
    tile = max(height, width) + STRIDE * data.draw(st.integers(0, 2))
    detector = BlobDetector()
    (whole,), (tiled,) = BlobDetector()(seen), predict_tiled(detector, seen, tile, 0, 4, MOST)
    assert detector.batches == [seen.shape]
    for name, value in whole.items():
        assert torch.equal(tiled[name], value.float())


def test_predict_tiled_without_overlap_keeps_parts():
    picture = painted(64, 128, [(40, 10, 60, 30, 1, False)])
    (tiled,) = predict_tiled(BlobDetector(), batch_of(picture), 64, 0, 4, MOST)
    assert rows(tiled) == [[1, 40, 10, 64, 40], [1, 64, 10, 100, 40]]


def test_predict_tiled_keeps_nested_objects():
    """A ring about a dot lie where two tiles see them whole, where one cuts the ring, and where both do."""
    for left in range(0, 128, 4):
        picture = np.zeros((96, 160, 3), np.uint8)
        picture[20:52, left : left + 32, 0] = 255
        picture[24:48, left + 4 : left + 28, 0] = 0
        picture[32:40, left + 12 : left + 20, 0] = 255
        (tiled,) = predict_tiled(BlobDetector(), batch_of(picture), 96, 64, 4, MOST)
        assert rows(tiled) == [[0, left, 20, left + 32, 52], [0, left + 12, 32, left + 20, 40]]


def test_predict_tiled_batches_and_skips_black_tiles():
    lit = painted(160, 96, [(70, 130, 20, 20, 0, False)])
    black = np.zeros_like(lit)
    detector = BlobDetector()
    first, second, third = predict_tiled(detector, batch_of(lit, black, lit), 64, 32, 3, MOST)
    # 4 x 2 tiles each; one shows the blob whole, and of an image without light one is looked at.
    assert [tuple(shape) for shape in detector.batches] == [(3, 3, 64, 64)]
    assert rows(first) == rows(third) == [[0, 70, 130, 90, 150]]
    assert len(second["boxes"]) == second["presence"] == 0


def test_predict_tiled_presence_and_max_detections():
    picture = painted(64, 160, [(2, 2, 20, 20, 0, False), (30, 30, 5, 5, 1, False), (120, 20, 30, 30, 1, False)])
    (all_of_them,) = predict_tiled(BlobDetector(), batch_of(picture), 64, 0, 4, MOST)
    assert all_of_them["presence"] == pytest.approx(30**2 / 64**2, abs=1e-6)
    (tiled,) = predict_tiled(BlobDetector(), batch_of(picture), 64, 0, 4, 2)
    torch.testing.assert_close(tiled["boxes"], all_of_them["boxes"][:2], atol=0, rtol=0)
    assert tiled["scores"].tolist() == sorted(all_of_them["scores"].tolist(), reverse=True)[:2]


@pytest.fixture
def fcos(settings):
    """An FCOS with random weights that finds much."""
    torch.manual_seed(0)
    changes = {"model.fpn_channels": 16, "model.score_threshold": 0.0, "model.max_detections": 2000}
    detector = build_model(settings("smear_demo", **changes).model, "detection", 2, 128)
    torch.nn.init.normal_(detector.head.class_logits.weight, std=0.5)
    return detector.eval()


@torch.inference_mode()
def test_predict_tiled_one_tile_with_fcos(fcos):
    images = torch.randint(0, 256, (2, 3, 96, 128), dtype=torch.uint8)
    whole, tiled = fcos(images), predict_tiled(fcos, images, 128, 64, 4, 2000)
    for one, other in zip(whole, tiled, strict=True):
        assert len(one["boxes"]) > 50
        for name, value in one.items():
            assert torch.equal(other[name], value.float())


class Near(torch.nn.Module):
    """Features of stride 8 that depend on the 15 pixels about a position."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 16, 16, 16]
        self.layers = torch.nn.ModuleList(torch.nn.Conv2d(*pair, 3, stride=2, padding=1) for pair in pairwise(widths))

    def forward(self, images):
        for layer in self.layers:
            images = layer(images).relu()
        return [images]


@torch.inference_mode()
def test_predict_tiled_equals_image_away_from_borders(settings):
    """FCOS without its group norms, which know of the whole picture, on features of near pixels."""
    torch.manual_seed(0)
    changes = {"model.fpn_levels": [3], "model.fpn_channels": 16, "model.score_threshold": 0.12}
    chosen = settings("smear_demo", **changes, **{"model.max_detections": 2000})
    detector = build_model(chosen.model, "detection", 2, 128).eval()
    detector.pyramid = Near()
    detector.head.class_tower = detector.head.box_tower = torch.nn.Identity()
    for layer in (detector.head.class_logits, detector.head.sides):
        torch.nn.init.normal_(layer.weight, std=1.0)
    height, width, tile, overlap = 288, 480, 256, 96
    images = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    borders = tile_windows(height, width, tile, overlap).float()
    borders[(borders == 0) | (borders == torch.tensor([width, height] * 2))] = torch.nan
    reach = (
        40  # pixels about a box, within which lie the positions of those that NMS weighs it against, and their pixels
    )

    def away(found: dict[str, torch.Tensor]) -> torch.Tensor:
        near = torch.zeros(len(found["boxes"]), dtype=torch.bool)
        for axis in (0, 1):
            for border in borders[:, axis::2].unique():
                near |= (found["boxes"][:, axis] < border + reach) & (found["boxes"][:, axis + 2] > border - reach)
        return torch.tensor(rows({name: value[~near] for name, value in found.items() if value.ndim}, "scores"))

    whole, tiled = detector(images)[0], predict_tiled(detector, images, tile, overlap, 4, 2000)[0]
    assert len(away(whole)) > 50
    # Pixels of a tile and of the image differ by up to half a thousandth in float32.
    torch.testing.assert_close(away(tiled), away(whole), atol=1e-3, rtol=0)


VIEWS = ["identity", "antitranspose", "hflip@1.25", "rot90@0.5", "vflip@2"]


@pytest.mark.parametrize("view", VIEWS)
def test_detection_task_tiles_each_view(settings, view):
    task = build_task(settings("smear_demo", **{"predict.tile_size": 96}), ["a", "b"])
    wanted = [
        (10, 8, 24, 24, 0, False),
        (84, 70, 28, 20, 1, True),
        (140, 100, 24, 30, 0, False),
        (150, 20, 30, 30, 1, False),
    ]
    batch = task.collate([task.sample(painted(140, 190, wanted)), task.sample(painted(100, 120, wanted))])
    whole = build_task(settings("smear_demo"), ["a", "b"]).predict(BlobDetector(), batch, view)
    detector = BlobDetector()
    tiled = task.predict(detector, batch, view)
    assert all(shape[-1] == shape[-2] == 96 for shape in detector.batches) or view == "rot90@0.5"
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_allclose(rows(other), rows(one), atol=1e-4)
    assert [len(each["boxes"]) for each in tiled] == [4, 2]


@pytest.mark.parametrize("view", VIEWS)
def test_detection_task_tiles_do_not_depend_on_batch(settings, view):
    task = build_task(settings("smear_demo", **{"predict.tile_size": 96}), ["a", "b"])
    wanted = [(5, 8, 50, 40, 0, False), (70, 5, 50, 110, 1, False), (130, 10, 45, 80, 0, False)]
    wide = painted(120, 185, wanted)
    tall, small = np.ascontiguousarray(wide.transpose(1, 0, 2)), painted(70, 100, wanted)
    pictures = [wide, tall, small, wide[:, ::-1].copy()]
    # Its boxes are off by what each tile shows of an object, so that another tiling gives others.
    together = task.predict(BlobDetector(error=1.5), task.collate([task.sample(each) for each in pictures]), view)
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = task.predict(BlobDetector(error=1.5), task.collate([task.sample(picture)]), view)
        assert len(alone["boxes"])
        for name, value in alone.items():
            assert torch.equal(found[name], value)


def test_detection_task_without_view_does_not_tile(settings):
    task = build_task(settings("smear_demo", **{"predict.tile_size": 64}), ["a", "b"])
    detector = BlobDetector()
    task.predict(detector, task.collate([task.sample(painted(100, 120, []))]))
    assert [tuple(shape[-2:]) for shape in detector.batches] == [(128, 128)]


def test_negative_task_does_not_tile(settings):
    changes = {"model.name": "negative_classifier", "predict.tile_size": 64}
    task = build_task(settings("smear_demo", **changes), ["a", "b"])
    detector = BlobDetector()
    task.predict(detector, task.collate([task.sample(painted(100, 120, []))]), "hflip")
    assert [tuple(shape[-2:]) for shape in detector.batches] == [(128, 128)]
