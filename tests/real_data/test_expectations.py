"""Expectations on the tables of demo data and real data, and that they catch what they should."""

import pandas as pd
import pytest

from real_data.expectations import broken, broken_split
from tropho.data.audit.run_audit import audit
from tropho.data.sources import fetch
from tropho.data.split import split

VOC = {"audit.format": "voc", "audit.classes": None, "audit.negative": None}
SLIDE = {"audit.group_pattern": "(C[0-9]+[A-Z0-9]*?)_?[Tt]hin"}


@pytest.fixture(scope="module", params=["smear_demo", "cells_demo"])
def demo(request, settings, tmp_path_factory):
    """Settings and audit of a small demo set."""
    task = settings(
        request.param, **{"download.images": 200 if request.param == "cells_demo" else 28, "download.test_images": 6}
    )
    root = tmp_path_factory.mktemp("demo")
    raw = root / "data/raw" / task.name
    raw.parent.mkdir(parents=True)
    fetch(task, raw, root)
    return task, audit(task, raw)


def test_demo_data(demo):
    task, found = demo
    assert broken(found.images, found.boxes, found.issues, found.summary) == []
    splits = split(task.split, found.images, found.boxes)
    assert broken_split(found.images, splits, task.split.n_folds) == []


def test_expectations_catch_faults(demo):
    task, found = demo
    twice = pd.concat([found.images, found.images.head(1)], ignore_index=True)
    assert "ids are unique" in broken(twice, found.boxes, found.issues, found.summary)
    ungrouped = found.images.assign(group=pd.Series(pd.NA, index=found.images.index, dtype="string"))
    assert "every image has a group" in broken(ungrouped, found.boxes, found.issues, found.summary)
    torn = found.images.assign(status="unreadable")
    assert "what is left out is listed" in broken(torn, found.boxes, found.issues, found.summary)
    if len(found.boxes):
        far = found.boxes.assign(xmax=99999.0)
        assert "boxes lie inside" in broken(found.images, far, found.issues, found.summary)
    one_group = found.images.assign(group="same")
    splits = split(task.split, found.images, found.boxes).assign(group="same")
    assert "groups on one side" in broken_split(one_group, splits, task.split.n_folds)


@pytest.mark.real
@pytest.mark.parametrize(
    ("task", "folder", "changes"),
    [
        ("brain_tumor", "brain_mri", {}),
        ("smear_demo", "bccd", VOC),
        ("cells_demo", "nih_cells", SLIDE),
        ("malaria", "lacuna", {}),
    ],
)
def test_real_data(settings, real_data, task, folder, changes):
    chosen = settings(task, **changes)
    found = audit(chosen, real_data / folder)
    assert broken(found.images, found.boxes, found.issues, found.summary) == []
    if folder != "lacuna":  # with one image of 3,925 there is nothing to split
        splits = split(chosen.split, found.images, found.boxes)
        assert broken_split(found.images, splits, chosen.split.n_folds) == []


@pytest.mark.real
def test_real_published_validation_is_kept(settings, real_data):
    chosen = settings("smear_demo", **VOC, **{"split.published_val": "keep", "audit.cluster_slides": False})
    found = audit(chosen, real_data / "bccd")
    splits = split(chosen.split, found.images, found.boxes)
    assert broken_split(found.images, splits, 2) == []
    stems = {
        name: {f"{stem}.jpg" for stem in (real_data / "bccd/ImageSets/Main" / f"{name}.txt").read_text().split()}
        for name in ("train", "val", "test")
    }
    ids = splits.set_index("image_id")
    excluded = set(ids.index[ids["subset"] == "excluded"])
    assert set(ids.index[ids["fold"] == 0]) == stems["val"] - excluded
    assert set(ids.index[ids["fold"] == 1]) == stems["train"] - excluded
    assert set(ids.index[ids["subset"] == "test"]) == stems["test"]
