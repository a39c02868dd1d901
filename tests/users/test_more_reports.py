"""Further inputs of the kinds that users reported, through the stages that they run."""

import json

import numpy as np
import pytest
from PIL import Image

from drawn import QUICK, QUICK_CLASSES
from label_writers import draw, drawn_set, of, voc, voc_beside, write_csv, write_text

BOX = [5, 5, 20, 20]  # x, y, width, height
CORNERS = (5.0, 5.0, 25.0, 25.0)


@pytest.fixture
def audited(project, tmp_path):
    """Runs download and audit of tmp_path/mine: audited(kind, code, **audit) gives the audit's printed words."""

    def run(kind="detection", code=0, **audit):
        model = {"name": "fcos" if kind == "detection" else "resnet"}
        project.add("t", kind, download={"path": str(tmp_path / "mine")}, audit=audit, model=model)
        project.run("t", "download")
        return project.tropho("audit", "t", code=code).text

    return run


@pytest.fixture
def mine(tmp_path):
    """The folder of the user's data, with six pictures in images/."""
    for picture in drawn_set({"train": 6}):
        draw(picture, tmp_path / "mine" / "images")
    return tmp_path / "mine"


NAMES = [f"train {number}.b.png" for number in range(6)]


def coco(path, annotations, categories=("cell",), images=NAMES):
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(images)],
        "annotations": [{"id": i, "category_id": 0, "iscrowd": 0, **each} for i, each in enumerate(annotations)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories)],
    }
    write_text(path, json.dumps(content))


