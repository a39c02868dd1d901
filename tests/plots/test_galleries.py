"""Tests of contact sheets."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stage_outputs import label_issues
from tropho.images.decode import ImageReader
from tropho.plots.galleries import ANNOTATED, ISSUE_TILE, OTHER_BOX, SUGGESTED_BOX, label_issue_gallery
from tropho.tables import BOXES, LABEL_ISSUES, conform, empty


@pytest.fixture
def raw(tmp_path):
    Image.new("RGB", (400, 300), (10, 10, 10)).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


IMAGES = pd.DataFrame({"image_id": ["a", "b"], "path": ["a.png", "broken.png"]})


def drawn(raw, rows: pd.DataFrame, boxes: pd.DataFrame, most: int = 24) -> np.ndarray | None:
    label_issue_gallery(rows, IMAGES, boxes, ImageReader(raw), raw / "sheet.png", most)
    return np.asarray(Image.open(raw / "sheet.png")) if (raw / "sheet.png").exists() else None


def has(sheet: np.ndarray, colour: tuple) -> np.ndarray:
    """Rows and columns of the pixels of a colour, between legend and caption: (n, 2)."""
    body = sheet.copy()
    body[: -ISSUE_TILE - 38] = body[-38:] = 255
    return np.argwhere((body == colour).all(axis=2))


def test_label_issue_gallery_draws_annotated_suggested_and_other_boxes(raw):
    rows = label_issues(("a", "badloc", "WBC", (100, 100, 150, 150), "WBC", (75, 100, 125, 150)))
    boxes = [("a", "WBC", 100, 100, 150, 150), ("a", "WBC", 60, 60, 80, 80), ("a", "WBC", 350, 250, 390, 290)]
    sheet = drawn(raw, rows, conform(pd.DataFrame(boxes, columns=list(BOXES)[:-1]), BOXES))
    scale = ISSUE_TILE / (3 * 75)  # the crop is three times as wide as both boxes together
    for colour, side in ((ANNOTATED, 50), (SUGGESTED_BOX, 50), (OTHER_BOX, 20)):
        spots = has(sheet, colour)
        assert np.ptp(spots[:, 0]) == pytest.approx(side * scale, abs=3)
    left = has(sheet, SUGGESTED_BOX)[:, 1].min(), has(sheet, ANNOTATED)[:, 1].max()
    assert left[1] - left[0] == pytest.approx(75 * scale, abs=3)


def test_label_issue_gallery_keeps_boxes_at_the_edge(raw):
    rows = label_issues(("a", "overlooked", None, (), "WBC", (360, 0, 400, 290)))
    spots = has(drawn(raw, rows, empty(BOXES)), SUGGESTED_BOX)
    assert len(spots) > 100
    assert np.ptp(spots[:, 0]) > np.ptp(spots[:, 1]) > 20


def test_label_issue_gallery_shows_whole_images_and_skips_broken_ones(raw):
    rows = label_issues(
        ("b", "swap", "cat", (), "dog", ()),
        ("a", "swap", "dog", (), "cat", ()),
        ("a", "swap", "dog", (), "cat", ()),
    )
    sheet = drawn(raw, rows, empty(BOXES), most=2)
    assert sheet.shape[1] < 2 * ISSUE_TILE
    assert ISSUE_TILE * 3 // 4 < sheet.shape[0] < ISSUE_TILE * 3 // 4 + 80


def test_label_issue_gallery_without_issues_writes_nothing(raw):
    assert drawn(raw, empty(LABEL_ISSUES), empty(BOXES)) is None
    assert drawn(raw, label_issues(("a", "swap", "dog", (), "cat", ())), empty(BOXES), most=0) is None
