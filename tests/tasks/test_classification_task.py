"""Classification task."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from member_predictions import CLASSES, labelled, says
from tropho.errors import DataError
from tropho.evaluation.evaluator import build_evaluator
from tropho.tasks import build_task


def test_fuse_members_by_set_or_fitted_weights(cells):
    task = cells(**{"train.ensemble": {"b": {}}, "predict.member_weights": {"base": 3.0, "b": 1.0}})
    tables = {"base": [says(task, [1.0, 0.0])], "b": [says(task, [0.0, 1.0])]}
    assert task.fuse_members(tables)["p_cat"].tolist() == pytest.approx([0.75])
    assert task.fuse_members(tables, {"weights": {"base": 1.0, "b": 4.0}})["p_cat"].tolist() == pytest.approx([0.2])


def test_score_is_nan_without_images(cells):
    task = cells()
    assert np.isnan(task.score(labelled(), says(task)))
    assert task.score(labelled("dog", "dog"), says(task, [0.9, 0.1], [0.1, 0.9])) == 0.5


def test_to_submission_gives_equal_probabilities_without_prediction(cells):
    assert cells().to_submission(says(cells(), [0.9, 0.1]), ["x"])["p_dog"].tolist() == [0.5]


@pytest.fixture
def task(settings):
    return build_task(settings("cells_demo"), CLASSES)


def table(task, probabilities):
    outputs = [{"probabilities": torch.tensor(row)} for row in probabilities]
    return task.to_table(outputs, [str(number) for number in range(len(outputs))], None)


def test_to_table_labels_the_most_probable_class(task):
    predictions = table(task, [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    assert predictions["label"].tolist() == ["dog", "cat"]
    assert list(predictions.columns) == ["image_id", "label", "p_cat", "p_dog", "p_emu"]


def test_fuse_views_averages_probabilities(task):
    merged = task.fuse_views([table(task, [[1.0, 0.0, 0.0]]), table(task, [[0.0, 0.6, 0.4]])])
    np.testing.assert_allclose(merged[task.columns].to_numpy(), [[0.5, 0.3, 0.2]], atol=1e-7)
    assert merged["label"].tolist() == ["cat"]


def test_score_is_the_mean_recall_of_present_classes(task):
    truth = labelled(*["cat", "cat", "cat", "dog"])
    predictions = table(task, [[1, 0, 0.0], [1, 0, 0.0], [0, 0, 1.0], [0, 1, 0.0]])
    assert task.score(truth, predictions) == pytest.approx((2 / 3 + 1) / 2, abs=1e-12)
    assert build_evaluator(task).metrics(truth, predictions)["balanced_accuracy"] == pytest.approx(
        (2 / 3 + 1) / 2, abs=1e-12
    )


def test_compute_loss_is_weighted_cross_entropy(task):
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    batch = {
        "images": torch.zeros(2, 3, 8, 8),
        "targets": {"label": torch.tensor([0, 2]), "weight": torch.tensor([1.0, 3.0])},
    }
    each = functional.cross_entropy(logits, torch.tensor([0, 2]), reduction="none")
    loss = task.compute_loss(lambda images: logits, batch)["cross_entropy"]
    assert loss.item() == pytest.approx(((each[0] + 3 * each[1]) / 4).item(), rel=1e-6)


def test_to_submission_keeps_every_image(task):
    submission = task.to_submission(table(task, [[0.1, 0.8, 0.1]]), ["0", "lost"])
    assert submission["image_id"].tolist() == ["0", "lost"]
    assert submission.loc[1, task.columns].tolist() == pytest.approx([1 / 3] * 3)


def test_sample_is_padded_to_a_square(task):
    image, label, weight, _ = task.sample(np.full((20, 64, 3), 9, np.uint8))
    assert image.shape == (3, 64, 64)
    assert (label, weight) == (-1, 1.0)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["0", "1"], r"1 without a prediction, such as '2'"),
        (["0", "1", "2", "9"], r"1 unknown, such as '9'"),
        (["0", "1", "2", "2"], r"1 predicted twice, such as '2'"),
    ],
)
@pytest.mark.parametrize("what", ["score", "metrics", "thresholds", "label_issues"])
def test_score_refuses_predictions_of_other_images(task, ids, says, what):
    predictions = table(task, [[0.2, 0.5, 0.3]] * len(ids)).assign(image_id=ids)
    with pytest.raises(DataError, match=says):
        getattr(task if what == "score" else build_evaluator(task), what)(labelled(*["cat", "dog", "emu"]), predictions)
