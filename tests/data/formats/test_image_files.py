"""Which file a name means."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as options
from hypothesis import strategies as st

from tropho.data.formats.image_files import ImageFiles, NamedFiles, subset_of, unique_ids


def files_of(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return ImageFiles(folder)


JOBS = ("job1/images/f.PNG", "job2/images/f.PNG")
COCO = ("train/0.png", "train/1.png", "val/0.png", "annotations/preview/0.png")
YOLO = ("images/train/0.jpg", "images/val/0.jpg", "images/train/deep/0.jpg")
PETS = ("images/cat_1.jpg", "annotations/trimaps/cat_1.png", "annotations/trimaps/._cat_1.png")


@pytest.mark.parametrize(
    ("paths", "name", "folder", "subset", "meant"),
    [
        (JOBS, "f.PNG", "job2/annotations", "", "job2/images/f.PNG"),
        (JOBS, "f.png", "job1/annotations", "", "job1/images/f.PNG"),
        (JOBS, "images/f.PNG", "job2", "", "job2/images/f.PNG"),
        (JOBS, "../images/f.PNG", "job2/annotations", "", "job2/images/f.PNG"),
        (JOBS, "/home/x/job2/images/f.PNG", "", "", "job2/images/f.PNG"),
        (JOBS, "C:\\cvat\\job1\\images\\f.PNG", "", "", "job1/images/f.PNG"),
        (JOBS, "file:///C:/cvat/job1/images/f.PNG", "", "", "job1/images/f.PNG"),
        (COCO, "0.png", "annotations", "validation", "val/0.png"),
        (COCO, "0.png", "annotations", "train", "train/0.png"),
        (COCO, "train\\0.png", "annotations", "validation", "train/0.png"),
        (("val2017/a.jpg", "train2017/a.jpg"), "a.jpg", "annotations", "validation", "val2017/a.jpg"),
        (("val/images/a.jpg", "train/images/a.jpg"), "images/a.jpg", "", "validation", "val/images/a.jpg"),
        (("train/a.jpg", "test/a.jpg"), "a.jpg", "train", "train", "train/a.jpg"),
        (YOLO, "0", "labels/train", "train", "images/train/0.jpg"),
        (YOLO, "0", "labels/train/deep", "train", "images/train/deep/0.jpg"),
        (YOLO, "0", "labels/val", "validation", "images/val/0.jpg"),
        (PETS, "cat_1", "annotations", "", "images/cat_1.jpg"),
        (("JPEGImages/a.jpg", "SegmentationClass/a.png"), "a", "Annotations", "", "JPEGImages/a.jpg"),
        (("a b [1] (x).v2.png",), "a b [1] (x).v2", "", "", "a b [1] (x).v2.png"),
        (("a b.png",), "a%20b.png", "", "", "a b.png"),
        (("a%20b.png", "a b.png"), "a%20b.png", "", "", "a%20b.png"),
        (("a.png", "images/a.png"), "a.png", "", "", "a.png"),
        (("images/a.png", "old/a.png"), "a.png", "", "", "images/a.png"),
        (("x/a.png", "x/A.png"), "A.png", "", "", "x/A.png"),
        (("x/a.jpg", "x/a.jpg.png"), "a.jpg", "", "", "x/a.jpg"),
        (("x/caf\u00e9.png",), "cafe\u0301.png", "", "", "x/caf\u00e9.png"),
        (("x\\a.png", "x/a.png"), "x\\a.png", "", "", "x\\a.png"),
    ],
)
def test_find_file_of_name(tmp_path, paths, name, folder, subset, meant):
    match = files_of(tmp_path, *paths).find(name, folder, subset)
    assert (match.path, match.found, match.ambiguous) == (meant, True, False)


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        (("a/x.png", "b/x.png"), "x.png"),
        (("a/x.png", "a/x.jpg"), "x"),
        (("a/x.PNG", "a/X.png"), "X.Png"),
        (("a/img/x.png", "b/img/x.png"), "D:\\img\\x.png"),
    ],
)
def test_find_ambiguous_name(tmp_path, paths, name):
    match = files_of(tmp_path, *paths).find(name)
    assert match.ambiguous
    assert not match.found
    assert match.candidates == tuple(sorted(paths))
    assert all(path in match.detail(name) for path in paths)


def test_find_ignores_other_subset(tmp_path):
    files = files_of(tmp_path, "train/0.png", "train/1.png", "val/0.png")
    assert files.find("1.png", "annotations", "validation") == ("val/1.png", ())
    assert files.find("1.png", "annotations", "train").path == "train/1.png"


def test_find_shares_subset_without_folder(tmp_path):
    files = files_of(tmp_path, "train/0.png", "train/1.png", "test/2.png")
    assert files.find("1.png", "annotations", "validation").path == "train/1.png"


def test_find_places_missing_file(tmp_path):
    files = files_of(tmp_path, "train/0.png")
    assert files.find("x.png").path == "images/x.png"
    assert files.find("a/x.png").path == "a/x.png"
    assert files.find("C:\\a\\x.png").path == "images/x.png"


@pytest.mark.parametrize(
    ("name", "subset"),
    [
        ("instances_val2017", "validation"),
        ("TrainImages", "train"),
        ("test", "test"),
        ("latest", ""),
        ("interval", ""),
        ("train_val", ""),
        ("images", ""),
    ],
)
def test_subset_of_whole_words(name, subset):
    assert subset_of(name) == subset


def test_unique_ids_are_names_where_unique():
    assert unique_ids(["a/1.png", "b/1.png", "b/2.png"]) == {
        "a/1.png": "a/1.png",
        "b/1.png": "b/1.png",
        "b/2.png": "2.png",
    }


def test_image_files_skip_litter(tmp_path):
    litter = (".DS_Store", "Thumbs.db", "__MACOSX/a.png", ".ipynb_checkpoints/a.png", "._a.png", "desktop.ini")
    files = files_of(tmp_path, "a.JPE", "b.jfif", "c.pgm", "d.Jp2", "e.dcm", "f", *litter)
    assert files.paths == ["a.JPE", "b.jfif", "c.pgm", "d.Jp2"]
    assert files.left_aside == ["e.dcm", "f"]


WORDS = st.text(st.sampled_from("abAB12 .-_()[]é%"), min_size=1, max_size=4).filter(
    lambda text: text.strip(" .") == text
)
FOLDERS = st.lists(st.sampled_from(["train", "val", "test", "images", "job1", "a"]) | WORDS, max_size=3)
PATHS = st.builds(
    lambda folders, stem, ending: "/".join([*folders, stem + ending]),
    FOLDERS,
    WORDS,
    st.sampled_from([".png", ".PNG", ".jpg"]),
)
SUBSETS = st.sampled_from(["", "train", "validation", "test"])


fast = options(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@fast
@given(st.sets(PATHS, min_size=1, max_size=8), SUBSETS)
def test_find_every_path(paths, subset):
    files = NamedFiles(paths)
    for path in paths:
        if subset and "/" not in path:
            continue  # a bare name is looked for in the folders of the subset first
        assert files.find(path, subset=subset).path == path


@fast
@given(
    st.sets(PATHS, min_size=1, max_size=8),
    st.data(),
    st.sampled_from(
        [
            lambda path: path.replace("/", "\\"),
            str.upper,
            str.lower,
            lambda path: unicodedata.normalize("NFD", path),
            lambda path: f"./{path}",
            lambda path: f"C:\\data\\{path}",
            lambda path: f"file:///home/x/{path}",
            lambda path: str(PurePosixPath(path).with_suffix("")),
        ]
    ),
)
def test_find_other_spellings(paths, data, spell):
    path = data.draw(st.sampled_from(sorted(paths)))
    match = NamedFiles(paths).find(spell(path))
    assert match.candidates
    if match.path != path:  # then something else is spelled so too, or answers alike
        assert len(paths) > 1
        assert match.ambiguous or len({unicodedata.normalize("NFC", each).casefold() for each in paths}) > 1
    if match.ambiguous:
        assert path in match.candidates


@fast
@given(st.sets(PATHS, min_size=1, max_size=8), st.data(), SUBSETS.filter(bool), st.sampled_from(["", "annotations"]))
def test_find_bare_name_in_own_subset(paths, data, subset, folder):
    own = [path for path in paths if _subset(path) == subset]
    assume(own)
    name = PurePosixPath(data.draw(st.sampled_from(sorted(paths)))).name
    match = NamedFiles(paths).find(name, folder, subset)
    assert all(_subset(path) in (subset, "") for path in match.candidates)
    if any(PurePosixPath(path).name == name for path in own):
        assert all(_subset(path) == subset for path in match.candidates)


def _subset(path):
    return next(filter(None, map(subset_of, reversed(PurePosixPath(path).parent.parts))), "")
