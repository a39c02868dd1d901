"""The four class projects, from repositories on a loopback hub to their reports; one through `dvc repro` too."""

import json
from pathlib import Path

import pandas as pd
import pytest

from data.sources.hub_server import LoopbackHub
from pipeline.conftest import Checkout, new_checkout
from pipeline.hub_projects import BRAIN, CHEST, OCT, REPOSITORY, brain, chest, oct_archive
from pipeline.reduce import Changes
from project import Project
from tropho.stages import STAGES

pytestmark = pytest.mark.pipeline

CHANGES: Changes = {
    task: {
        "split": {"n_folds": 2},
        "augment": {"image_size": 32},
        "model": {"name": "lenet"},
        "train": {"epochs": 1},
        "evaluate": {"gallery_images": 2},
    }
    for task in REPOSITORY
}
CHANGES["chest_xray"]["split"] = {"published_val": "keep"}
CHANGES["retina_oct"]["split"] = {"n_folds": 2, "test_overlap": "drop_duplicates"}  # so that a patient is shared
FOUR = ("glioma", "meningioma", "no_tumor", "pituitary")
LAYERS = ("CNV", "DME", "DRUSEN", "NORMAL")


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as server:
        server.repos = {BRAIN: brain(), OCT: oct_archive(), CHEST: chest()}
        yield server


def fresh(folder: Path, hub: LoopbackHub, active: list[str]) -> Checkout:
    where = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(folder / "hub_cache"), "TROPHO_TRACKING": "off"}
    return new_checkout(folder / "tropho", CHANGES, active, where)


@pytest.fixture(scope="module")
def projects(hub, tmp_path_factory):
    """All four projects, whole; one download broke off before, one was told to wait."""
    checkout = fresh(tmp_path_factory.mktemp("projects"), hub, list(REPOSITORY))
    project = Project(checkout.path)  # its stages run in this process, without a start of Python and torch for each
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_TOKEN", raising=False)
        for name, value in checkout.extra.items():
            patch.setenv(name, value)
        hub.repos[BRAIN].breaks_at = "Testing/1-notumor/Te_0003.jpg"
        broken = project.tropho("download", "brain_tumor", code=None)
        assert broken.code != 0
        assert "broke off; run again and it goes on from there" in broken.stderr
        assert not (checkout.path / "data/raw/brain_tumor").exists()
        hub.repos[BRAIN].breaks_at = None
        hub.repos[CHEST].busy, hub.repos[CHEST].busy_on, hub.repos[CHEST].retry_after = 1, ".parquet", 0
        for task in REPOSITORY:
            project.run(task, *STAGES)
    assert hub.repos[CHEST].busy == 0
    return checkout


def table(checkout: Checkout, name: str) -> pd.DataFrame:
    return pd.read_csv(checkout.path / name, dtype={"group": "string"})


def read(checkout: Checkout, name: str) -> dict:
    return json.loads((checkout.path / name).read_text())


@pytest.mark.parametrize(
    ("task", "published"),
    [
        ("brain_tumor", {"train": dict.fromkeys(FOUR, 8) | {"no_tumor": 9}, "test": dict.fromkeys(FOUR, 4)}),
        ("brain_tumor_binary", {"train": {"no_tumor": 9, "tumor": 24}, "test": {"no_tumor": 4, "tumor": 12}}),
        (
            "retina_oct",
            {
                "train": dict.fromkeys(LAYERS, 10),
                "validation": dict.fromkeys(LAYERS, 2),
                "test": dict.fromkeys(LAYERS, 4),
            },
        ),
        (
            "chest_xray",
            {
                "train": {"NORMAL": 8, "PNEUMONIA": 12},
                "validation": {"NORMAL": 4, "PNEUMONIA": 4},
                "test": {"NORMAL": 3, "PNEUMONIA": 3},
            },
        ),
    ],
)  # fmt: skip
def test_classes_and_counts_of_every_published_split(projects, task, published):
    images = table(projects, f"data/audit/{task}/images.csv")
    assert set(images["status"]) == {"ok"}
    counts = images.groupby(["subset", "label"]).size()
    assert {name: counts[name].to_dict() for name in counts.index.levels[0]} == published
    assert read(projects, f"data/audit/{task}/summary.json")["classes"] == sorted(published["test"])
    splits = table(projects, f"data/splits/{task}.csv").merge(images[["image_id", "label"]])
    assert splits.loc[splits["subset"] == "test", "label"].value_counts().to_dict() == published["test"]
    learned = splits[splits["subset"] == "train"]
    assert set(learned["fold"]) == {0, 1}
    assert set(learned.loc[learned["fold"] == 0, "label"]) == set(published["train"])
    assert len(learned) == sum(sum(published.get(name, {}).values()) for name in ("train", "validation")) - (
        task.startswith("brain")  # the copy of a test image
    )


