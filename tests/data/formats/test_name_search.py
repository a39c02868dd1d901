"""Which file a name means where several lie near, and the parts of paths."""

import pytest

from tropho.data.formats.image_files import (
    ImageFiles,
    Match,
    NamedFiles,
    climb,
    fold,
    is_absolute,
    parts_of,
    resolved,
    same_path,
    subset_of_path,
)


@pytest.mark.parametrize(
    ("paths", "name", "folder", "subset", "meant"),
    [
        # the nearest folder
        ("a/x.png a/b/x.png", "x.png", "a/b", "", "a/b/x.png"),
        ("a/x.png x.png", "x.png", "a/b", "", "a/x.png"),
        ("labels/x.png images/x.png", "x.png", "labels", "", "labels/x.png"),
        ("labels/deep/x.png images/x.png", "x.png", "labels", "", "images/x.png"),
        ("data/deep/x.png images/x.png", "x.png", "data", "", "data/deep/x.png"),
        # folders of the subset, and of another
        ("train/x.png test/x.png", "x.png", "", "test", "test/x.png"),
        ("all/x.png test/x.png", "x.png", "", "test", "test/x.png"),
        ("all/x.png train/x.png test/y.png", "x.png", "", "test", "all/x.png"),
        ("train/x.png test/y.png", "train/x.png", "labels", "test", "train/x.png"),
        ("train/a/x.png test/y.png", "a/x.png", "", "test", "a/x.png"),
        ("test/train/x.png test/y.png", "x.png", "", "test", "test/x.png"),
        # shared folders, then spelling, masks and folders of images
        ("p/a/x.png p/b/x.png", "q/a/x.png", "", "", "p/a/x.png"),
        ("p/a/x.png q/a/x.png", "q/a/x.png", "", "", "q/a/x.png"),
        ("a/x.PNG a/x.png", "x.png", "", "", "a/x.png"),
        ("a/x.png a/x.png.png", "x.png", "", "", "a/x.png"),
        ("a/X.png a/x.jpg", "x", "", "", "a/x.jpg"),
        ("masks/x.png other/x.png", "x.png", "", "", "other/x.png"),
        ("other/x.png img/x.png", "x.png", "", "", "img/x.png"),
        ("images/train/x.png images/old/x.png", "x.png", "labels/train", "", "images/train/x.png"),
        ("A/x.png a/x.png", "A/x.png", "", "", "A/x.png"),
        # none
        ("a/x.png", "y.png", "", "", "images/y.png"),
        ("a/x.png", "b/y.png", "", "", "b/y.png"),
        ("a/x.png", "/b/y.png", "", "", "images/y.png"),
        ("a/x.png", "..", "", "", "images/.."),
        ("pool/val/x.png val/x.png", "y.png", "", "validation", "pool/val/y.png"),
        ("pool/val/x.png pool/labels/x.png val/x.png", "y.png", "pool/labels", "validation", "pool/val/y.png"),
    ],
)
def test_find_nearest_file(paths, name, folder, subset, meant):
    assert NamedFiles(paths.split()).find(name, folder, subset).path == meant


@pytest.mark.parametrize("folder", ["", "d7", "d7/labels", "labels"])
def test_find_among_many_files(folder):
    files = NamedFiles([f"d{n}/images/x.png" for n in range(50)])
    assert files.find("d7/images/x.png", folder).path == "d7/images/x.png"
    assert files.find("d3\\images\\X.PNG", "").path == "d3/images/x.png"
    assert files.find("x.png", "").ambiguous
    assert files.find("x.png", "d7").path == "d7/images/x.png"
    assert files.find("x.png", "d7/labels").path == "d7/images/x.png"


def test_match_detail_of_ambiguous_name():
    assert Match("", ("a", "b")).detail("x").startswith("'x' may mean a or b; its")
    assert Match("", ("a", "b", "c")).detail("x").startswith("'x' may mean a or b (and 1 more); its")
    assert [Match("", tuple("abc"[:n])).found for n in range(3)] == [False, True, False]
    assert [Match("", tuple("abc"[:n])).ambiguous for n in range(3)] == [False, False, True]


def test_parts_of_paths():
    assert parts_of("file:///C:/a/./b//c.png") == ("a", "b", "c.png")
    assert parts_of(" D:\\a\\b.png ") == ("a", "b.png")
    assert [is_absolute(each) for each in ("/a", "\\a", "C:\\a", "file:a", "a/b", "C:a")] == [True] * 4 + [False] * 2
    assert resolved(("..", "a", "x"), "p/q") == ("p", "a", "x")
    assert resolved(("a", "..", "x"), "p/q") == ("x",)
    assert resolved(("..", "..", "..", "x"), "p") == ("x",)
    assert resolved(("a", "x"), "p/q") == ("a", "x")
    assert [climb("a/b", each) for each in ("a/b/x", "a/x", "x", "a/b/c/x", "c/b/x")] == [0, 1, 2, 0, 2]
    assert fold(" CAF\u00c9 ") == fold("cafe\u0301")
    assert subset_of_path("test/train/x.png") == "train"
    assert subset_of_path("val/images/train.png") == "validation"
    assert same_path("A\\b", ["a/b", "a/B", "c"]) == ["a/b", "a/B"]
    assert same_path("a/b", ["a/b", "a/B"]) == ["a/b"]


def test_image_files_left_aside(tmp_path):
    for name in ("a.png", "b.txt", ".c.png", "d/.e/f.png", "g/h.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = ImageFiles(tmp_path)
    assert (files.paths, files.left_aside, files.folders) == (["a.png", "g/h.png"], ["b.txt"], ["d", "g"])
    assert "a.png" in files
    assert "b.txt" not in files
