"""The sheet of suspect labels, and what the page says of them."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.images.decode import ImageReader
from tropho.plots.label_issue_gallery import ANNOTATED, CALM, SUGGESTED_BOX, TILE, label_issue_gallery
from tropho.report.blocks import Code, Pictures, Table, Text
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.label_issue_chapter import label_issue_blocks
from tropho.report.reader import Folders, Reader
from tropho.tables import BOXES, LABEL_ISSUES, conform, empty, write_table


def suspects(*rows: tuple) -> pd.DataFrame:
    """Rows of (image_id, kind, given label, given box or (), suggested label, suggested box or ())."""
    table = [
        {
            "image_id": image_id,
            "kind": kind,
            "action": "drop",
            "score": 0.9,
            "rank": rank,
            "given_label": given,
            "suggested_label": suggested,
            **dict(zip((f"given_{side}" for side in ("xmin", "ymin", "xmax", "ymax")), given_box, strict=False)),
            **dict(zip((f"suggested_{side}" for side in ("xmin", "ymin", "xmax", "ymax")), found, strict=False)),
        }
        for rank, (image_id, kind, given, given_box, suggested, found) in enumerate(rows, start=1)
    ]
    return conform(pd.DataFrame(table).reindex(columns=list(LABEL_ISSUES)), LABEL_ISSUES)


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
    body[: -TILE - 38] = body[-38:] = 255
    return np.argwhere((body == colour).all(axis=2))


def test_a_crop_shows_the_annotated_the_suggested_and_other_boxes(raw):
    rows = suspects(("a", "badloc", "WBC", (100, 100, 150, 150), "WBC", (75, 100, 125, 150)))
    boxes = [("a", "WBC", 100, 100, 150, 150), ("a", "WBC", 60, 60, 80, 80), ("a", "WBC", 350, 250, 390, 290)]
    sheet = drawn(raw, rows, conform(pd.DataFrame(boxes, columns=list(BOXES)[:-1]), BOXES))
    scale = TILE / (3 * 75)  # the crop is three times as wide as both boxes together
    for colour, side in ((ANNOTATED, 50), (SUGGESTED_BOX, 50), (CALM, 20)):
        spots = has(sheet, colour)
        assert np.ptp(spots[:, 0]) == pytest.approx(side * scale, abs=3)
    left = has(sheet, SUGGESTED_BOX)[:, 1].min(), has(sheet, ANNOTATED)[:, 1].max()
    assert left[1] - left[0] == pytest.approx(75 * scale, abs=3)


def test_a_suspect_at_the_edge_stays_in_the_picture(raw):
    rows = suspects(("a", "unlabelled", None, (), "WBC", (360, 0, 400, 290)))
    spots = has(drawn(raw, rows, empty(BOXES)), SUGGESTED_BOX)
    assert len(spots) > 100
    assert np.ptp(spots[:, 0]) > np.ptp(spots[:, 1]) > 20


def test_images_without_boxes_are_shown_whole_and_broken_ones_left_out(raw):
    rows = suspects(
        ("b", "swap", "cat", (), "dog", ()),
        ("a", "swap", "dog", (), "cat", ()),
        ("a", "swap", "dog", (), "cat", ()),
    )
    sheet = drawn(raw, rows, empty(BOXES), most=2)
    assert sheet.shape[1] < 2 * TILE
    assert TILE * 3 // 4 < sheet.shape[0] < TILE * 3 // 4 + 80


def test_no_sheet_without_suspects_or_pictures(raw):
    assert drawn(raw, empty(LABEL_ISSUES), empty(BOXES)) is None
    assert drawn(raw, suspects(("a", "swap", "dog", (), "cat", ())), empty(BOXES), most=0) is None


@pytest.fixture
def blocks(tmp_path, settings, helpers):
    """A function that gives the page's blocks for these suspects."""

    def make(rows: pd.DataFrame | None, **knobs) -> list:
        if rows is not None:
            write_table(rows, tmp_path / "label_issues.csv", LABEL_ISSUES)
            helpers["photo"](tmp_path / "label_issues.png")
        folders = Folders(**{each.name: tmp_path for each in fields(Folders)})
        return label_issue_blocks(settings("smear_demo", **knobs), folders, Reader(), ImageEmbedder())

    return make


def test_the_page_counts_suspects_and_says_how_to_correct(blocks):
    row = ("a", "spurious", "WBC", (100, 100, 150, 150), None, ())
    made = blocks(suspects(row, row, ("a", "duplicate", "WBC", (0, 0, 9, 9), None, ())))
    (table,) = [each for each in made if isinstance(each, Table)]
    assert [[each[0], *each[2:]] for each in table.rows] == [["not found", "drop", "2"], ["double box", "drop", "1"]]
    said = " ".join(each.text for each in made if isinstance(each, Text))
    assert "contradict 3 labels" in said
    assert "into corrections/smear_demo.csv" in said
    (code,) = [each for each in made if isinstance(each, Code)]
    assert "corrections: corrections/smear_demo.csv" in code.lines[0]
    assert len([each for each in made if isinstance(each, Pictures)]) == 1


def test_the_page_names_the_table_that_is_in_use(blocks):
    row = ("a", "spurious", "WBC", (100, 100, 150, 150), None, ())
    made = blocks(suspects(row), **{"audit.corrections": "corrections/mine.csv"})
    assert "into corrections/mine.csv" in " ".join(each.text for each in made if isinstance(each, Text))


def test_the_page_without_suspects(blocks):
    assert blocks(None) == []
    (_, said) = blocks(empty(LABEL_ISSUES))
    assert said.text.startswith("No label contradicts")
