"""YOLO's and KITTI's text files, through the stages that a user runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import Project

YOLO = "1 0.3 0.5 0.4 0.5"
KITTI = "WBC 0.00 0 -1.57 10.00 20.00 50.00 60.00 -1 -1 -1 -1000 -1000 -1000 -10"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder of five training and five test images of 100 x 80 pixels."""
    rng = np.random.default_rng(0)
    for subset in ("train", "test"):
        for n in range(5):
            path = tmp_path / f"mine/{subset}/images/{subset}{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (80, 100, 3), dtype=np.uint8)).save(path)
    return tmp_path / "mine"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def audit(project: Project, raw: Path, name: str, code: int = 0, **settings: Any) -> str:
    """Run download and audit; return the text that audit prints."""
    sections = {"model": {"name": "fcos"}, "download": {"path": str(raw)}}
    project.add("t", "detection", audit={"format": name, **settings}, **sections)
    project.run("t", "download")
    return project.tropho("audit", "t", code=code).text


def states(project: Project) -> dict[str, str]:
    return {image.image_id: f"{image.subset} {image.status}" for image in project.table("t", "images").itertuples()}


def test_the_audit_reads_yolo(project, raw):
    write(raw / "data.yaml", "train: train/images\nval: val/images\nnames: [Trophozoite, 007]\nnc: 2\n")
    for n, text in enumerate((YOLO, f"{YOLO}\n7 0.5 0.5 0.1 0.1\n", "", "1 50 40 20 20\n")):
        write(raw / f"train/labels/train{n}.txt", text)
    text = audit(project, raw, "yolo")
    assert states(project) == {
        **{f"train{n}.png": "train ok" for n in (0, 1, 2, 4)},
        "train3.png": "train unlabelled",
        **{f"test{n}.png": "test ok" for n in range(5)},
    }
    lines = (project.root / "data/audit/t/boxes.csv").read_text().splitlines()
    assert [line.split(",")[:6] for line in lines[1:]] == [
        [f"train{n}.png", "007", "10.0", "20.0", "50.0", "60.0"] for n in range(2)
    ]
    issues = project.table("t", "issues")
    assert list(issues.loc[issues["kind"] == "bad_row", "row"]) == [2, 1]
    assert list(issues.loc[issues["kind"] == "no_label_file", "image_id"]) == ["train4.png"]
    assert "Images without a label file, which are read as images without objects: 1." in text
    assert "5 in a folder called test are the test set" in text
    assert "did you mean 'train'" in audit(project, raw, "yolo", code=2, train=["trian"])


def test_the_audit_reads_kitti(project, raw):
    ignored = KITTI.replace("WBC", "DontCare").replace("10.00 20.00", "60.00 10.00").replace("50.00 60.00", "90 40")
    for n, text in enumerate((f"{KITTI}\n{ignored}\n", ignored, "", "WBC 0 0 0 10 20\n")):
        write(raw / f"train/label_2/train{n}.txt", text)
    audit(project, raw, "kitti")
    table = project.table("t", "boxes")
    assert [tuple(row) for row in table[["image_id", "label", "xmin", "ignore"]].to_numpy()] == [
        ("train0.png", "WBC", 10, False),
        ("train0.png", "DontCare", 60, True),
        ("train1.png", "DontCare", 60, True),
    ]
    status = ["ok", "ok", "ok", "unlabelled", "unlabelled"]
    assert [states(project)[f"train{n}.png"] for n in range(5)] == [f"train {word}" for word in status]
    assert {states(project)[f"test{n}.png"] for n in range(5)} == {"test ok"}
    assert '"DontCare"' not in (project.root / "data/audit/t/summary.json").read_text()
