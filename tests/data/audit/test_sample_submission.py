"""Images that only the sample submission names."""

import pandas as pd
import pytest
from PIL import Image

from tropho.data.audit.sample_submission import with_sample_images
from tropho.data.formats.image_files import ImageFiles
from tropho.data.formats.label_collector import LABELLED_IMAGES, table_of
from tropho.submission.sample_file import read_sample


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "test").mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 8)).save(tmp_path / "test" / f"{name}.png")
    return tmp_path


def sample_of(raw, names):
    pd.DataFrame({"id": names, "label": ["x"] * len(names)}).to_csv(raw / "sample_submission.csv", index=False)
    return read_sample(raw / "sample_submission.csv")


def labelled(*names):
    return table_of(
        ({"image_id": f"test/{name}", "path": f"test/{name}", "subset": "test", "status": "ok"} for name in names),
        LABELLED_IMAGES,
    )


@pytest.mark.parametrize(
    ("known", "named"),
    [([], ["a", "b"]), (["a.png"], ["a", "b"]), (["a.png", "b.png"], ["a", "b"]), (["c.png"], ["a", "c"])],
)
def test_with_sample_images_adds_those_that_are_not_labelled(raw, known, named):
    table = with_sample_images(labelled(*known), sample_of(raw, named), ImageFiles(raw).paths)
    assert sorted(table["path"]) == sorted(
        {*(f"test/{name}" for name in known), *(f"test/{name}.png" for name in named)}
    )
    assert set(table["subset"]) == {"test"}


def test_with_sample_images_needs_no_sample(raw):
    assert list(with_sample_images(labelled("a.png"), None, [])["path"]) == ["test/a.png"]
