"""Checks before a training, and the code that its fingerprint covers."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth, TaskData
from tropho.errors import DataError, UsageError
from tropho.images.decode import DECODING
from tropho.tables import BOX, BOXES, conform, empty
from tropho.training import training_fingerprint as reading


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
        ("smear_demo", "fcos", ["a"], False), ("smear_demo", "torchvision_retinanet", ["a"], True),
        ("smear_demo", "torchvision_retinanet", [], False), ("smear_demo", "hf_detr", ["a"], False),
        ("smear_demo", "torchvision_retinanet", ["elsewhere"], False), ("cells_demo", "lenet", ["a"], False),
    ],
)  # fmt: skip
def test_ignored_regions_need_a_model_that_knows_them(settings, task, name, regions, refused):
    made = settings(task, **{"train.batch_size": 4})
    made = made.model_copy(update={"model": made.model.model_copy(update={"name": name})})
    data = inputs_of({0: ["a", "b", "c"], 1: ["d", "e", "f"]}, regions)
    if not refused:
        reading.check_trainable(made, data)
        return
    with pytest.raises(UsageError, match=r"1 training images have ignored regions \(crowds\), such as 'a'"):
        reading.check_trainable(made, data)


def batch_norm(settings, kind, side, batch, count, size=64, sizes=None, least=1.0):
    model = SimpleNamespace(batch_norm_side=side, batch_norm_remedy="do this")
    own = SimpleNamespace(
        kind=kind, model=model, train=SimpleNamespace(batch_size=batch),
        augment=SimpleNamespace(image_size=size, zoom_range=[least, 2.0]),
    )  # fmt: skip
    reading._check_batch_norm(own, inputs_of({0: ["a"], 1: ["b"]}, (), sizes), count)


def test_batch_norm_needs_more_than_one_value(settings):
    classes, objects = "classification", "detection"
    batch_norm(settings, classes, None, 1, 9)
    batch_norm(settings, classes, 64, 2, 9)
    batch_norm(settings, classes, 64, 2, 2)
    batch_norm(settings, classes, 63, 1, 9)
    with pytest.raises(
        UsageError, match=r"train\.batch_size 1 leaves batch norm only one value a channel to average; do this"
    ):
        batch_norm(settings, classes, 64, 1, 2)
    with pytest.raises(UsageError, match="A fold's one training image leaves batch norm only one value"):
        batch_norm(settings, classes, 64, 8, 1)
    sizes = {"a": (30, 40), "b": (32, 16)}
    batch_norm(settings, objects, 31, 1, 9, sizes=sizes)
    with pytest.raises(UsageError, match="batch norm, for 'b' of 32 pixels or less, only one value"):
        batch_norm(settings, objects, 32, 1, 9, sizes=sizes)
    batch_norm(settings, objects, 15, 1, 9, sizes=sizes, least=0.5)
    with pytest.raises(UsageError, match="for 'b' of 16 pixels or less"):
        batch_norm(settings, objects, 16, 1, 9, sizes=sizes, least=0.5)


def test_code_that_a_training_runs_through_is_known():
    code = reading.training_code()
    assert code == sorted(code)
    assert {"images/decode.py", "seeds.py", "data/task_data.py"} <= set(code)
    assert not {"images/draw.py", "metrics/curves.py", "cli.py"} & set(code)
    assert not any(each.startswith("tuning/") for each in code)
    assert (reading.CODE / "tuning").is_dir()
    assert len(reading.code_hash()) == 16
