import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from tropho.data.task_data import GroundTruth
from tropho.errors import DataError
from tropho.evaluation.evaluator import build_evaluator
from tropho.tables import BOXES, IMAGES, empty
from tropho.tasks import build_task
from tropho.tasks.classification_dataset import class_weights

CLASSES = ["cat", "dog", "emu"]


def truth_of(labels):
    images = pd.DataFrame({"image_id": [str(number) for number in range(len(labels))], "label": labels})
    return GroundTruth(images.reindex(columns=list(IMAGES)).astype(IMAGES), empty(BOXES))


@pytest.fixture
def task(settings):
    return build_task(settings("cells_demo"), CLASSES)


def table(task, probabilities):
    outputs = [{"probabilities": torch.tensor(row)} for row in probabilities]
    return task.to_table(outputs, [str(number) for number in range(len(outputs))], None)


def test_the_likeliest_class_is_the_label(task):
    predictions = table(task, [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    assert predictions["label"].tolist() == ["dog", "cat"]
    assert list(predictions.columns) == ["image_id", "label", "p_cat", "p_dog", "p_emu"]


def test_merging_averages_probabilities(task):
    merged = task.fuse_views([table(task, [[1.0, 0.0, 0.0]]), table(task, [[0.0, 0.6, 0.4]])])
    np.testing.assert_allclose(merged[task.columns].to_numpy(), [[0.5, 0.3, 0.2]], atol=1e-7)
    assert merged["label"].tolist() == ["cat"]


def test_the_score_is_the_mean_recall_of_the_classes_in_the_truth(task):
    truth = truth_of(["cat", "cat", "cat", "dog"])
    predictions = table(task, [[1, 0, 0.0], [1, 0, 0.0], [0, 0, 1.0], [0, 1, 0.0]])
    assert task.score(truth, predictions) == pytest.approx((2 / 3 + 1) / 2, abs=1e-12)
    assert build_evaluator(task).metrics(truth, predictions)["balanced_accuracy"] == pytest.approx(
        (2 / 3 + 1) / 2, abs=1e-12
    )


def test_balanced_weights_give_every_class_the_same_say():
    weights = class_weights([0, 0, 0, 1, -1], 3)
    assert weights[2] == 0
    assert weights[0] * 3 == pytest.approx(weights[1] * 1)
    assert weights[0] * 3 + weights[1] == pytest.approx(4)


def test_the_loss_is_weighted_cross_entropy(task):
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    batch = {
        "images": torch.zeros(2, 3, 8, 8),
        "targets": {"label": torch.tensor([0, 2]), "weight": torch.tensor([1.0, 3.0])},
    }
    each = functional.cross_entropy(logits, torch.tensor([0, 2]), reduction="none")
    loss = task.compute_loss(lambda images: logits, batch)["cross_entropy"]
    assert loss.item() == pytest.approx(((each[0] + 3 * each[1]) / 4).item(), rel=1e-6)


def test_an_image_without_prediction_gets_equal_probabilities(task):
    submission = task.to_submission(table(task, [[0.1, 0.8, 0.1]]), ["0", "lost"])
    assert submission["image_id"].tolist() == ["0", "lost"]
    assert submission.loc[1, task.columns].tolist() == pytest.approx([1 / 3] * 3)


def test_a_sample_is_padded_to_a_square(task):
    image, label, weight, _ = task.sample(np.full((20, 64, 3), 9, np.uint8))
    assert image.shape == (3, 64, 64)
    assert (label, weight) == (-1, 1.0)


def test_thresholds_are_chosen_for_each_class(task):
    truth = truth_of(["cat", "dog", "cat", "dog"])
    predictions = table(task, [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0]])
    chosen = build_evaluator(task).thresholds(truth, predictions)
    assert 0.3 < chosen["cat"]["threshold"] <= 0.6 + 1e-6
    assert chosen["cat"]["f_beta"] == pytest.approx(1.0)


def test_predictions_belong_to_images_by_their_ids(settings):
    """Shuffled predictions give the same numbers, and members in different orders the same mean."""
    task = build_task(
        settings("cells_demo", **{"predict.member_weights": "fitted", "train.ensemble": {"b": {}}}), CLASSES
    )
    evaluator = build_evaluator(task)
    rng = np.random.default_rng(3)
    truth = truth_of([CLASSES[number % 3] for number in range(30)])
    truth.images["group"] = [str(number // 2) for number in range(30)]
    values = rng.dirichlet([1, 1, 1], (2, 30)) + 0.8 * np.eye(3)[np.arange(30) % 3]
    first, second = (table(task, each / each.sum(axis=1, keepdims=True)) for each in values)
    shuffled = [each.sample(frac=1, random_state=number) for number, each in enumerate((first, second))]
    assert task.score(truth, shuffled[0]) == task.score(truth, first)
    assert evaluator.metrics(truth, shuffled[0]) == evaluator.metrics(truth, first)
    assert evaluator.thresholds(truth, shuffled[0]) == evaluator.thresholds(truth, first)
    chosen = evaluator.thresholds(truth, first)
    for name, expected in evaluator.tables(truth, first, chosen).items():
        pd.testing.assert_frame_equal(evaluator.tables(truth, shuffled[0], chosen)[name], expected)
    pd.testing.assert_frame_equal(evaluator.label_issues(truth, shuffled[0]), evaluator.label_issues(truth, first))
    groups = truth.images.set_index("image_id")["group"]
    assert evaluator.fit_postprocess(truth, shuffled[0]) == evaluator.fit_postprocess(truth, first)
    members = [{"base": [one], "b": [two]} for one, two in ((first, second), shuffled)]
    assert evaluator.fit_fusion(truth, members[1], groups) == evaluator.fit_fusion(truth, members[0], groups)
    means = [task.fuse_views([one, two]).set_index("image_id") for one, two in ((first, second), shuffled)]
    pd.testing.assert_frame_equal(means[1].loc[means[0].index], means[0])


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["0", "1"], r"1 without a prediction, such as '2'"),
        (["0", "1", "2", "9"], r"1 unknown, such as '9'"),
        (["0", "1", "2", "2"], r"1 predicted twice, such as '2'"),
    ],
)
@pytest.mark.parametrize("what", ["score", "metrics", "thresholds", "label_issues"])
def test_predictions_of_other_images_are_refused(task, ids, says, what):
    predictions = table(task, [[0.2, 0.5, 0.3]] * len(ids)).assign(image_id=ids)
    with pytest.raises(DataError, match=says):
        getattr(task if what == "score" else build_evaluator(task), what)(truth_of(["cat", "dog", "emu"]), predictions)
