"""The parts of training, of its inputs, of a search and of the models it leaves, without a training."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth, TaskData, read_task_data
from tropho.errors import DataError, UsageError
from tropho.files import sha256_of, write_json
from tropho.images.decode import DECODING
from tropho.inference import ensemble_members, trained_folds
from tropho.inference.ensemble_members import CONFIG
from tropho.inference.trained_folds import FILES
from tropho.paths import BASE
from tropho.stages import train
from tropho.tables import BOX, BOXES, conform, empty
from tropho.training import inputs as reading


def folds(*scores):
    return [{"fold": number, "score": score} for number, score in enumerate(scores)]


def test_the_mean_is_of_the_scores_that_are_defined():
    assert train.mean_score(folds(0.25, None, 0.75)) == 0.5
    assert train.mean_score(folds(0.0, 0.5, 1.0, 0.5)) == 0.5
    assert train.mean_score(folds(None)) is None


@pytest.mark.parametrize(("asked", "numbers"), [(None, [0, 1, 4]), (1, [0]), (3, [0, 1, 4])])
def test_folds_to_train_are_the_first_ones(settings, asked, numbers):
    inputs = SimpleNamespace(folds={4: [], 0: [], 1: []})
    assert train.fold_numbers(settings("cells_demo", **{"train.n_folds": asked}), inputs) == numbers
    with pytest.raises(UsageError, match=r"train\.folds is 4, but split\.folds made only 3"):
        train.fold_numbers(settings("cells_demo", **{"train.n_folds": 4}), inputs)


def test_an_epoch_is_told_in_a_line():
    row = {"epoch": 2.0, "loss": 0.5, "seconds": 12.4}
    assert train._epoch_line("fold0", row, 9) == "fold0  epoch 2/9  loss 0.5000  12 s"
    assert train._epoch_line("fold0", {**row, "score": 0.25}, 9) == "fold0  epoch 2/9  loss 0.5000  score 0.2500  12 s"
    assert "score undefined  12 s" in train._epoch_line("fold0", {**row, "score": math.nan}, 9)


def test_members_stand_beside_the_task_s_own_model():
    entries = {BASE: {"folds": [1]}, "b": {"folds": [2]}}
    assert train._by_member(entries) == {"folds": [1], "members": {"b": {"folds": [2]}}}
    assert ensemble_members.model_entries(train._by_member(entries)) == {
        BASE: train._by_member(entries),
        "b": {"folds": [2]},
    }
    assert train._place(SimpleNamespace(name=BASE), 3) == "fold3"
    assert train._place(SimpleNamespace(name="b"), 3) == "b/fold3"


@pytest.mark.parametrize(("batch", "processes", "fits"), [(4, 2, True), (5, 2, False), (4, 4, True), (1, 1, True)])
def test_batches_are_divided_among_processes(settings, monkeypatch, batch, processes, fits):
    monkeypatch.setattr(train, "this_process", lambda: SimpleNamespace(num_processes=processes))
    model = SimpleNamespace(name="base", settings=settings("cells_demo", **{"train.batch_size": batch}))
    if fits:
        train._check_machine([model])
        return
    with pytest.raises(UsageError, match=r"train\.batch_size 5 of base can't be divided among 2"):
        train._check_machine([model])


@pytest.fixture
def fold(tmp_path):
    """A trained fold's folder, and its entry in run.json."""
    folder = tmp_path / "fold0"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_text("epoch,loss\n1,0.5\n")
    return folder, {"fold": 0, "sha256": {file: sha256_of(folder / file) for file in FILES}}


def test_damaged_files_are_those_that_differ_from_the_record(fold):
    folder, entry = fold
    assert trained_folds.damaged_files(folder, entry) == []
    assert trained_folds.damaged_files(folder, {"fold": 0}) == list(FILES)
    (folder / FILES[1]).write_text("epoch,loss\n1,2\n")
    assert trained_folds.damaged_files(folder, entry) == [FILES[1]]
    (folder / FILES[0]).unlink()
    assert trained_folds.damaged_files(folder, entry) == list(FILES)


