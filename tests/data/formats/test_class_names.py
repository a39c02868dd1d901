"""Class maps, class order and names that nobody knows."""

import pytest

from tropho.data.formats import readers
from tropho.errors import DataError, UsageError


@pytest.fixture
def folders(tmp_path):
    for name in ("1-none", "2-glioma", "3-meningioma"):
        for number in range(2):
            file = tmp_path / "train" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return tmp_path


def test_class_map_renames_merges_and_drops(settings, folders):
    class_map = {"1-none": "none", "2-glioma": "tumor", "3-meningioma": "tumor"}
    merged = readers.read(settings("cells_demo", **{"audit.class_map": class_map}), folders)
    assert merged.classes == ["none", "tumor"]
    assert merged.images["label"].value_counts().to_dict() == {"tumor": 4, "none": 2}

    dropped = readers.read(settings("cells_demo", **{"audit.class_map": {"3-meningioma": None}}), folders)
    assert dropped.classes == ["1-none", "2-glioma"]
    assert (dropped.images["status"] == "unlabelled").sum() == 2
    assert list(dropped.issues["kind"]) == ["dropped_class"]
    assert "2 images" in dropped.issues["detail"].iloc[0]


def test_class_map_swaps_names(settings, folders):
    plain = readers.read(settings("cells_demo"), folders).images.set_index("image_id")["label"]
    class_map = {"1-none": "2-glioma", "2-glioma": "1-none"}
    swapped = readers.read(settings("cells_demo", **{"audit.class_map": class_map}), folders)
    for image_id, label in swapped.images.set_index("image_id")["label"].items():
        assert label == class_map.get(plain[image_id], plain[image_id])


def test_class_map_order_of_classes(settings, folders):
    assert readers.read(settings("cells_demo"), folders).classes == ["1-none", "2-glioma", "3-meningioma"]
    order = ["3-meningioma", "1-none", "2-glioma"]
    assert readers.read(settings("cells_demo", **{"audit.classes": order}), folders).classes == order


@pytest.mark.parametrize(
    ("key", "value"),
    [("audit.class_map", {"2-gliomas": "glioma"}), ("audit.classes", ["1-none", "2-glioma", "3-menigioma"])],
)
def test_class_map_suggests_nearest_name(settings, folders, key, value):
    with pytest.raises(UsageError, match=r"did you mean '(2-glioma|3-meningioma)'"):
        readers.read(settings("cells_demo", **{key: value}), folders)


def test_class_map_quarantines_unlisted_class(settings, folders):
    labels = readers.read(settings("cells_demo", **{"audit.classes": ["1-none", "2-glioma"]}), folders)
    assert list(labels.issues["kind"]) == ["unknown_class"] * 2
    assert labels.images["label"].notna().sum() == 4


def test_class_map_refuses_misspelt_negative(settings, tmp_path):
    rows = "Image_ID,class,confidence,ymin,xmin,ymax,xmax\na.jpg,WBC,1,1,1,5,5\nb.jpg,Neg,1,0,0,0,0\n"
    (tmp_path / "Train.csv").write_text(rows)
    task = settings("smear_demo", **{"audit.classes": None})
    with pytest.raises(UsageError, match="did you mean 'Neg'"):
        readers.read(task, tmp_path)


def test_class_map_refuses_no_labels(settings, tmp_path):
    (tmp_path / "Train.csv").write_text("Image_ID,class,confidence,ymin,xmin,ymax,xmax\n")
    with pytest.raises(DataError, match="No training label could be read"):
        readers.read(settings("smear_demo"), tmp_path)


def test_class_map_dropped_class_leaves_negative(settings, tmp_path):
    rows = "a.jpg,WBC,1,1,1,5,5\nb.jpg,Trophozoite,1,1,1,5,5\n"
    (tmp_path / "Train.csv").write_text("Image_ID,class,confidence,ymin,xmin,ymax,xmax\n" + rows)
    task = settings("smear_demo", **{"audit.classes": None, "audit.class_map": {"WBC": None}})
    labels = readers.read(task, tmp_path)
    assert labels.classes == ["Trophozoite"]
    assert set(labels.images["status"]) == {"ok"}
