import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tropho.data.formats import readers
from tropho.data.sources import fetch
from tropho.metrics.leaderboard_map import leaderboard_map
from tropho.paths import Paths
from tropho.submission.competition_csv import read_competition_csv

HEADER = "Image_ID,class,confidence,ymin,xmin,ymax,xmax"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def smear(settings, tmp_path_factory):
    root = tmp_path_factory.mktemp("smear")
    task = settings("smear_demo", **{"download.images": 28, "download.test_images": 12})
    return task, root, root / "data" / "raw" / task.name, fetch(task, root / "data" / "raw" / task.name, root)


def test_fetch_writes_competition_files_without_truth(smear):
    _, _, raw, _ = smear
    assert {path.name for path in raw.iterdir()} >= {
        "Train.csv",
        "Test.csv",
        "SampleSubmission.csv",
        "images",
    }
    train, test = pd.read_csv(raw / "Train.csv"), pd.read_csv(raw / "Test.csv")
    for name in ("Train.csv", "Test.csv", "SampleSubmission.csv"):
        assert (raw / name).read_text().splitlines()[0] == HEADER
    assert train["Image_ID"].nunique() == 28
    assert len(test) == 12
    assert test.drop(columns="Image_ID").isna().all(axis=None)
    assert not set(train["Image_ID"]) & set(test["Image_ID"])
    pictures = {path.name for path in (raw / "images").iterdir()}
    assert pictures == set(train["Image_ID"]) | set(test["Image_ID"])


def test_sample_has_three_rows_per_image(smear):
    _, _, raw, _ = smear
    lines = (raw / "SampleSubmission.csv").read_text().splitlines()[1:]
    first = lines[0].split(",")[0]
    assert lines[:3] == [f"{first},{label},0.5,100,100,100,100" for label in ("NEG", "Trophozoite", "WBC")]
    assert len(lines) == 36


def test_negative_rows_have_zero_boxes(smear):
    _, _, raw, _ = smear
    train = pd.read_csv(raw / "Train.csv")
    negative = train[train["class"] == "NEG"]
    assert len(negative) == 7
    assert (negative[["ymin", "xmin", "ymax", "xmax"]] == 0).all(axis=None)
    assert (train.groupby("Image_ID")["class"].nunique()[negative["Image_ID"]] == 1).all()
    assert train[["ymin", "xmin", "ymax", "xmax"]].dtypes.eq(np.int64).all()


def test_reported_faults_are_in_the_table(smear):
    _, _, raw, provenance = smear
    train = pd.read_csv(raw / "Train.csv")
    flat = train[(train["class"] != "NEG") & (train["ymax"] == train["ymin"])]
    assert flat["Image_ID"].tolist() == provenance["faults"]["zero_height"]
    assert len(flat) == 1
    assert set(provenance["faults"]["doubled"]) <= set(train["Image_ID"])
    assert provenance["rows"]["train"] == train["class"].value_counts().sort_index().to_dict()


def test_held_out_truth_scores_itself_perfectly(smear):
    task, root, raw, _ = smear
    path = Paths(root, task.name).held_out
    assert raw not in path.parents
    truth = read_competition_csv(path)
    assert set(truth["image_id"]) == set(pd.read_csv(raw / "Test.csv")["Image_ID"])
    assert leaderboard_map(truth, truth)["score"] == pytest.approx(1.0)


def test_boxes_csv_reads_generated_table(smear):
    task, _, raw, _ = smear
    labels = readers.read(task, raw)
    assert len(labels.images) == 40
    assert set(labels.boxes["label"]) == {"Trophozoite", "WBC"}


def test_fetch_is_deterministic(smear, tmp_path):
    task, root, raw, provenance = smear
    again = tmp_path / "data" / "raw" / task.name
    assert fetch(task, again, tmp_path) == provenance
    assert digests(again) == digests(raw)
    assert Paths(tmp_path, task.name).held_out.read_bytes() == Paths(root, task.name).held_out.read_bytes()
    assert [path.name for path in again.parent.iterdir()] == [task.name], "nothing temporary stays"


def test_fetch_writes_cells_to_class_folders(settings, tmp_path):
    task = settings("cells_demo", **{"download.images": 20, "download.test_images": 10})
    provenance = fetch(task, tmp_path / "raw", tmp_path)
    counts = {
        f"{path.parent.name}/{path.name}": len(list(path.glob("*.png"))) for path in (tmp_path / "raw").glob("*/*/")
    }
    assert counts == {
        "train/Parasitized": 10,
        "train/Uninfected": 10,
        "test/Parasitized": 5,
        "test/Uninfected": 5,
    }
    assert provenance["images"]["train"] == {"Parasitized": 10, "Uninfected": 10}
    assert not (tmp_path / "data" / "held_out").exists()