def test_a_fold_is_loaded_with_the_settings_it_was_trained_with(fold, settings, monkeypatch):
    folder, entry = fold
    monkeypatch.setattr(ensemble_members, "load_predictor", lambda *_: "model")
    paths = SimpleNamespace(fold=lambda number, name: folder)
    made = settings("cells_demo")

    def load(**more):
        return ensemble_members.load_entry(BASE, {"folds": [entry], **more}, made, paths, None)

    assert load() == {0: "model"}
    with pytest.raises(DataError, match=f"{CONFIG} is missing or damaged"):
        load(config_sha256="0" * 64)
    (folder / CONFIG).write_text("a: 1\n")
    assert load(config_sha256=sha256_of(folder / CONFIG)) == {0: "model"}
    with pytest.raises(DataError, match=f"{CONFIG} is missing or damaged"):
        load(config_sha256="0" * 64)
    (folder / FILES[1]).unlink()
    with pytest.raises(DataError, match=f"{FILES[1]} is missing or damaged"):
        load()


def test_members_are_those_that_the_settings_ask_for(settings, tmp_path):
    made = settings("cells_demo", **{"train.ensemble": {"b": {"train.seed": 1}}})
    paths = SimpleNamespace(models=tmp_path, audit=tmp_path)
    record = {"folds": [], "members": {"b": {"folds": []}}}
    assert list(ensemble_members.wanted_entries(made, paths, record)) == [BASE, "b"]
    for other in ({"folds": []}, {**record, "members": {"b": {}, "c": {}}}):
        with pytest.raises(DataError, match="asks for base, b; run"):
            ensemble_members.wanted_entries(made, paths, other)
    with pytest.raises(DataError, match="was trained on other images"):
        ensemble_members.load_members(made, paths, {**record, "data_hash": "x"}, SimpleNamespace(data_hash="y"), None)


@pytest.mark.parametrize(
    ("protocol", "there", "found"), [("detect", True, [{"class": "a"}]), ("off", True, []), ("detect", False, [])]
)
def test_findings_count_where_they_are_asked_for(settings, tmp_path, protocol, there, found):
    made = settings("smear_demo")
    made = made.model_copy(update={"audit": made.audit.model_copy(update={"protocol": protocol})})
    if there:
        write_json(tmp_path / "summary.json", {"left_out": [{"class": "a"}]})
    assert ensemble_members.left_out_findings(made, SimpleNamespace(audit=tmp_path)) == found


@pytest.mark.parametrize(("trials_", "views", "apart"), [(0, 1, False), (0, 2, False), (5, 1, False), (1, 2, True)])
def test_views_are_kept_apart_where_their_fusion_is_fitted(monkeypatch, trials_, views, apart):
    made = SimpleNamespace(
        evaluate=SimpleNamespace(postprocess_trials=trials_), predict=SimpleNamespace(tta=["v"] * views)
    )
    frame = pd.DataFrame({"image_id": ["a"]})
    member = SimpleNamespace(
        name=BASE, task=SimpleNamespace(settings=made), folds={0: None},
        inputs=SimpleNamespace(fold=lambda number: (None, None)),
        views=lambda *_: ["views"], predict=lambda *_: frame.assign(how="merged"),
    )  # fmt: skip
    monkeypatch.setattr(ensemble_members, "stack_views", lambda tables: frame.assign(how="apart"))
    monkeypatch.setattr(ensemble_members, "stack_members", lambda tables: tables[BASE])
    assert ensemble_members.out_of_fold([member], None)["how"].tolist() == ["apart" if apart else "merged"]


def test_inputs_are_read_by_fold_and_subset(smear_paths):
    inputs = read_task_data(smear_paths)
    assert {number: len(ids) for number, ids in inputs.folds.items()} == {0: 6, 1: 6}
    assert inputs.test == ["im12.png", "im13.png", "im14.png"]
    learned, judged = inputs.fold(0)
    assert list(learned.images["image_id"]) == inputs.folds[1]
    assert list(judged.images["image_id"]) == inputs.folds[0]
    assert inputs.fold_of["im00.png"] == 0
    assert inputs.at(64) is inputs
    assert inputs.at(100) is inputs
    smaller = inputs.at(63)
    assert smaller.pack.size == 63


class Sizes:
    """A pack that knows sizes alone."""

    def __init__(self, **sizes):
        self.sizes = sizes

    def size_of(self, image_id):
        return self.sizes[image_id]


