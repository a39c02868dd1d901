"""The parts of evaluate, submit and predict that tell, count and choose, on tables written out by hand."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from tropho.commands import predict_images
from tropho.data.task_data import GroundTruth
from tropho.errors import DataError
from tropho.evaluation import results_writer
from tropho.evaluation.manifest import check_manifest, write_manifest
from tropho.evaluation.results_writer import ResultsWriter
from tropho.files import write_json
from tropho.images.decode import ImageReader
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.stages import evaluate, submit
from tropho.tables import write_table


class Fixed:
    """A task whose score is 0.5 of any predictions."""

    primary_metric = "accuracy"

    def measure(self, truth, predictions):
        return {"accuracy": 0.5, "images": len(truth.images), "rows": len(predictions)}

    def notes(self, *_):
        return []

    def tables(self, *_):
        return {"metrics": pd.DataFrame({"metric": ["accuracy"], "low": [0.25], "high": [None]})}


def truth_of(*image_ids, groups=None):
    images = pd.DataFrame({"image_id": image_ids, "group": groups or image_ids, "duplicate": pd.NA})
    return GroundTruth(images, pd.DataFrame({"image_id": []}))


def rows(*image_ids):
    return pd.DataFrame({"image_id": image_ids})


@pytest.fixture
def judged(tmp_path):
    return ResultsWriter(Fixed(), {}, ImageReader(tmp_path), tmp_path)


@pytest.mark.parametrize(("groups", "rough"), [(FEW_GROUPS - 1, True), (FEW_GROUPS, False), (1, True)])
def test_intervals_of_few_groups_are_rough(judged, groups, rough):
    names = [f"i{number}" for number in range(FEW_GROUPS)]
    truth = truth_of(*names, groups=[f"g{number % groups}" for number in range(FEW_GROUPS)])
    judged.add("oof", truth, rows(*names), rows(*names))
    assert judged.notes["oof"] == [f"The intervals are rough: these images make no more than {groups} groups."] * rough


def test_the_headline_is_the_test_s_where_there_is_one(judged):
    judged.add("oof", truth_of("a"), rows("a", "a", "b"), rows("a"))
    assert judged.metrics["oof"] == {"accuracy": 0.5, "images": 1, "rows": 2}
    headline = judged.headline()
    assert (headline["subset"], headline["name"], headline["value"], headline["low"]) == ("oof", "accuracy", 0.5, 0.25)
    judged.add("test", truth_of("c"), rows("c"), rows("c"))
    assert judged.headline()["subset"] == "test"
    written = (judged.folder / "tables" / "test" / "metrics.csv").read_text()
    assert results_writer.UNDEFINED in written
    assert "0.25" in written


@pytest.mark.parametrize(("shared", "clean"), [([], False), (["t1"], True), (["t1", "t2"], False)])
def test_the_test_is_judged_again_without_some_of_its_images(judged, shared, clean):
    ids = ["a", "b", "t1", "t2"]
    groups = ["a", "b", *("a" if each in shared else each for each in ("t1", "t2"))]
    whole = truth_of(*ids, groups=groups)
    data = SimpleNamespace(
        gt=whole, folds={0: ["a"], 1: ["b"]},
        train_val=lambda number: (whole.subset([["b"], ["a"]][number]), whole.subset([["a"], ["b"]][number])),
    )  # fmt: skip
    judged.add("oof", whole.subset(["a", "b"]), rows("a", "b"), rows("a", "b"))
    judged.add_leaks(data, [0, 1])
    assert "test_leaks" not in judged.metrics  # without a test there is nothing more to say
    judged.add("test", whole.subset(["t1", "t2"]), rows("t1", "t2"), rows("t1", "t2"))
    judged.add_leaks(data, [0, 1])
    assert judged.metrics["test_leaks"] == {"images": len(shared), "of": 2}
    assert ("test_without_leaks" in judged.metrics) == clean
    assert judged.notes["test"][0].startswith(f"{len(shared)} of 2 test images") if shared else True
    if clean:
        assert list(judged.added["test_without_leaks"][0].images["image_id"]) == ["t2"]
        assert list(judged.added["test_without_leaks"][1]["image_id"]) == ["t2"]


def test_members_are_told_by_their_own_measures():
    metrics = {"members": {"base": {"map": 0.5}, "empty": {"balanced_accuracy": 0.75}}, "oof": {"map": 0.6}}
    task, given = SimpleNamespace(primary_metric="map"), SimpleNamespace(metrics=metrics)
    told = evaluate._members_note(task, given, {})
    assert "alone and before" in told
    assert "base 0.5" in told
    assert "(map)" not in told
    assert "0.750 (balanced_accuracy)" in told or "0.7500 (balanced_accuracy)" in told
    assert "weights" not in told
    told = evaluate._members_note(task, given, {"weights": {"base": 1.0, "empty": {"a": 0.25, "b": 2.0}}})
    assert "with the weights base 1.00, empty (a 0.25, b 2.00)." in told


def test_names_that_mlflow_does_not_take_are_told():
    assert evaluate._renamed_note({"a": "a", "b+": "b_"}) == [
        "MLflow takes plain letters alone: in the names of its metrics, 'b+' is 'b_'."
    ]
    assert evaluate._renamed_note({"a": "a"}) == []
    metrics = {"oof": {"recall/b+": 1.0, "map": 0.5}, "other": {"map": 0.0}}
    assert evaluate._tracked_metrics(metrics, {"b+": "b_"}) == {"oof/recall/b_": 1.0, "oof/map": 0.5}


def test_an_evaluation_is_of_its_models_and_settings(tmp_path, settings):
    made = settings("cells_demo")
    paths = evaluate.Paths(tmp_path, made.name)
    record = {"folds": [{"fold": 0, "score": 0.5}]}
    with pytest.raises(DataError, match="does not say which"):
        check_manifest(paths, record, made)
    write_manifest(paths.evaluate, record, made)
    check_manifest(paths, record, made)
    with pytest.raises(DataError, match=r"changed since: member base\)"):
        check_manifest(paths, {"folds": [{"fold": 0, "score": 0.6}]}, made)
    other = settings("cells_demo", **{"predict.tta": ["identity", "hflip"]})
    with pytest.raises(DataError, match=r"changed since: predict\.tta\)"):
        check_manifest(paths, record, other)


def test_the_images_to_submit_are_the_published_ones_or_those_held_out():
    images = pd.DataFrame({"image_id": ["a", "b", "c"], "subset": ["train", "test", "test"]})
    splits = pd.DataFrame({"image_id": ["a", "b"], "subset": ["test", "test"]})
    assert submit.submitted_ids(images, splits) == ["b", "c"]
    assert submit.submitted_ids(images[:1], splits.assign(subset=["test", "train"])) == ["a"]


def target(followed=None, sample=None, known=()):
    return SimpleNamespace(
        followed=followed, sample=sample, layout=SimpleNamespace(problem="it is odd"),
        matches=SimpleNamespace(images=dict.fromkeys(known)),
    )  # fmt: skip


def test_what_is_not_checked_says_why():
    sample = SimpleNamespace(path="S.csv")
    assert "evaluate.score_test is false" in submit._why_unchecked(target(sample=sample), True)
    assert submit._why_unchecked(target(sample=sample), False) == "The submission does not follow S.csv: it is odd."
    assert submit._why_unchecked(target(), False).startswith("There is no sample submission")


def test_images_that_no_model_saw_are_counted_by_why():
    ids = [f"i{number}" for number in range(9)]
    images = pd.DataFrame({"image_id": ids, "status": ["ok"] + ["missing"] * 6 + ["damaged"] * 2})
    splits = pd.DataFrame({"image_id": ["i0", "i8"], "subset": ["test", "train"]})
    found = submit._not_predicted(images, splits, ids, target())
    assert found == {
        "missing": {"images": 6, "first": ["i1", "i2", "i3", "i4", "i5"]},
        "damaged": {"images": 2, "first": ["i7", "i8"]},
    }
    told = submit._unpredicted_sentence(found)
    assert told.endswith("say nothing: 8 (6 missing: i1, i2, i3, i4, i5, ...; 2 damaged: i7, i8).")
    five = submit._unpredicted_sentence({"missing": {"images": 5, "first": ids[:5]}})
    assert five.endswith("5 (5 missing: i0, i1, i2, i3, i4).")
    sample = SimpleNamespace(ids=["x", "y"])
    strange = submit._not_predicted(images, splits, ["i0"], target(sample, sample, known=["x"]))
    assert strange == {"no test image": {"images": 1, "first": ["y"]}}
    assert submit._not_predicted(images, splits, ["i0"], target(sample, sample, known=["x", "y"])) == {}


def test_confidences_are_rounded_and_boxes_are_not(tmp_path):
    table = pd.DataFrame({"image_id": ["a"], "score": [0.126], "p_a": [0.374], "xmin": [1.23456]})
    write_table(table, tmp_path / "test.parquet")
    write_json(tmp_path / "postprocess.json", {})
    task = SimpleNamespace(postprocess=lambda found, *_: found, to_submission=lambda found, ids: found)
    found = submit.submission_rows(task, tmp_path, ["a"], None)
    assert found.iloc[0].tolist() == ["a", 0.13, 0.37, 1.23456]
    (tmp_path / "test.parquet").unlink()
    write_table(table.assign(fold=0), tmp_path / "oof.parquet")
    assert len(submit.submission_rows(task, tmp_path, [], None)) == 0


def test_files_are_named_by_their_paths_where_names_repeat():
    assert predict_images._names([Path("x/a.png"), Path("y/b.png")]) == {
        "a.png": Path("x/a.png"),
        "b.png": Path("y/b.png"),
    }
    assert list(predict_images._names([Path("x/a.png"), Path("y/a.png")])) == ["x/a.png", "y/a.png"]
