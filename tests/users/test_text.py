"""Text stays text from download to report: names that look like numbers, formulas or nothing, in any script."""

import json
import os
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

CLASSES = ["None", "1e5", r"$\frac$", "日本", "a+b", "a b", "a-b", "cafe\u0301", '<b>&"x"', "خلية"]
TINY = {
    "augment": {"image_size": 16, "policy": "none"},
    "model": {"name": "mlp", "hidden_units": [8]},
    "train": {"epochs": 1, "batch_size": 8},
    "evaluate": {"gallery_images": 12},
}


def write_image(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(autouse=True)
def _no_letter_is_missing():
    """Whatever Matplotlib warns of, such as a glyph that no font has, is an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[Gg]lyph")
        yield


@pytest.mark.real
def test_case_06_a_class_called_none(case):
    project, task = case("06", **TINY)
    project.run(task, "download", "audit", "split", "augment", "tune", "train", "evaluate", "submit")
    assert json.loads((project.root / f"models/{task}/run.json").read_text())["classes"] == [
        "Benign",
        "Malignant",
        "None",
    ]
    assert project.table(task, "images")["label"].value_counts().to_dict() == dict.fromkeys(
        ["None", "Benign", "Malignant"], 14
    )


@pytest.mark.fault("class names like `$\\frac$`, `None`, `007`", "keeps them as they are spelled, in figures too")
def test_classes_of_any_spelling_reach_the_report(project):
    names = ["NA.png", "None.png", "a\rb.png", "x, y.png", "画像.png", "$x$.png"]
    for place, label in enumerate(CLASSES):
        for number, name in enumerate(names):
            write_image(project.root / "own" / label / name, 10 * place + number)
    composed = unicodedata.normalize("NFC", CLASSES[7])
    audit = {"format": "image_folder", "classes": [composed if name == CLASSES[7] else name for name in CLASSES]}
    project.add("t", "classification", download={"source": "local", "path": str(project.root / "own")}, audit=audit,
                split={"n_folds": 2, "test_fraction": 0.0}, **TINY)  # fmt: skip
    stages = ["download", "audit", "split", "augment", "tune", "train", "evaluate", "submit", "report"]
    project.run("t", *stages)
    images = project.table("t", "images")
    assert images["label"].value_counts().to_dict() == dict.fromkeys(CLASSES, len(names))
    assert (images["status"] == "ok").all()
    metrics = json.loads((project.root / "reports/t/evaluate/metrics.json").read_text())["oof"]
    assert {key.removeprefix("recall/") for key in metrics if key.startswith("recall/")} == set(CLASSES)
    config = yaml.safe_load((project.root / "models/t/fold0/config.yaml").read_text(encoding="utf-8"))
    assert config["classes"] == CLASSES
    submission = pd.read_csv(project.root / "submissions/t.csv", nrows=0)
    assert set(submission) >= {f"p_{name}" for name in CLASSES}
    page = (project.root / "reports/t/index.html").read_text(encoding="utf-8")
    for told in ("class 4", "日本", "&lt;b&gt;&amp;"):
        assert told in page
    assert "<b>&" not in page
    assert "a_b" in page  # said of MLflow's names


@pytest.mark.fault("a class called `null` or `NA` in detection", "keeps it as text")
def test_boxes_of_classes_called_null_and_na_reach_the_report(project):
    rows = ["Image_ID,class,confidence,ymin,xmin,ymax,xmax"]
    for number in range(8):
        write_image(project.root / f"own/images/{number}.png", number)
        rows += [f"{number}.png,{label},1,2,2,{12 + number % 2},12" for label in ("null", "NA")]
    (project.root / "own/Train.csv").write_text("\n".join(rows) + "\n")
    project.add("t", "detection", download={"source": "local", "path": str(project.root / "own")},
                audit={"format": "boxes_csv"}, split={"n_folds": 2, "test_fraction": 0.0},
                augment={"image_size": 32, "policy": "none"}, model={"name": "fcos", "fpn_channels": 16},
                train={"epochs": 1, "batch_size": 4, "n_folds": 1})  # fmt: skip
    project.run("t", "download", "audit")
    assert project.table("t", "boxes")["label"].value_counts().to_dict() == {"null": 8, "NA": 8}
    project.run("t", "split", "augment", "tune", "train", "evaluate", "report")
    metrics = json.loads((project.root / "reports/t/evaluate/metrics.json").read_text())["oof"]
    assert {"ap/null", "ap/NA", "map50/null", "map50/NA"} <= set(metrics)
    suspects = (project.root / "reports/t/evaluate/tables/oof/metrics.csv").read_text()
    assert "ap/null" in suspects


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_settings_and_corrections_match_names_in_either_normal_form(project, form):
    own, given = unicodedata.normalize("NFD", "é"), unicodedata.normalize(form, "é")
    for label in (own, "b"):
        for number in range(3):
            write_image(project.root / "own" / label / f"{own}{number}.png", number + 10 * (label == "b"))
    corrections = project.root / "corrections"
    corrections.mkdir()
    (corrections / "t.csv").write_text(f"image_id,action,label\nb/{given}0.png,set label,{given}\n", encoding="utf-8")
    audit = {"format": "image_folder", "classes": [given, "b"], "corrections": "corrections/t.csv"}
    project.add("t", "classification", download={"source": "local", "path": str(project.root / "own")}, audit=audit)
    project.run("t", "download", "audit")
    assert project.table("t", "images")["label"].value_counts().to_dict() == {own: 4, "b": 2}
    assert "bad_correction" not in set(project.table("t", "issues")["kind"])


def test_one_class_in_two_normal_forms_is_one_class(project):
    for place, label in enumerate(["e\u0301", "\u00e9", "b"]):
        write_image(project.root / "own" / label / "x.png", place)
    project.add("t", "classification", download={"source": "local", "path": str(project.root / "own")},
                audit={"format": "image_folder"})  # fmt: skip
    project.run("t", "download", "audit")
    assert project.table("t", "images")["label"].nunique() == 2
    assert "class_spelling" in set(project.table("t", "issues")["kind"])


@pytest.mark.fault("a file name that is not UTF-8", "one sentence that names the file")
def test_a_file_name_that_is_not_utf8_is_refused_in_a_sentence(project):
    write_image(project.root / "own/a/x.png", 0)
    bad = os.fsencode(project.root / "own/a") + b"/caf\xe9.png"
    try:
        os.rename(project.root / "own/a/x.png", bad)  # noqa: PTH104 - no Path holds such a name everywhere
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    project.add("t", "classification", download={"source": "local", "path": str(project.root / "own")},
                audit={"format": "image_folder"})  # fmt: skip
    said = project.tropho("download", "t", code=1).text
    assert r"caf\udce9.png" in said
    assert "rename" in said


@pytest.mark.fault("a repeated or misread key in params.yaml", "refuses it and names the line")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class_map: {no: x}", "class_map.0 is read by YAML as False, not as text; put it in quotes"),
        ("classes: [yes, a]", "classes.0 is read by YAML as True"),
        ("class_map: {a: x, b: y, a: z}", "'a' stands twice"),
    ],
)
def test_what_yaml_reads_otherwise_is_refused(project, text, said):
    project.add("t", "classification", download={"source": "local", "path": "own"})
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("    audit: {}\n", f"    audit: {{{text}}}\n"))
    assert said in project.tropho("audit", "t", code=2).text
