"""Tests of the discussion: guessing, other runs, published figures."""

import json

import pandas as pd
import pytest
import yaml

from stage_outputs import detection_dataset, write_data, write_results, write_runs
from tropho.paths import Paths
from tropho.report.blocks import Table, Text
from tropho.report.comparison import LEAKS, LITERATURE, MAX_RUNS, discussion, guessed_metrics, literature
from tropho.report.reader import Reader


def tables(blocks):
    return {block.title.split(" (")[0].split(",")[0]: block for block in blocks if isinstance(block, Table)}


def test_guessing_a_class_scores_its_share(cells_reader):
    images = pd.read_csv(cells_reader.paths.audit / "images.csv")
    guess, how = guessed_metrics(cells_reader, "test")  # its predictions are of all images
    shares = images["label"].value_counts(normalize=True)
    assert guess["accuracy"] == pytest.approx(shares.max())
    assert guess["balanced_accuracy"] == pytest.approx(0.5)
    assert guess["roc_auc"] == pytest.approx(0.5)
    assert f"'{shares.idxmax()}'" in how


def test_guessing_boxes_scores_the_share_of_empty_images(tmp_path, settings, rng):
    task = settings("smear_demo")
    dataset = detection_dataset(tmp_path / "raw", 12, rng, ["Trophozoite", "WBC"])
    write_data(tmp_path, task.name, dataset)
    write_runs(tmp_path, task.name, dataset, json.loads(task.model_dump_json()))
    write_results(tmp_path, task.name, dataset, "leaderboard_map", 0.8)
    reader = Reader(task, Paths(tmp_path, task.name))
    guess, how = guessed_metrics(reader, "test")
    assert guess["leaderboard_map"] == pytest.approx(3 / 12 / 3)  # 3 of 12 images are empty, one of three classes
    assert guess["map50"] == 0
    assert how.startswith("Guessing: no boxes")


def add_run(reader, name, score, settings, data_hash="d"):
    folder = reader.paths.runs / name
    folder.mkdir(parents=True)
    metrics = {"oof": {"balanced_accuracy": score}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    run = {"training": name, "run_id": f"{name}-id", "fingerprint": name, "data_hash": data_hash}
    (folder / "run.json").write_text(json.dumps({**run, "dvc_experiment": "treed-ambo" if name == "better" else None}))
    (folder / "config.yaml").write_text(yaml.safe_dump({"settings": settings}))


def test_other_runs_are_ranked_with_what_they_changed(cells_reader):
    settings = json.loads(cells_reader.task.model_dump_json())
    path = cells_reader.paths.models / "run.json"
    run = {**json.loads(path.read_text()), "training": "mine", "fingerprint": "mine", "data_hash": "d"}
    path.write_text(json.dumps({**run, "run_id": "0123456789"}))
    add_run(cells_reader, "mine", 0.811, settings)
    add_run(cells_reader, "better", 0.9, {**settings, "train": {**settings["train"], "lr": 0.5}})
    add_run(cells_reader, "other", 0.7, {**settings, "augment": {**settings["augment"], "image_size": 32}}, "e")
    table = tables(discussion(cells_reader))["Other runs"]
    assert list(table.rows) == [
        ["better-i (treed-ambo)", "train.lr 0.5", "same", "0.900"],
        ["this run, 01234567", "–", "same", "0.811"],
        ["other-id", "augment.image_size 32", "other", "0.700"],
    ]


def test_this_run_is_listed_even_below_the_most_others(cells_reader):
    settings = json.loads(cells_reader.task.model_dump_json())
    for number in range(MAX_RUNS + 2):
        add_run(cells_reader, f"r{number:02}", 0.9 + number / 1000, settings)
    table = next(block for block in discussion(cells_reader) if str(getattr(block, "title", "")).startswith("Other"))
    assert table.title == f"Other runs ({MAX_RUNS} of {MAX_RUNS + 2})"
    assert len(table.rows) == MAX_RUNS + 1
    assert table.rows[0][0] == f"r{MAX_RUNS + 1}-id"
    assert table.rows[-1][0].startswith("this run")


def test_without_other_runs_the_page_says_so(cells_reader):
    texts = [block.text for block in discussion(cells_reader) if isinstance(block, Text)]
    assert any("No other training" in text for text in texts)


def test_published_figures_say_whether_patients_are_apart(tmp_path, settings):
    task = settings("brain_tumor")
    reader = Reader(task, Paths(tmp_path, task.name))
    rows = tables(literature(reader))["Published figures"].rows
    assert [row[2:] for row in rows] == [["shared with training", "94 to 99 %"], ["kept apart", "88 to 94 %"]]


def test_literature_of_each_listed_data_set_is_complete(settings):
    known = yaml.safe_load(LITERATURE.read_text(encoding="utf-8"))
    repos = {settings(task).download.repo for task in ("brain_tumor", "retina_oct", "chest_xray", "malaria")}
    assert set(known) == repos
    for entry in known.values():
        assert all(len(sentence.split()) <= 30 and sentence.endswith(".") for sentence in entry["sentences"])
        for figure in entry["figures"]:
            assert set(figure) == {"who", "method", "score", "leaks"}
            assert figure["leaks"] in LEAKS
