"""`tropho new-task` on a drawn data set in every format: what it guesses, and that its entry runs unedited."""

import json
import re
import shutil

import pytest
import yaml

import label_writers as writers
from label_writers import CLASSES, drawn_set
from tropho.commands import new_task
from tropho.config.load import load_task
from tropho.new_task.time_estimate import Estimate

COUNTS = {"train": 20, "val": 6, "test": 4}
FORMATS = {
    writers.zindi: ("boxes_csv", "detection", {"test", "train", "sample"}),
    writers.corners_by_folder: ("boxes_csv", "detection", {"test", "validation", "train"}),
    writers.bbox_cells: ("boxes_csv", "detection", {"test", "train", "sample"}),
    writers.coco: ("coco", "detection", {"test", "validation", "train"}),
    writers.voc: ("voc", "detection", {"test", "validation", "train"}),
    writers.voc_beside: ("voc", "detection", {"test", "validation", "train"}),
    writers.yolo: ("yolo", "detection", {"test", "validation", "train"}),
    writers.kitti: ("kitti", "detection", {"test", "train"}),
    writers.class_folders: ("image_folder", "classification", {"test", "validation", "train"}),
    writers.bare_class_folders: ("image_folder", "classification", {"train"}),
    writers.label_tables: ("label_csv", "classification", {"test", "validation", "train", "sample"}),
    writers.one_label_table: ("label_csv", "classification", {"test", "validation", "train"}),
}


@pytest.fixture
def untimed(monkeypatch):
    """Leaves out the training that is measured."""
    monkeypatch.setattr(new_task, "estimate", lambda *_: Estimate(120.0, 300.0))


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_the_entry_of_each_format_runs_unedited(project, untimed, write):
    write(project.root / "mine", drawn_set(COUNTS))
    found = json.loads(project.tropho("new-task", "t", "mine", "--json").stdout)
    name, kind, subsets = FORMATS[write]
    assert (found["entry"]["audit"]["format"], found["entry"]["kind"]) == (name, kind)
    assert found["minutes"] == {"training": 2.0, "all": 5.0}
    boxes = r" with \d+ boxes" if kind == "detection" else ""
    named = ", ".join(sorted(CLASSES))
    assert re.fullmatch(rf"\d+ images{boxes} of {len(CLASSES)} classes: {named}", found["entry"]["description"])
    guesses = {guess["what"]: guess["guess"] for guess in found["guesses"]}
    assert ("sample submission" in guesses) == ("sample" in subsets)
    assert guesses["test set"] == ("4 images" if "test" in subsets else "a fifth")
    assert ("validation set" in guesses) == ("validation" in subsets)
    assert guesses["audit.group_pattern"] == "none"
    assert found["entry"]["audit"].get("negative") == ("NEG" if write is writers.zindi else None)
    assert load_task("t", project.root / "params.yaml").kind == kind
    project.run("t", "download", "audit", "split")
    images = project.table("t", "images")
    assert set(images["subset"]) == subsets - {"sample"}
    assert set(images["status"]) == {"ok"}
    summary = json.loads((project.root / "data/audit/t/summary.json").read_text())
    assert sorted(summary["classes"]) == sorted(CLASSES)


def test_an_archive_is_looked_into(project, untimed):
    writers.yolo(project.root / "mine", drawn_set(COUNTS))
    shutil.make_archive(str(project.root / "mine"), "zip", project.root / "mine")
    shutil.rmtree(project.root / "mine")
    project.tropho("new-task", "t", "mine.zip")
    assert not list((project.root / ".cache").iterdir())
    project.run("t", "download", "audit", "split")


def test_columns_are_guessed_from_cells_where_headings_say_nothing(project, untimed):
    pictures = drawn_set({"train": 20})
    for each in pictures:
        writers.draw(each, project.root / "mine" / "pics")
    rows = [[n, each.name[:-4], ("healthy", "sick")[n % 2], n / 7] for n, each in enumerate(pictures)]
    writers.write_csv(project.root / "mine" / "findings.csv", [["number", "scan", "verdict", "weight"], *rows])
    found = json.loads(project.tropho("new-task", "t", "mine", "--json").stdout)
    assert found["entry"]["audit"]["columns"] == {"image": "scan", "label": "verdict"}
    project.run("t", "download", "audit", "split")
    assert set(project.table("t", "images")["label"]) == {"healthy", "sick"}


def test_a_table_that_names_no_image_is_refused_for_that(project, untimed):
    pictures = drawn_set({"train": 20})
    for each in pictures:
        writers.draw(each, project.root / "mine" / "pics")
    rows = [[f"scan{number}", ("old", "new")[number % 2]] for number in range(20)]
    writers.write_csv(project.root / "mine" / "labels.csv", [["Datei", "Klasse"], *rows])
    said = project.tropho("new-task", "t", "mine", code=1).text
    first = min(each.name for each in pictures)
    assert f"label_csv: no column of labels.csv names the images of the folder (such as 'pics/{first}')" in said
    assert "its first row is Datei 'scan0', Klasse 'old'" in said
    assert "imageid" not in said


