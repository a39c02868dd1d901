"""A folder a class."""

from pathlib import Path

import pytest

from tropho.data.formats import readers
from tropho.errors import DataError, UsageError


@pytest.fixture
def task(settings):
    return settings("cells_demo")


def place(raw: Path, *paths: str) -> Path:
    for path in paths:
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).touch()
    return raw


def rows(labels) -> dict[str, tuple]:
    images = labels.images
    labelled = images["label"].astype(object).where(images["label"].notna(), None)
    return dict(zip(images["image_id"], zip(images["subset"], labelled, strict=True), strict=True))


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("top", ["", "brain/scans/"])
def test_read_usual_folders_in_any_case(task, tmp_path, train, top):
    raw = place(
        tmp_path,
        f"{top}{train}/a/1.png",
        f"{top}{train}/b/2.PNG",
        f"{top}valid/b/3.jpg",
        f"{top}Test/a/4.jpeg",
    )
    assert rows(readers.read(task, raw)) == {
        f"{top}{train}/a/1.png": ("train", "a"),
        f"{top}{train}/b/2.PNG": ("train", "b"),
        f"{top}valid/b/3.jpg": ("validation", "b"),
        f"{top}Test/a/4.jpeg": ("test", "a"),
    }


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
@pytest.mark.parametrize("named", [None, ["fit", "{name}"]])
def test_read_validation_folder_names(settings, tmp_path, name, named):
    train = "fit" if named else "train"
    raw = place(tmp_path, f"{train}/a/1.png", f"{train}/b/2.png", f"{name}/b/3.png", f"{name}/loose.png")
    folders = named and [each.format(name=name) for each in named]
    labels = readers.read(settings("cells_demo", **{"audit.train": folders}), raw)
    assert rows(labels)[f"{name}/b/3.png"] == ("validation", "b")
    assert rows(labels)[f"{train}/b/2.png"] == ("train", "b")
    assert list(labels.issues["image_id"]) == [f"{name}/loose.png"]


def test_read_class_folders_at_top_for_training(task, tmp_path):
    raw = place(tmp_path, "Parasitized/1.png", "Uninfected/slide/2.png")
    assert rows(readers.read(task, raw)) == {
        "Parasitized/1.png": ("train", "Parasitized"),
        "Uninfected/slide/2.png": ("train", "Uninfected"),
    }


def test_read_loose_images(task, tmp_path):
    raw = place(tmp_path, "train/a/1.png", "train/b/2.png", "train/loose.png", "test/3.png")
    labels = readers.read(task, raw)
    status = dict(zip(labels.images["image_id"], labels.images["status"], strict=True))
    assert status["test/3.png"] == "ok"
    assert status["train/loose.png"] == "unlabelled"
    assert list(labels.issues["image_id"]) == ["train/loose.png"]


def test_read_skips_hidden_files(task, tmp_path):
    raw = place(tmp_path, "train/a/1.png", "train/b/2.png", "train/a/._1.png", "__MACOSX/train/a/1.png", ".x/a/1.png")
    assert len(rows(readers.read(task, raw))) == 2


def test_read_named_folders(settings, tmp_path):
    raw = place(tmp_path, "fold1/a/1.png", "fold2/b/2.png", "fold3/a/3.png", "fold4/a/4.png")
    named = {"audit.train": ["fold1", "fold2"], "audit.test": ["fold3/"]}
    assert {key: value[0] for key, value in rows(readers.read(settings("cells_demo", **named), raw)).items()} == {
        "fold1/a/1.png": "train",
        "fold2/b/2.png": "train",
        "fold3/a/3.png": "test",
    }
    with pytest.raises(UsageError, match="did you mean 'fold1'"):
        readers.read(settings("cells_demo", **{"audit.train": ["Fold_1"]}), raw)


def test_read_refuses_test_folder_only(task, tmp_path):
    with pytest.raises(DataError, match=r"name it in audit\.train"):
        readers.read(task, place(tmp_path, "test/a/1.png", "other/a/2.png"))


def test_read_refuses_no_images(task, tmp_path):
    with pytest.raises(DataError, match="no images"):
        readers.read(task, tmp_path)
    with pytest.raises(DataError, match="no class folders"):
        readers.read(task, place(tmp_path, "1.png"))


def test_read_follows_circular_links_once(task, tmp_path):
    raw = place(tmp_path, "a/1.png", "b/2.png")
    (raw / "a" / "loop").symlink_to(raw, target_is_directory=True)
    assert len(rows(readers.read(task, raw))) == 2
