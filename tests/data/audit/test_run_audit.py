"""The whole audit on small folders with planted faults, and on the real data."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tropho.data.audit.run_audit import AuditResult, _add_sizes, _relative_boxes, audit, figures
from tropho.data.formats.label_collector import LABELLED_BOXES, LABELLED_IMAGES, Labels, table_of
from tropho.stages.audit import run
from tropho.tables import BOXES, IMAGES, ISSUES

HEADER = "Image_ID,class,confidence,ymin,xmin,ymax,xmax\n"


def photo(rng: np.random.Generator, width: int = 96, height: int = 64) -> Image.Image:
    coarse = rng.integers(0, 255, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def kinds(result: AuditResult) -> dict[str, int]:
    return result.issues["kind"].value_counts().to_dict()


def about(result: AuditResult, kind: str) -> list[str]:
    return sorted(result.issues.loc[result.issues["kind"] == kind, "image_id"])


@pytest.fixture
def folders(tmp_path, rng) -> Path:
    """train/{a,b} and test/{a,b} with four distinct images each."""
    for subset in ("train", "test"):
        for name in "ab":
            folder = tmp_path / subset / name
            folder.mkdir(parents=True)
            for number in range(4):
                photo(rng).save(folder / f"{number}.png")
    return tmp_path


@pytest.fixture
def smears(tmp_path, rng) -> Path:
    """Five photos with boxes; one of them missing, one torn."""
    (tmp_path / "images").mkdir()
    for name in "abcde":
        photo(rng).save(tmp_path / f"images/{name}.jpg")
    (tmp_path / "images/d.jpg").unlink()
    data = (tmp_path / "images/e.jpg").read_bytes()
    (tmp_path / "images/e.jpg").write_bytes(data[: len(data) // 2])
    rows = [f"{name}.jpg,WBC,1,10,10,30,30" for name in "abde"] + ["c.jpg,NEG,1,0,0,0,0"]
    rows += ["a.jpg,Trophozoite,1,-5,80,20,120", "b.jpg,WBC,1,11,10,30,30", "d.jpg,WBC,1,0,0,9999,9999"]
    (tmp_path / "Train.csv").write_text(HEADER + "\n".join(rows) + "\n")
    (tmp_path / "Test.csv").write_text(HEADER)
    return tmp_path


def test_audit_lists_nothing_of_clean_folders(settings, folders):
    result = audit(settings("cells_demo", **{"audit.group_pattern": None}), folders)
    assert result.issues.empty
    assert result.slides is None  # audit.cluster_slides is false
    assert (result.images["status"] == "ok").all()
    assert result.images["group"].nunique() == len(result.images) == 16
    assert list(result.images.columns) == list(IMAGES)
    assert result.summary["subsets"]["train"]["classes"]["a"]["images"] == 4


def test_audit_groups_copies_across_subsets(settings, folders):
    shutil.copy(folders / "test/a/0.png", folders / "train/a/copy.png")
    Image.open(folders / "test/b/1.png").save(folders / "train/a/again.bmp")
    Image.open(folders / "train/b/2.png").save(folders / "train/b/near.jpg", quality=85)
    result = audit(settings("cells_demo", **{"audit.group_pattern": None}), folders)
    assert about(result, "duplicate_image") == ["train/a/again.bmp", "train/a/copy.png"]
    assert about(result, "near_duplicate") == ["train/b/near.jpg"]
    assert about(result, "label_conflict") == ["train/a/again.bmp"]
    group = result.images.set_index("image_id")["group"]
    assert group["train/a/copy.png"] == group["test/a/0.png"]
    assert group["train/a/again.bmp"] == group["test/b/1.png"]
    assert group["train/b/near.jpg"] == group["train/b/2.png"]
    detail = result.issues.set_index("image_id")["detail"]
    assert detail["train/a/copy.png"].startswith("Same bytes as test/a/0.png (test), across")
    assert result.summary["duplicates"]["train_images_in_test"] == 2


def test_audit_joins_pattern_groups_with_duplicates(settings, folders):
    shutil.copy(folders / "train/a/0.png", folders / "train/b/copy.png")
    task = settings("cells_demo", **{"audit.group_pattern": "(train/[ab]/[0-3])"})
    result = audit(task, folders)
    rows = result.images.set_index("image_id")
    assert rows.loc["train/a/0.png", "group"] == rows.loc["train/b/copy.png", "group"] == "train/a/0"
    assert rows.loc["train/a/1.png", "group"] == "train/a/1"
    assert rows.loc["test/a/1.png", "group"] == "test/a/1.png"
    assert rows["duplicate"].notna().sum() == 2
    assert result.summary["groups"]["not_matched"] == 9

    subfolders = audit(settings("cells_demo", **{"audit.group_pattern": "(train/[ab])"}), folders)
    assert subfolders.images.set_index("image_id")["group"]["train/b/3.png"] == "train/a"


def test_audit_lists_missing_and_torn_images(settings, smears):
    result = audit(settings("smear_demo"), smears)
    status = result.images.set_index("image_id")["status"].to_dict()
    assert status == {"a.jpg": "ok", "b.jpg": "ok", "c.jpg": "ok", "d.jpg": "missing", "e.jpg": "unreadable"}
    assert about(result, "missing") == ["d.jpg"]
    assert about(result, "unreadable") == ["e.jpg"]
    assert "1 of 5 images are missing." in result.summary["notes"]
    assert result.summary["missing"] == 1
    assert set(result.boxes["image_id"]) == {"a.jpg", "b.jpg", "d.jpg"}


def test_audit_clips_boxes_of_known_sizes(settings, smears):
    result = audit(settings("smear_demo"), smears)
    assert about(result, "clipped") == ["a.jpg"]
    clipped = result.boxes[(result.boxes["image_id"] == "a.jpg") & (result.boxes["label"] == "Trophozoite")]
    assert clipped[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == [[80, 0, 96, 20]]
    assert result.boxes.loc[result.boxes["image_id"] == "d.jpg", "xmax"].max() == 9999
    assert about(result, "double_box") == ["b.jpg"]
    assert result.summary["doubles"] == {"pairs": 1, "images": 1}


def test_audit_calls_an_image_without_usable_boxes_unlabelled(settings, smears):
    with (smears / "Train.csv").open("a") as file:
        file.write("c.jpg,WBC,1,20,20,20,40\n")
    result = audit(settings("smear_demo"), smears)
    assert result.images.set_index("image_id").loc["c.jpg", "status"] == "unlabelled"


def test_audit_lists_mistyped_and_unlabelled_files(settings, smears, rng):
    photo(rng).save(smears / "images/a.jpg", format="PNG")
    photo(rng).save(smears / "images/stray.jpg")
    result = audit(settings("smear_demo"), smears)
    assert about(result, "mistyped") == ["a.jpg"]
    assert about(result, "unlabelled") == ["images/stray.jpg"]
    assert result.images.set_index("image_id").loc["images/stray.jpg", "status"] == "unlabelled"


def test_mistyped_images_are_kept(settings, smears, rng):
    photo(rng).save(smears / "images/a.jpg", format="PNG")
    result = audit(settings("smear_demo"), smears)
    assert result.images.set_index("image_id").loc["a.jpg", "status"] == "ok"
    assert result.issues.set_index("kind").loc["mistyped", "action"] == "listed"


def test_audit_compares_stated_sizes(settings, tmp_path, rng):
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / folder).mkdir()
    photo(rng).save(tmp_path / "JPEGImages/a.png")
    photo(rng).save(tmp_path / "a.png")
    size = "<size><width>64</width><height>96</height></size>"
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    text = f"<annotation>{size}<object><name>WBC</name>{box}</object></annotation>"
    (tmp_path / "Annotations/a.xml").write_text(text)
    task = settings("smear_demo", **{"audit.format": "voc", "audit.classes": None, "audit.negative": None})
    result = audit(task, tmp_path)
    assert kinds(result) == {"size_mismatch": 1, "no_label_file": 1}
    assert sorted(result.images["image_id"]) == ["JPEGImages/a.png", "a.png"]


def test_audit_warns_of_colour_modes_that_predict_the_class(settings, folders):
    for path in (folders / "train/a").iterdir():
        Image.open(path).convert("L").save(path)
    summary = audit(settings("cells_demo", **{"audit.group_pattern": None}), folders).summary
    assert summary["colour_modes"]["b"] == {"RGB": 1.0}
    assert summary["colour_modes"]["a"] == {"L": 0.5, "RGB": 0.5}
    assert summary["colour_mode_tells"] == {"accuracy_from_mode": 0.75, "accuracy_from_nothing": 0.5}
    assert any("colour mode" in note for note in summary["notes"])


def test_audit_repeats_itself(settings, folders):
    first, second = (audit(settings("cells_demo", **{"audit.group_pattern": None}), folders) for _ in range(2))
    assert first.images.equals(second.images)
    assert first.summary == second.summary


def test_stage_writes_tables_that_read_back(settings, smears, tmp_path_factory, capsys):
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(smears, root / "data/raw/smear_demo")
    result = run(settings("smear_demo"), root)
    folder = root / "data/audit/smear_demo"
    for name, schema, table in (
        ("images", IMAGES, result.images),
        ("boxes", BOXES, result.boxes),
        ("issues", ISSUES, result.issues),
    ):
        from tropho.tables import read_table

        assert read_table(folder / f"{name}.csv", schema).equals(table), name
    assert json.loads((folder / "summary.json").read_text()) == result.summary
    assert "1 of 5 images are missing." in capsys.readouterr().err
    names = {path.name for path in (folder / "figures").iterdir()}
    expected = {"class_counts.png", "image_sizes.png", "box_sizes.png", "objects_per_image.png", "issues.png"}
    assert names == expected


def test_figures_leave_out_what_is_empty(settings, folders, tmp_path_factory):
    to = tmp_path_factory.mktemp("figures")
    figures(audit(settings("cells_demo", **{"audit.group_pattern": None}), folders), folders, to)
    assert {path.name for path in to.iterdir()} == {"class_counts.png", "image_sizes.png"}


@pytest.mark.real
def test_real_competition_tables_with_one_image(settings, real_data):
    result = audit(settings("malaria"), real_data / "lacuna")
    assert kinds(result) == {"missing": 3924, "double_box": 329, "zero_area": 1}
    assert result.summary["doubles"] == {"pairs": 329, "images": 69}
    assert "3,924 of 3,925 images are missing." in result.summary["notes"]
    flat = result.issues[result.issues["kind"] == "zero_area"].iloc[0]
    assert (flat["image_id"], flat["file"], flat["row"]) == ("id_wd51nh9072.jpg", "Train.csv", 12019)
    assert result.images.loc[result.images["status"] == "ok", "width"].tolist() == [4032]


@pytest.mark.real
def test_real_brain_scans(settings, real_data):
    result = audit(settings("brain_tumor"), real_data / "brain_mri")
    duplicates = result.summary["duplicates"]
    assert duplicates["exact"] == 110
    assert duplicates["train_images_in_test"] > 60
    assert duplicates["biggest_set"] < 20
    assert result.summary["colour_mode_tells"]["accuracy_from_mode"] > 0.45


@pytest.mark.slow
@pytest.mark.real
def test_real_cells_by_slide(settings, real_data):
    task = settings("cells_demo", **{"audit.group_pattern": "(C[0-9]+[A-Z0-9]*?)_?[Tt]hin"})
    result = audit(task, real_data / "nih_cells")
    assert result.summary["groups"]["count"] == 30
    assert result.summary["groups"]["not_matched"] == 0
    assert result.summary["duplicates"]["sets"] == 0  # small grey cells look alike, but are different cells


@pytest.mark.real
def test_real_blood_cells(settings, real_data):
    task = settings("smear_demo", **{"audit.format": "voc", "audit.classes": None, "audit.negative": None})
    result = audit(task, real_data / "bccd")
    assert about(result, "zero_area") == ["BloodImage_00338.jpg", "BloodImage_00343.jpg"]
    assert (result.images["status"] == "ok").all()
    assert len(result.boxes) == 4886


def test_add_sizes_fills_in_what_labels_do_not_state(tmp_path):
    (tmp_path / "s.csv").write_text("image_id,width,height\na,10,20\na,1,1\nb,30,40\nd,5,\n")
    rows = [{"image_id": name, "path": name} for name in "acd"]
    rows.append({"image_id": "b", "path": "b", "stated_width": 7, "stated_height": 8})
    labelled = table_of(rows, LABELLED_IMAGES)
    sized = _add_sizes(labelled, "s.csv", tmp_path)
    assert sized["stated_width"].fillna(0).tolist() == [10, 0, 5, 7]
    assert sized["stated_height"].fillna(0).tolist() == [20, 0, 0, 8]
    assert _add_sizes(labelled, None, tmp_path).equals(labelled)


@pytest.mark.parametrize(("form", "unit", "expected"), [("boxes_csv", "shares", {"a"}), ("boxes_csv", "pixels", set()),
                                                     ("yolo", None, {"a", "b"})])  # fmt: skip
def test_relative_boxes_are_of_share_columns_or_yolo(settings, form, unit, expected):
    images = [{"image_id": name, "stated_width": 9 if name == "c" else None} for name in "abc"]
    boxes = [{"image_id": name, "label": "x", "file": f"{name == 'b'}.csv"} for name in "abc"]
    columns = {"False.csv": {"unit": unit}, "True.csv": {"unit": "pixels"}} if unit else {}
    tables = table_of(images, LABELLED_IMAGES), table_of(boxes, LABELLED_BOXES), table_of([], ISSUES)
    labels = Labels(*tables, ["x"], columns=columns)
    assert _relative_boxes(labels, settings("smear_demo", **{"audit.format": form}).audit) == expected