def test_what_is_not_read_is_counted_with_its_first_case(project, untimed):
    writers.yolo(project.root / "mine", drawn_set(COUNTS))
    broken = sorted((project.root / "mine").rglob("*.txt"))[:2]
    for path in broken:
        path.write_text(path.read_text() + "0 0.5 0.5 x 0.1\n")
    (project.root / "mine" / "notes.pdf").write_bytes(b"%PDF")
    found = json.loads(project.tropho("new-task", "t", "mine", "--json").stdout)
    problems = {each["guess"]: each["why"] for each in found["guesses"] if each["what"] == "not read as it is"}
    assert problems["2 bad_row"].startswith(f"{broken[0].relative_to(project.root / 'mine').as_posix()}, row ")
    assert "1 files end in .pdf, such as notes.pdf" in problems["1 other_files"]


def test_images_that_can_not_be_opened_are_not_counted(project, untimed):
    writers.yolo(project.root / "mine", drawn_set(COUNTS))
    broken = sorted((project.root / "mine").rglob("*.png"))[:2]
    broken[0].write_bytes(b"")
    broken[1].write_bytes(b"<html>not found</html>")
    found = json.loads(project.tropho("new-task", "t", "mine", "--json").stdout)
    assert found["entry"]["description"].startswith("28 images with")
    why = {each["guess"]: each["why"] for each in found["guesses"]}["2 unreadable"]
    assert why.startswith(broken[0].relative_to(project.root / "mine").as_posix())


def test_a_table_about_something_else_is_named(project, untimed):
    writers.draw(drawn_set({"train": 1})[0], project.root / "mine")
    writers.write_csv(project.root / "mine" / "prices.csv", [["day", "price"], ["monday", "3"], ["tuesday", "4"]])
    said = project.tropho("new-task", "t", "mine", code=1).text
    assert "No labels are recognised" in said
    assert "no column of prices.csv names the images" in said


def test_an_entry_keeps_the_comments_and_the_tasks_that_have_run(project, untimed):
    before = (project.root / "params.yaml").read_text()
    writers.class_folders(project.root / "mine", drawn_set(COUNTS))
    shown = project.tropho("new-task", "t", "mine", "--dry-run").text
    assert "Nothing was written" in shown
    assert (project.root / "params.yaml").read_text() == before
    (project.root / "data/raw/smear_demo").mkdir(parents=True)  # a run of the demos has begun
    shown = project.tropho("new-task", "t", "mine").text
    assert "active beside smear_demo" in shown
    assert "dvc repro report@t" in shown
    assert "about 5 minutes on this machine" in shown
    after = (project.root / "params.yaml").read_text()
    kept = before.replace("- cells_demo\n", "- cells_demo\n- t\n", 1)
    assert after.startswith(kept)
    assert "# Written by `tropho new-task` from mine" in after.removeprefix(kept)
    assert "# Write into `description` what the images show" in after.removeprefix(kept)
    assert yaml.safe_load(after)["active"] == ["smear_demo", "cells_demo", "t"]


def test_a_training_with_fewer_epochs_keeps_a_curve_of_several_points(project, monkeypatch):
    monkeypatch.setattr(new_task, "estimate", lambda *_: Estimate(4 * 3600.0, 5 * 3600.0))
    writers.yolo(project.root / "mine", drawn_set(COUNTS))
    laptop = json.loads(project.tropho("new-task", "t", "mine", "--json").stdout)["entry"]["presets"]["laptop"]
    assert laptop["train.epochs"] == 10  # a quarter of 40
    assert laptop["train.val_interval"] == 2


def test_unused_demos_are_replaced_by_name_and_no_other_task_is(project, untimed):
    writers.class_folders(project.root / "mine", drawn_set(COUNTS))
    shown = project.tropho("new-task", "a", "mine").text
    assert "smear_demo and cells_demo are no longer active: no stage of them has run." in shown
    shown = project.tropho("new-task", "b", "mine").text
    assert "active beside a." in shown
    assert "no longer active" not in shown
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    assert params["active"] == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["smear_demo", "mine"], 2, "has a task 'smear_demo' already"),
        (["my task", "mine"], 2, "can't be the name of a task"),
        (["t", "nowhere"], 2, "There is no 'nowhere'"),
        (["t", "mine", "--format", "xml"], 2, "is not a format"),
        (["t", "mine", "--format", "voc"], 1, "can't be read as voc"),
        (["t", "mine"], 1, "No labels are there for the images in "),
    ],
)
def test_what_can_not_be_a_task_is_refused_in_a_sentence(project, words, code, message):
    writers.draw(drawn_set({"train": 1})[0], project.root / "mine")
    done = project.tropho("new-task", *words, code=code)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "name", "kind", "classes", "has_groups"),
    [
        ("bccd", "voc", "detection", 3, False),
        ("brain_mri", "image_folder", "classification", 4, False),
        pytest.param("nih_cells", "image_folder", "classification", 2, True, marks=pytest.mark.slow),
    ],
)
def test_real_data_runs_unedited(project, untimed, real_data, folder, name, kind, classes, has_groups):
    found = json.loads(project.tropho("new-task", "t", real_data / folder, "--json").stdout)
    audit = found["entry"]["audit"]
    assert (audit["format"], found["entry"]["kind"], len(audit["classes"])) == (name, kind, classes)
    assert ("group_pattern" in audit) == has_groups
    project.run("t", "download", "audit", "split")
    images = project.table("t", "images")
    assert (images["status"] == "ok").mean() > 0.99
    if has_groups:
        assert 20 < images["group"].nunique() < 100  # slides
