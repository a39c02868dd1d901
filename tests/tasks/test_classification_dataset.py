"""Dataset of classification."""

import pytest

from tropho.tasks.classification_dataset import class_weights


def test_class_weights_by_hand():
    assert class_weights([0, 0, 0, 1, -1], 3).tolist() == pytest.approx([4 / 6, 2.0, 0.0])
    assert class_weights([], 2).tolist() == [0.0, 0.0]


def test_class_weights_balance_the_classes():
    weights = class_weights([0, 0, 0, 1, -1], 3)
    assert weights[2] == 0
    assert weights[0] * 3 == pytest.approx(weights[1] * 1)
    assert weights[0] * 3 + weights[1] == pytest.approx(4)
