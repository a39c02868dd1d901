"""Submissions in the layout of a competition's sample, through the stages that a user runs."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

TRAINED = ("download", "audit", "split", "augment", "tune", "train", "evaluate", "submit")
QUICK = {
    "augment": {"image_size": 16, "policy": "none"},
    "model": {"name": "mlp", "hidden_units": [4]},
    "train": {"epochs": 1, "batch_size": 8},
    "evaluate": {"gallery_images": 0},
}


def lines(project, task):
    return (project.root / "submissions" / f"{task}.csv").read_text(encoding="utf-8").splitlines()


def summary(project, task):
    return json.loads((project.root / "data" / "audit" / task / "summary.json").read_text(encoding="utf-8"))


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


class Competition:
    """Made-up files of a classification: train.csv, train/, test/, and what a test adds."""

    def __init__(self, project, labels=("0", "1", "2")):
        self.project, self.data = project, project.root / "source"
        self.rng = np.random.default_rng(1)
        rows = [("id", "label")]
        for number in range(4 * len(labels)):
            label = labels[number % len(labels)]
            self.image(f"train/tr{number:02d}.png", 60 * (number % len(labels)))
            rows.append((f"tr{number:02d}", label))
        write_rows(self.data / "train.csv", rows)

    def image(self, name, level=0):
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((level + self.rng.integers(0, 60, (16, 16, 3))).astype(np.uint8)).save(path)

    def rows(self, name, *rows):
        write_rows(self.data / name, rows)

    def add(self, **audit):
        sections = {"split": {"n_folds": 2}, **QUICK}
        download = {"source": "local", "path": str(self.data)}
        self.project.add("t", "classification", download=download, audit={"format": "label_csv", **audit}, **sections)


@pytest.fixture
def competition(project, monkeypatch):
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    return Competition(project)


@pytest.mark.real
@pytest.mark.parametrize("name", ["SampleSubmission.csv", "sample_submission.csv"])
def test_case_14_a_label_an_image_under_the_sample_s_ids(case, monkeypatch, name):
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    project, task = case("14", augment=QUICK["augment"], model=QUICK["model"], train=QUICK["train"])
    data = next(project.root.glob("14-*")) / "data"
    (data / "SampleSubmission.csv").rename(data / name)
    project.run(task, *TRAINED)
    written = lines(project, task)
    assert written[0] == "id,label"
    assert [line.split(",")[0] for line in written[1:]] == [f"te{number:04d}" for number in range(6)]
    assert {line.split(",")[1] for line in written[1:]} <= {"0", "1", "2"}
    project.tropho("check-submission", f"submissions/{task}.csv", "--sample", f"data/raw/{task}/{name}")


def test_rows_follow_the_sample_and_what_was_not_looked_at_is_told(competition):
    project = competition.project
    for number in (7, 8, 9):
        competition.image(f"test/{number:04d}.png")
    (competition.data / "test" / "0010.png").write_bytes(b"no picture")
    competition.image("test/0011.png")
    competition.rows("test.csv", ["id"], *([f"{number:04d}"] for number in (7, 8, 9, 10, 12)))
    ids = ["12", "9", "8", "7", "10", "11", "99"]
    competition.rows("sub/Sample Submission.csv", ["Id", "Label"], *([each, "0"] for each in ids))
    competition.add()
    said = project.run("t", "download", "audit").text
    assert "The submission will follow sub/Sample Submission.csv: 'Id' the image, 'Label' the class (0, 1, 2)." in said
    assert "Sample id: '99' can't be predicted: it is no test image." in said
    assert summary(project, "t")["sample"]["matched"] == 6
    issues = project.table("t", "issues")
    assert issues.loc[issues["kind"] == "sample_id", "row"].tolist() == [8]

    said = project.run("t", *TRAINED[2:]).text
    assert "whose rows hold default values: 3 (" in said
    assert "1 unreadable: test/0010.png" in said
    record = json.loads((project.root / "submissions" / "t.json").read_text())
    unseen = record["not_predicted"]
    assert {status: each["images"] for status, each in unseen.items()} == {
        "missing": 1,
        "unreadable": 1,
        "no test image": 1,
    }
    assert unseen["no test image"]["first"] == ["99"]
    assert record["checked"]
    written = lines(project, "t")
    assert written[0] == "Id,Label"
    assert [line.split(",")[0] for line in written[1:]] == ids
    sample = "data/raw/t/sub/Sample Submission.csv"
    project.tropho("check-submission", "submissions/t.csv", "--sample", sample)
    (project.root / "wrong.csv").write_text("\n".join([*written[:-1], "99,7"]) + "\n")
    said = project.tropho("check-submission", "wrong.csv", "--sample", sample, code=1).text
    assert "row 8, Label: unknown class '7'; the classes are 0, 1, 2." in said

    competition.image("new/x1.png")
    project.tropho("predict", "t", "source/new/x1.png", "source/test/0007.png", "--out", "out.csv")
    predicted = (project.root / "out.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in predicted] == ["Id", "x1", "7"]

    weights = next((project.root / "models" / "t" / "fold0").glob("*.safetensors"))
    weights.unlink()
    project.run("t", "submit")  # loads none
    assert lines(project, "t") == written


def test_images_that_only_the_sample_names_are_the_test(competition):
    for number in range(3):
        competition.image(f"test_images/{number}.jpg")
    competition.image("extra/other.png")
    competition.rows("sample_submission.csv", ["image_id", "0", "1", "2"], *([f"{n}.jpg", 0, 0, 0] for n in (2, 0, 1)))
    competition.add()
    competition.project.run("t", *TRAINED)
    written = lines(competition.project, "t")
    assert written[0] == "image_id,0,1,2"
    assert [line.split(",")[0] for line in written[1:]] == ["2.jpg", "0.jpg", "1.jpg"]
    sums = [sum(map(float, line.split(",")[1:])) for line in written[1:]]
    assert sums == pytest.approx([1, 1, 1], abs=1e-5)
    images = competition.project.table("t", "images").set_index("image_id")
    assert images.loc["extra/other.png", "status"] == "unlabelled"


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (["id", "target"], ["t0", "0.5"], "can't follow sample_submission.csv: column 'target' holds one probability"),
        (["id", "a", "b"], ["t0", "x", "y"], "can't follow sample_submission.csv: its columns 'a', 'b' name none of"),
        (["id", "0", "1"], ["t0", "0.5", "0.5"], "There is no column for class '2'; it is left out."),
        (["id", "label", "note"], ["t0", "0", "x"], "Nothing is known for column 'note'; it keeps the sample's cells."),
        (["id", "label"], ["t0", "ant"], "column 'label' holds 'ant', which is no class (0, 1, 2)."),
    ],
)
def test_what_a_sample_can_t_be_given_is_said_before_training(competition, header, row, said):
    competition.image("test/t0.png")
    competition.rows("sample_submission.csv", header, row)
    competition.add()
    project = competition.project
    assert said in project.run("t", "download", "audit").text
    issues = project.table("t", "issues")
    assert issues["kind"].str.startswith("sample_").sum() == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["id", "label"], ["zz", "0"]], "asks for 'zz', ..., and the test images are test/t0.png, ..."),
        ([["id", "label", "label"], ["t0", "0", "0"]], "columns 2 and 3 are both called 'label'"),
        ([["id", "label"]], "has no rows"),
    ],
)
def test_a_sample_by_which_nothing_could_be_submitted_stops_the_audit(competition, rows, said):
    competition.image("test/t0.png")
    competition.rows("test.csv", ["id"], ["t0"])
    competition.rows("sample_submission.csv", *rows)
    competition.add()
    competition.project.run("t", "download")
    assert said in competition.project.tropho("audit", "t", code=1).text


def test_of_two_samples_the_setting_names_one(competition):
    competition.image("test/t0.png")
    competition.rows("sample_submission.csv", ["id", "label"], ["t0", "0"])
    competition.rows("b/SampleSubmission.csv", ["Id", "Label"], ["t0", "0"])
    competition.add()
    project = competition.project
    project.run("t", "download")
    assert "b/SampleSubmission.csv" in project.tropho("audit", "t", code=1).text
    competition.add(sample="b/SampleSubmission.csv")
    project.run("t", "audit")
    assert summary(project, "t")["sample"]["columns"] == ["Id", "Label"]


def test_integer_labels_of_named_classes_need_to_be_told(competition, project):
    competition = Competition(project, ("cat", "dog"))
    competition.image("test/t0.png")
    competition.rows("sample_submission.csv", ["id", "label"], ["t0", "0"])
    competition.add()
    said = project.run("t", "download", "audit").text
    assert "list these in audit.classes in the order of their numbers" in said
    competition.add(classes=["dog", "cat"])
    project.run("t", "audit")
    assert summary(project, "t")["sample"]["labels"] == ["0", "1"]
    assert summary(project, "t")["sample"]["problem"] is None


def test_labels_that_class_map_renamed_are_submitted_as_they_came(competition):
    competition.image("test/t0.png")
    competition.rows("sample_submission.csv", ["id", "label"], ["t0", "0"])
    competition.add(class_map={"0": "healthy", "1": "mild", "2": "severe"})
    competition.project.run("t", "download", "audit")
    assert summary(competition.project, "t")["sample"]["labels"] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        (["image_id", "PredictionString"], ["NEG 1 0 0 1 1"]),
        (["Image", "label", "score", "x", "y", "w", "h"], ["NEG", 1, 0, 0, 0, 0]),
    ],
)
def test_boxes_in_the_layout_of_the_sample(project, monkeypatch, header, cells):
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    made = Competition(project)
    images, boxes = [], []
    for number in range(8):
        images.append({"id": number, "file_name": f"tr{number:02d}.png", "width": 16, "height": 16})
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [2, 3, 8, 6]})
    categories = [{"id": 1, "name": "cell"}]
    coco = {"images": images, "annotations": boxes[:6], "categories": categories}
    (made.data / "instances.json").write_text(json.dumps(coco))
    for number in range(2):
        made.image(f"test/t{number}.png")
    made.rows("sample_submission.csv", header, ["t1", *cells], ["t0", *cells])
    project.add(
        "t",
        "detection",
        download={"source": "local", "path": str(made.data)},
        audit={"format": "coco", "train": ["instances.json"], "negative": "NEG"},
        split={"n_folds": 2},
        augment={"image_size": 32, "policy": "none"},
        model={"name": "fcos", "fpn_channels": 8, "num_head_convs": 1},
        train=QUICK["train"],
        evaluate={"gallery_images": 0},
    )
    project.run("t", *TRAINED)
    written = lines(project, "t")
    assert written[0] == ",".join(header)
    assert written[1].startswith("t1,")
    assert "NEG" in "".join(written)
    assert [*dict.fromkeys(line.split(",")[0] for line in written[1:])] == ["t1", "t0"]
    assert json.loads((project.root / "submissions" / "t.json").read_text())["checked"]
    project.tropho("check-submission", "submissions/t.csv", "--sample", "data/raw/t/sample_submission.csv")
