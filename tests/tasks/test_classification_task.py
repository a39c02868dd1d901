import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from tropho.tables import BOXES, IMAGES, empty
from tropho.tasks import build_task
from tropho.tasks.base import Truth
from tropho.tasks.labelled_images import class_weights

CLASSES = ["cat", "dog", "emu"]


def truth_of(labels):
    images = pd.DataFrame({"image_id": [str(number) for number in range(len(labels))], "label": labels})
    return Truth(images.reindex(columns=list(IMAGES)).astype(IMAGES), empty(BOXES))


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
    merged = task.merge([table(task, [[1.0, 0.0, 0.0]]), table(task, [[0.0, 0.6, 0.4]])])
    np.testing.assert_allclose(merged[task.columns].to_numpy(), [[0.5, 0.3, 0.2]], atol=1e-7)
    assert merged["label"].tolist() == ["cat"]


def test_the_score_is_the_mean_recall_of_the_classes_in_the_truth(task):
    truth = truth_of(["cat", "cat", "cat", "dog"])
    predictions = table(task, [[1, 0, 0.0], [1, 0, 0.0], [0, 0, 1.0], [0, 1, 0.0]])
    assert task.score(truth, predictions) == pytest.approx((2 / 3 + 1) / 2, abs=1e-12)
    assert task.measure(truth, predictions)["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-12)


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
    loss = task.loss(lambda images: logits, batch)["cross_entropy"]
    assert loss.item() == pytest.approx(((each[0] + 3 * each[1]) / 4).item(), rel=1e-6)


def test_an_image_without_prediction_gets_equal_probabilities(task):
    submission = task.submission(table(task, [[0.1, 0.8, 0.1]]), ["0", "lost"])
    assert submission["image_id"].tolist() == ["0", "lost"]
    assert submission.loc[1, task.columns].tolist() == pytest.approx([1 / 3] * 3)


def test_a_sample_is_padded_to_a_square(task):
    image, label, weight, _ = task.sample(np.full((20, 64, 3), 9, np.uint8))
    assert image.shape == (3, 64, 64)
    assert (label, weight) == (-1, 1.0)


def test_thresholds_are_chosen_for_each_class(task):
    truth = truth_of(["cat", "dog", "cat", "dog"])
    predictions = table(task, [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0]])
    chosen = task.thresholds(truth, predictions)
    assert 0.3 < chosen["cat"]["threshold"] <= 0.6 + 1e-6
    assert chosen["cat"]["f_beta"] == pytest.approx(1.0)
