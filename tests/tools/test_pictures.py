"""The pictures of the pages: small, all used, and made by a command that says what it needs."""

import re

import pictures
import pytest
from PIL import Image

from conftest import ROOT

FILES = sorted((ROOT / "docs" / "pictures").iterdir())


def test_there_is_a_picture_of_every_page_of_the_program():
    assert {"report", "slider", "app", "review", "mlflow", "docs"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_picture_is_small_and_used(path):
    assert path.stat().st_size <= pictures.MAX_BYTES
    with Image.open(path) as image:
        assert max(image.size) <= max(pictures.SIZE)
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(re.search(rf"\]\((docs/)?pictures/{path.name}\)", page.read_text(encoding="utf-8")) for page in pages)


def test_missing_results_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"reports/smear_demo/index\.html is not there; run `make demo`"):
        pictures.main([])
