"""An audit after which nothing is left stops, says why, and leaves its tables to be looked at."""

import zipfile

import numpy as np
import pytest
from PIL import Image

HEADER = "Image_ID,class,confidence,ymin,xmin,ymax,xmax\n"
ROWS = "".join(f"{name}.png,cell,1,2,2,12,12\n" for name in ("a", "b", "c"))


@pytest.fixture
def boxed(project):
    """A project with a task on the folder `mine` with tables of three training images, and no images."""
    mine = project.root / "mine"
    (mine / "images").mkdir(parents=True)
    (mine / "Train.csv").write_text(HEADER + ROWS)
    (mine / "Test.csv").write_text(HEADER)
    download = {"source": "local", "path": "mine"}
    project.add("t", "detection", download=download, audit={"format": "boxes_csv"}, model={"name": "fcos"})
    project.mine = mine
    return project


def draw(path, seed=0):
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(path)


def stopped(project):
    project.tropho("download", "t")
    done = project.tropho("audit", "t", code=1)
    assert "Traceback" not in done.text, done.text
    assert (project.root / "data/audit/t/issues.csv").is_file(), done.text
    assert (project.root / "data/audit/t/summary.json").is_file()
    return done.text


def test_all_missing(boxed):
    said = stopped(boxed)
    assert "No training image can be used (3 missing)" in said
    assert "a.png" in said
    assert "unpacked" in said


def test_all_under_other_names(boxed):
    draw(boxed.mine / "images" / "photo_1.png")
    said = stopped(boxed)
    assert "(3 missing, 1 unlabelled)" in said
    assert "'images/photo_1.png'" in said
    assert "make the two agree" in said


def test_all_unreadable(boxed):
    for name in "abc":
        (boxed.mine / "images" / f"{name}.png").write_bytes(b"no image")
    said = stopped(boxed)
    assert "(3 unreadable)" in said
    assert "'a.png'" in said


def test_no_label_of_any_can_be_used(boxed):
    for number, name in enumerate("abc"):
        draw(boxed.mine / "images" / f"{name}.png", number)
    (boxed.mine / "Train.csv").write_text(HEADER + ROWS.replace(",2,2,12,12", ",x,2,12,12"))
    boxed.tropho("download", "t")
    said = boxed.tropho("audit", "t", code=1).text
    assert "Train.csv" in said
    assert "row 2: The cell ymin holds 'x'" in said


def test_all_boxes_outside(boxed):
    for number, name in enumerate("abc"):
        draw(boxed.mine / "images" / f"{name}.png", number)
    (boxed.mine / "Train.csv").write_text(HEADER + ROWS.replace(",2,2,12,12", ",92,92,112,112"))
    said = stopped(boxed)
    assert "(3 unlabelled)" in said
    assert "'a.png', the first, it is said: The cell box x 92 to 112, y 92 to 112 is outside the image." in said


def test_one_usable_image_is_enough_to_look_on(boxed):
    draw(boxed.mine / "images" / "a.png")
    boxed.run("t", "download", "audit")


def test_a_competitions_folder_as_it_comes(project):
    """Tables beside train.zip and test.zip, one of which wraps its images in a folder."""
    mine = project.root / "mine"
    mine.mkdir()
    (mine / "Train.csv").write_text(HEADER + ROWS)
    (mine / "Test.csv").write_text("Image_ID\nd.png\n")
    for subset, members in {"train": ("train/a", "train/b", "train/c"), "test": ("d",)}.items():
        with zipfile.ZipFile(mine / f"{subset}.zip", "w") as packed:
            for number, member in enumerate(members):
                draw(project.root / "drawn.png", seed=number + len(subset))
                packed.write(project.root / "drawn.png", f"{member}.png")
    download = {"source": "local", "path": "mine"}
    project.add("t", "detection", download=download, audit={"format": "boxes_csv"}, model={"name": "fcos"})
    project.run("t", "download", "audit")
    images = project.table("t", "images")
    assert images["status"].eq("ok").all()
    assert sorted(images["path"]) == ["test/d.png", "train/a.png", "train/b.png", "train/c.png"]


def test_audit_prints_what_it_read(boxed):
    for seed, name in enumerate("abc"):
        draw(boxed.mine / "images" / f"{name}.png", seed)
    said = boxed.run("t", "download", "audit").text
    assert "Read as boxes_csv: 3 train images, 3 boxes; 1 class: cell (3 boxes); 3 groups of images" in said
    assert "Columns of Train.csv: image" in said


def test_audit_prints_the_columns_of_a_table_of_classes(project):
    mine = project.root / "mine"
    mine.mkdir()
    for number in range(8):
        draw(mine / f"p{number}.png", number)
    rows = [f"p{number}.png,{('old', 'new')[number % 2]}\n" for number in range(8)]
    (mine / "labels.csv").write_text("image,class\n" + "".join(rows))
    project.add("t", "classification", download={"source": "local", "path": "mine"}, audit={"format": "label_csv"})
    said = project.run("t", "download", "audit").text
    assert "Read as label_csv: 8 train images; 2 classes: new (4 images), old (4 images); 8 groups of images" in said
    assert "Columns of labels.csv: image 'image', label 'class'." in said