def boxes(project):
    return [(b.image_id, b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in project.table("t", "boxes").itertuples()]


def issues(project, kind):
    table = project.table("t", "issues")
    return table[table["kind"] == kind]


def test_boxes_that_two_files_hold_count_once(audited, project, mine):
    annotations = [{"image_id": number, "bbox": BOX} for number in range(6)]
    coco(mine / "annotations/instances_train2017.json", annotations)
    keypoints = [{**each, "keypoints": [9, 9, 2], "num_keypoints": 1} for each in annotations[:4]]
    coco(mine / "annotations/person_keypoints_train2017.json", keypoints)
    audited(format="coco")
    assert boxes(project) == [(name, "cell", *CORNERS) for name in NAMES]
    told = issues(project, "repeated_boxes")
    assert list(told["detail"]) == ["4 of its boxes stand in annotations/instances_train2017.json too."]


def test_an_equal_box_within_one_file_is_a_double_and_stays(audited, project, mine):
    coco(mine / "train.json", [{"image_id": 0, "bbox": BOX}] * 2)
    audited(format="coco")
    assert len(boxes(project)) == 2
    assert issues(project, "repeated_boxes").empty
    assert len(issues(project, "double_box")) == 1


def test_issues_name_files_below_the_data_set(audited, project, mine):
    coco(mine / "train.json", [{"image_id": 0, "bbox": BOX}])
    write_text(mine / "captions.json", json.dumps({"annotations": []}))
    audited(format="coco")
    detail = issues(project, "other_file")["detail"].iloc[0]
    assert detail.startswith("captions.json has no list 'images'")


def test_a_test_image_whose_own_annotations_are_useless_is_predicted(audited, project, mine):
    coco(mine / "train.json", [{"image_id": number, "bbox": BOX} for number in range(4)], images=NAMES[:4])
    coco(mine / "test.json", [{"image_id": 0, "bbox": []}, {"image_id": 1, "bbox": BOX}], images=NAMES[4:])
    audited(format="coco")
    images = project.table("t", "images").set_index("image_id")
    assert images.loc[NAMES[4], "status"] == "unlabelled"
    source = {"path": str(mine)}
    project.add(
        "t", "detection", download=source, audit={"format": "coco"}, split={"n_folds": 2}, model={"name": "fcos"}
    )
    project.run("t", "split")
    splits = (project.root / "data/splits/t.csv").read_text()
    assert all(f"{name},test," in splits for name in NAMES[4:])


def test_voc_beside_the_images_without_labels_of_the_test(audited, project, tmp_path):
    pictures = drawn_set({"train": 3, "val": 1, "test": 2})
    voc_beside(tmp_path / "mine", [each for each in pictures if each.subset != "test"])
    for picture in of(pictures, "test"):
        draw(picture, tmp_path / "mine" / "test")
    assert "3 train, 1 validation, 2 test images" in audited(format="voc")
    images = project.table("t", "images")
    assert images["subset"].value_counts().to_dict() == {"train": 3, "test": 2, "validation": 1}
    assert set(images["status"]) == {"ok"}


def test_voc_subset_folders_with_annotations_each(audited, project, tmp_path):
    for picture in drawn_set({"train": 3, "test": 2}):
        voc(tmp_path / "mine" / picture.subset, [picture])
    for lists in (tmp_path / "mine").rglob("ImageSets"):
        for file in lists.rglob("*.txt"):
            file.unlink()
        (lists / "Main").rmdir()
    audited(format="voc")
    assert project.table("t", "images")["subset"].value_counts().to_dict() == {"train": 3, "test": 2}


def test_voc_test_list_of_the_settings_counts_without_lists_for_training(audited, project, tmp_path):
    pictures = drawn_set({"train": 3, "test": 2})
    voc(tmp_path / "mine", pictures)
    top = tmp_path / "mine/VOC2012"
    (top / "ImageSets/Main/test.txt").rename(top / "held back.txt")
    for name in ("train", "val"):
        (top / f"ImageSets/Main/{name}.txt").unlink()
    (top / "ImageSets/Main").rmdir()
    audited(format="voc", test=["held back.txt"])
    images = project.table("t", "images").set_index("image_id")
    assert images["subset"].to_dict() == {each.name: each.subset for each in pictures}
    assert issues(project, "in_both_subsets").empty


def test_xml_of_another_layout_makes_no_image_empty(audited, project, tmp_path):
    pictures = drawn_set({"train": 3})
    voc(tmp_path / "mine", pictures)
    write_text(tmp_path / "mine/VOC2012/Annotations/train 0.b.xml", "<annotations><image id='0'/></annotations>")
    audited(format="voc")
    assert project.table("t", "images").set_index("image_id").loc["train 0.b.png", "status"] == "unlabelled"
    assert "its element is <annotations>" in issues(project, "bad_annotation")["detail"].iloc[0]


def test_further_pictures_of_a_stack_are_told(audited, project, tmp_path):
    frames = [Image.fromarray(np.full((20, 24), 40 * number, np.uint8)) for number in range(3)]
    for label in "ab":
        for number in range(2):
            path = tmp_path / "mine" / label / f"{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            several = frames[1:] if label == "a" else []
            frames[0].point(lambda value, by=number: value + by).save(path, save_all=True, append_images=several)
    assert "holds 3 pictures (an animation or a stack); the first alone is read" in audited("classification")
    assert list(issues(project, "further_frames")["image_id"]) == ["a/0.tif", "a/1.tif"]


def test_a_name_with_outer_blanks_is_found_and_the_one_without_comes_first(audited, project, tmp_path):
    pictures = drawn_set({"train": 2})
    for picture, name in zip(pictures, (" sp ace.png", "two.png"), strict=True):
        draw(picture, tmp_path / "mine")
        (tmp_path / "mine" / picture.name).rename(tmp_path / "mine" / name)
    write_csv(tmp_path / "mine/train.csv", [["id", "label"], [" sp ace", "a"], ["two", "b"]])
    audited("classification", format="label_csv")
    assert project.table("t", "images")["label"].to_dict() == {0: "a", 1: "b"}


@pytest.mark.parametrize(
    ("table", "heading"),
    [
        ("train.csv", "Image Index,Finding Labels"),
        ("train.tsv", "image\tlabel"),
        ("labels.TSV", "File Name\tDiagnosis"),
        ("meta.csv", "id,Class Name"),
    ],
)
def test_tables_of_labels_are_known_by_the_headings_of_box_tables(audited, project, mine, table, heading):
    sign = "\t" if "\t" in heading else ","
    rows = [f"{name}{sign}{'ab'[number % 2]}" for number, name in enumerate(NAMES)]
    write_text(mine / table, "\n".join([heading, *rows]))
    audited("classification", format="label_csv")
    assert list(project.table("t", "images")["label"]) == ["a", "b"] * 3


@pytest.mark.parametrize("loose", ["data/loose.png", "loose.png"])
@pytest.mark.parametrize("below", ["data", "data/train"])
def test_a_loose_image_makes_no_class_of_the_folder_around_the_classes(audited, project, tmp_path, loose, below):
    pictures = drawn_set({"train": 5})
    for number, picture in enumerate(pictures[:4]):
        draw(picture, tmp_path / "mine" / below / "ab"[number % 2])
    draw(pictures[4], tmp_path)
    (tmp_path / pictures[4].name).rename(tmp_path / "mine" / loose)
    audited("classification")
    images = project.table("t", "images").set_index("path")
    assert images.loc[images["status"] == "ok", "label"].value_counts().to_dict() == {"a": 2, "b": 2}
    assert images.loc[loose, "status"] == "unlabelled"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/1.avif": "", "b/2.avif": "", "x.txt": ""}, "There are no images"),
        (
            {"a/1.avif": "", "b/2.avif": "", "x.txt": ""},
            "its files are 2 with .avif, 1 with .txt, none of them an image",
        ),
    ],
)
def test_a_folder_without_images_tells_what_it_holds(audited, tmp_path, files, words):
    for name, text in files.items():
        write_text(tmp_path / "mine" / name, text)
    assert words in audited("classification", code=1)


