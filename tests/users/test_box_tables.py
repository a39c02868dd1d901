"""A box table goes through the stages that a user runs."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from project import Project

NAMES = {"007.png": "NA", "1e5.png": "TRUE", "NA.png": "007", "b c.png": "WBC"}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with an image and a box of each name."""
    folder = tmp_path / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(folder / name)
    rows = [f"{name},96,64,{label},1,2,30,40" for name, label in NAMES.items()]
    (folder / "labels.csv").write_text("\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *rows]))
    return folder


def add(project: Project, raw: Path, **audit: object) -> None:
    sections = {"download": {"path": str(raw)}, "split": {"n_folds": 2, "test_fraction": 0.0}}
    sections |= {"model": {"name": "fcos"}, "augment": {"image_size": 64}}
    project.add("t", "detection", audit={"format": "boxes_csv", **audit}, **sections)


def test_a_box_table_goes_through_the_stages(project, raw):
    add(project, raw)
    project.run("t", "download", "audit", "split", "augment")
    lines = (project.root / "data/audit/t/boxes.csv").read_text().splitlines()
    assert [line.split(",")[:6] for line in lines[1:]] == [
        [name, label, "1.0", "2.0", "30.0", "40.0"] for name, label in NAMES.items()
    ]
    summary = json.loads((project.root / "data/audit/t/summary.json").read_text())
    assert summary["columns"]["labels.csv"]["unit"] == "pixels"
    assert (project.root / "data/augmented/t").is_dir()


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"imag": "filename"}, "did you mean 'image'"), ({"image": "filenam"}, "did you mean 'filename'")],
)
def test_the_audit_refuses_unknown_columns(project, raw, columns, words):
    add(project, raw)
    project.run("t", "download")
    add(project, raw, columns=columns)
    assert words in project.tropho("audit", "t", code=2).text