def inputs_of(folds_, regions=(), sizes=None):
    ids = [each for part in folds_.values() for each in part]
    images = pd.DataFrame({"image_id": ids, "group": ids})
    rows = [(each, "x", 0.0, 0.0, 1.0, 1.0) for each in regions]
    table = conform(pd.DataFrame(rows, columns=["image_id", "label", *BOX]), BOXES)
    pack = Sizes(**(sizes or dict.fromkeys(ids, (64, 64))))
    return TaskData(GroundTruth(images, empty(BOXES), table), folds_, [], pack, ["a"], "hash", DECODING)


def test_a_fold_must_leave_an_image_to_train_on(settings):
    made = settings("cells_demo", **{"model.name": "lenet", "train.n_folds": 1})
    with pytest.raises(DataError, match="A fold leaves no image to train on"):
        reading.check_trainable(made, inputs_of({0: ["a", "b"]}))
    reading.check_trainable(made, inputs_of({0: ["a", "b"], 1: ["c"]}))
    reading.check_trainable(made, inputs_of({0: ["a"], 1: []}).__class__(**vars(inputs_of({0: [], 1: ["b"]}))))


@pytest.mark.parametrize(
    ("task", "name", "regions", "refused"),
    [
        ("smear_demo", "fcos", ["a"], False), ("smear_demo", "rt_detr", ["a"], True),
        ("smear_demo", "rt_detr", [], False),
        ("smear_demo", "rt_detr", ["elsewhere"], False), ("cells_demo", "lenet", ["a"], False),
    ],
)  # fmt: skip
def test_ignored_regions_need_a_model_that_knows_them(settings, task, name, regions, refused):
    made = settings(task, **{"train.batch_size": 4})
    made = made.model_copy(update={"model": made.model.model_copy(update={"name": name})})
    inputs = inputs_of({0: ["a", "b", "c"], 1: ["d", "e", "f"]}, regions)
    if not refused:
        reading.check_trainable(made, inputs)
        return
    with pytest.raises(UsageError, match=r"1 training images have ignored regions \(crowds\), such as 'a'"):
        reading.check_trainable(made, inputs)


def batch_norm(settings, kind, side, batch, count, size=64, sizes=None, least=1.0):
    model = SimpleNamespace(batch_norm_side=side, batch_norm_remedy="do this")
    own = SimpleNamespace(
        kind=kind, model=model, train=SimpleNamespace(batch_size=batch),
        augment=SimpleNamespace(size=size, scales=[least, 2.0]),
    )  # fmt: skip
    reading._check_batch_norm(own, inputs_of({0: ["a"], 1: ["b"]}, (), sizes), count)


def test_batch_norm_needs_more_than_one_value(settings):
    classes, objects = "classification", "detection"
    batch_norm(settings, classes, None, 1, 9)
    batch_norm(settings, classes, 64, 2, 9)
    batch_norm(settings, classes, 64, 2, 2)
    batch_norm(settings, classes, 63, 1, 9)
    with pytest.raises(
        UsageError, match=r"train\.batch_size 1 leaves batch norm one value a channel to average; do this"
    ):
        batch_norm(settings, classes, 64, 1, 2)
    with pytest.raises(UsageError, match="A fold's one training image leaves batch norm one value"):
        batch_norm(settings, classes, 64, 8, 1)
    sizes = {"a": (30, 40), "b": (32, 16)}
    batch_norm(settings, objects, 31, 1, 9, sizes=sizes)
    with pytest.raises(UsageError, match="batch norm, for 'b' of 32 pixels or less, one value"):
        batch_norm(settings, objects, 32, 1, 9, sizes=sizes)
    batch_norm(settings, objects, 15, 1, 9, sizes=sizes, least=0.5)
    with pytest.raises(UsageError, match="for 'b' of 16 pixels or less"):
        batch_norm(settings, objects, 16, 1, 9, sizes=sizes, least=0.5)


def test_code_that_a_training_runs_through_is_known():
    code = reading.training_code()
    assert code == sorted(code)
    assert {"images/decode.py", "seeds.py", "stages/inputs.py"} <= set(code)
    assert not {"images/draw.py", "metrics/names.py", "cli.py"} & set(code)
    assert not any(each.startswith("training/search/") for each in code)
    assert (reading.CODE / "training" / "search").is_dir()
    assert len(reading.code_hash()) == 16