def test_archives_that_are_not_unpacked_are_told_so(audited, project, mine):
    coco(mine / "train.json", [{"image_id": 0, "bbox": BOX}])
    write_text(mine / "more.rar", "Rar!")
    audited(format="coco")
    assert "pack archives as .zip" in issues(project, "other_files")["detail"].iloc[0]


def test_an_audit_of_nothing_usable_gives_the_images_own_reason(audited, tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    for number in range(3):
        write_text(tmp_path / f"mine/labels/{number}.txt", "0 0.5 0.5 0.2 0.2\n")
        (tmp_path / "mine/images").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"mine/images/{number}.jpg", exif=exif)
    said = audited(code=1, format="yolo")
    assert "of '0.jpg', the first, it is said: " in said
    assert "EXIF" in said.split("it is said: ")[1]
    assert "its status is" not in said


def test_a_negative_class_is_refused_where_images_have_classes(project, mine):
    project.add("t", "classification", download={"path": str(mine)}, audit={"negative": "a"})
    assert "audit.negative is for detection" in project.tropho("download", "t", code=2).text


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        pytest.param("detection", (2, 300), marks=pytest.mark.slow),
        pytest.param("detection", (300, 2), marks=pytest.mark.slow),
        ("classification", (2, 300)),
    ],
)
def test_pictures_of_any_shape_reach_the_report(project, tmp_path, monkeypatch, kind, size):
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    rows = []
    for number in range(6):
        name = f"{'ab'[number % 2]}/{number}.png"
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mine" / name)
        rows.append([name, "cell", 0, 0, *size])
    write_csv(tmp_path / "mine/Train.csv", [["path", "class", "xmin", "ymin", "xmax", "ymax"], *rows])
    form, quick = {"detection": ("boxes_csv", QUICK), "classification": ("image_folder", QUICK_CLASSES)}[kind]
    source = {"path": str(tmp_path / "mine")}
    project.add("t", kind, download=source, audit={"format": form}, split={"n_folds": 2}, **quick)
    project.run("t", "download", "audit", "split", "augment", "tune", "train", "evaluate", "submit", "report")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["007 1.0 5 5 25 25 Zellä 0.5 30 5 50 25", ""], [("007", *CORNERS), ("Zellä", 30, 5, 50, 25)]),
        (["1.0 5 5 20 20 0.9 30 5 20 20", ""], [("object", *CORNERS), ("object", 30, 5, 50, 25)]),
        (["007 5 5 20 20 Zellä 44 28 20 20", ""], [("007", *CORNERS), ("Zellä", 44, 28, 64, 48)]),
    ],
)
def test_strings_of_boxes_are_labels_too(audited, project, mine, cells, expected):
    rows = [[name[:-4], cells[number % 2]] for number, name in enumerate(NAMES)]
    write_csv(mine / "train.csv", [["ImageId", "PredictionString"], *rows])
    audited(format="boxes_csv")
    assert boxes(project) == [(name[:-4], *box) for name in NAMES[::2] for box in expected]
    assert set(project.table("t", "images")["status"]) == {"ok"}
