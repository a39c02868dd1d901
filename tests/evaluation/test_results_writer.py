"""Metrics, notes and leaks of subsets of images."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth
from tropho.evaluation import results_writer
from tropho.evaluation.results_writer import ResultsWriter, find_leaks
from tropho.images.decode import ImageReader
from tropho.metrics.bootstrap import FEW_GROUPS


class Fixed:
    """An evaluator whose score is 0.5 for any predictions."""

    task = SimpleNamespace(primary_metric="accuracy")

    def metrics(self, truth, predictions):
        return {"accuracy": 0.5, "images": len(truth.images), "rows": len(predictions)}

    def comments(self, *_):
        return []

    def tables(self, *_):
        return {"metrics": pd.DataFrame({"metric": ["accuracy"], "low": [0.25], "high": [None]})}


def truth_of(*image_ids, groups=None):
    images = pd.DataFrame({"image_id": image_ids, "group": groups or image_ids, "duplicate": pd.NA})
    return GroundTruth(images, pd.DataFrame({"image_id": []}))


def rows(*image_ids):
    return pd.DataFrame({"image_id": image_ids})


@pytest.fixture
def results(tmp_path):
    return ResultsWriter(Fixed(), {}, ImageReader(tmp_path), tmp_path)


@pytest.mark.parametrize(("groups", "rough"), [(FEW_GROUPS - 1, True), (FEW_GROUPS, False), (1, True)])
def test_add_notes_few_groups(results, groups, rough):
    names = [f"i{number}" for number in range(FEW_GROUPS)]
    truth = truth_of(*names, groups=[f"g{number % groups}" for number in range(FEW_GROUPS)])
    results.add("oof", truth, rows(*names), rows(*names))
    assert results.notes["oof"] == [f"The intervals are rough: these images form only {groups} groups."] * rough


def test_headline_prefers_the_test(results):
    results.add("oof", truth_of("a"), rows("a", "a", "b"), rows("a"))
    assert results.metrics["oof"] == {"accuracy": 0.5, "images": 1, "rows": 2}
    headline = results.headline()
    assert (headline["subset"], headline["name"], headline["value"], headline["low"]) == ("oof", "accuracy", 0.5, 0.25)
    results.add("test", truth_of("c", "d"), rows("c"), rows("c"))
    headline = results.headline()
    assert (headline["subset"], headline["images"]) == ("test", 2), "also those without a prediction"
    written = (results.folder / "tables" / "test" / "metrics.csv").read_text()
    assert results_writer.UNDEFINED in written
    assert "0.25" in written


@pytest.mark.parametrize(("shared", "clean"), [([], False), (["t1"], True), (["t1", "t2"], False)])
def test_add_leaks_scores_the_test_without_leaking_images(results, shared, clean):
    ids = ["a", "b", "t1", "t2"]
    groups = ["a", "b", *("a" if each in shared else each for each in ("t1", "t2"))]
    whole = truth_of(*ids, groups=groups)
    data = SimpleNamespace(
        gt=whole, folds={0: ["a"], 1: ["b"]},
        train_val=lambda number: (whole.subset([["b"], ["a"]][number]), whole.subset([["a"], ["b"]][number])),
    )  # fmt: skip
    results.add("oof", whole.subset(["a", "b"]), rows("a", "b"), rows("a", "b"))
    results.add_leaks(data, [0, 1])
    assert "test_leaks" not in results.metrics  # without a test there is nothing more to say
    results.add("test", whole.subset(["t1", "t2"]), rows("t1", "t2"), rows("t1", "t2"))
    results.add_leaks(data, [0, 1])
    assert results.metrics["test_leaks"] == {"images": len(shared), "of": 2}
    assert ("test_without_leaks" in results.metrics) == clean
    assert results.notes["test"][0].startswith(f"{len(shared)} of 2 test images") if shared else True
    if clean:
        assert list(results.added["test_without_leaks"][0].images["image_id"]) == ["t2"]
        assert list(results.added["test_without_leaks"][1]["image_id"]) == ["t2"]


def test_add_members_notes_scores_and_weights(results):
    results.metrics["oof"], results.notes["oof"] = {"accuracy": 0.6}, []
    scores = {"base": {"accuracy": 0.5}, "empty": {"balanced_accuracy": 0.75}}
    results.add_members(scores, {})
    results.add_members(scores, {"weights": {"base": 1.0, "empty": {"a": 0.25, "b": 2.0}}})
    plain, weighted = results.notes["oof"]
    assert "alone, before" in plain
    assert "base 0.5" in plain
    assert "(accuracy)" not in plain
    assert "0.750 (balanced accuracy)" in plain or "0.7500 (balanced accuracy)" in plain
    assert "weights" not in plain
    assert "with the weights base 1.00, empty (a 0.25, b 2.00)." in weighted
    assert results.metrics["members"] == scores


def test_find_leaks_by_group_and_duplicate():
    images = pd.DataFrame(
        {
            "image_id": list("abcdefg"),
            "group": ["p1", "p2", "p1", "p3", "p4", pd.NA, pd.NA],
            "duplicate": [pd.NA, "x", pd.NA, "x", pd.NA, pd.NA, pd.NA],
        },
        dtype="string",
    )
    assert find_leaks(images, ["c", "d", "e", "g"], ["a", "b", "f"]) == ["c", "d"]
    assert find_leaks(images, ["e", "g"], ["a", "b", "f"]) == []
    assert find_leaks(images, [], ["a"]) == []