def test_bytes_names_and_commits_are_as_published(projects, hub):
    for task in ("brain_tumor", "brain_tumor_binary"):
        raw = projects.path / "data/raw" / task
        found = {path.relative_to(raw).as_posix(): path.read_bytes() for path in raw.rglob("*.jpg")}
        assert found == {k: v for k, v in hub.repos[BRAIN].revisions["main"].items() if k.endswith(".jpg")}
    for task, repo in REPOSITORY.items():
        revision = "refs/convert/parquet" if repo == CHEST else "main"
        provenance = read(projects, f"data/raw/{task}/provenance.json")
        assert (provenance["revision"], provenance["commit"]) == (revision, hub.repos[repo].commit(revision))
    assert hub.tokens == {None}
    fetched = sum(count for path, count in hub.requests.items() if path.startswith("GET") and path.endswith(".jpg"))
    assert fetched < 1.5 * len(found), "files that had come were fetched twice"


def test_patients_stay_on_one_side_of_the_folds(projects):
    for task, patient in (("retina_oct", r"[A-Z]+-(\d+)-"), ("chest_xray", r"(person\d+)_")):
        splits = table(projects, f"data/splits/{task}.csv")
        splits = splits.assign(patient=splits["image_id"].str.extract(patient)[0].fillna(splits["image_id"]))
        learned = splits[splits["subset"] == "train"]
        assert learned.groupby("patient")["fold"].nunique().max() == 1
        assert learned["patient"].nunique() < len(learned)
        assert (splits.groupby("patient")["group"].nunique() == 1).all()


def test_a_published_validation_set_is_validated_on(projects):
    splits = table(projects, "data/splits/chest_xray.csv")
    oof = pd.read_parquet(projects.path / "reports/chest_xray/evaluate/oof.parquet")
    published = splits.loc[splits["image_id"].str.startswith("validation/"), "image_id"]
    assert set(oof["image_id"]) == set(published)
    assert set(splits.loc[splits["fold"] == 0, "image_id"]) == set(published)


def test_a_shared_patient_and_a_copy_are_told_and_scored_without(projects):
    metrics = read(projects, "reports/retina_oct/evaluate/metrics.json")
    assert metrics["test_leaks"] == {"images": 2, "of": 16}
    assert metrics["test_without_leaks"]["support/DRUSEN"] == 2
    assert any("kept out" in note for note in read(projects, "data/splits/brain_tumor.json")["notes"])
    splits = table(projects, "data/splits/brain_tumor.csv")
    assert splits.loc[splits["subset"] == "excluded", "image_id"].tolist() == ["Training/1-notumor/copy.jpg"]
    page = (projects.path / "reports/retina_oct/index.html").read_text()
    assert "2 of 16 test images share their patient" in page


def test_scores_submissions_and_pages(projects):
    for task in REPOSITORY:
        metrics = read(projects, f"reports/{task}/evaluate/metrics.json")
        assert (metrics["headline"]["name"], metrics["headline"]["subset"]) == ("balanced_accuracy", "test")
        assert metrics["headline"]["value"] == metrics["test"]["balanced_accuracy"]
        images = table(projects, f"data/audit/{task}/images.csv")
        submission = table(projects, f"submissions/{task}.csv")
        assert submission["image_id"].tolist() == images.loc[images["subset"] == "test", "image_id"].tolist()
        classes = [column.removeprefix("p_") for column in submission if column.startswith("p_")]
        assert classes == read(projects, f"data/audit/{task}/summary.json")["classes"]
        assert (projects.path / f"reports/{task}/index.html").stat().st_size > 10_000


@pytest.mark.slow
def test_dvc_gives_the_same_metrics_from_scratch(projects, hub, tmp_path):
    task = "brain_tumor_binary"
    again = fresh(tmp_path, hub, [task])
    again.run("dvc", "repro")
    for name in ("metrics.json", "thresholds.json", "postprocess.json", "tables/test/quantities.csv"):
        path = f"reports/{task}/evaluate/{name}"
        assert (again.path / path).read_bytes() == (projects.path / path).read_bytes()
    weights = f"models/{task}/fold0/weights.safetensors"
    assert (again.path / weights).read_bytes() == (projects.path / weights).read_bytes()
