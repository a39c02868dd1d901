"""Ranges and choices at their limits, and the value nearest to a setting."""

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from tropho.errors import UsageError
from tropho.tuning.space import SearchParam, parse_space


@pytest.fixture
def param(settings):
    """Parses a space of one setting."""

    def made(key: str, **spec) -> SearchParam:
        (found,) = parse_space(settings("cells_demo", **{"tune.space": {key: spec}}))
        assert found.key == key
        return found

    return made


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"low": 0.1, "high": 0.1}, r"low is 0.1, which is not below high, 0.1\."),
        ({"low": 0.1}, "needs both low and high"),
        ({"high": 0.1}, "needs both low and high"),
        ({}, "must be"),
        ({"step": 0.1}, "must be"),
        ({"choices": [0.1], "high": 0.2}, "must be"),
        ({"choices": [0.1], "log": True}, "choices must be a list of values and stand alone"),
        ({"choices": 0.1}, "choices must be a list of values and stand alone"),
        ({"choices": [0.1, 0.1]}, "names a value twice"),
        ({"low": 0.1, "high": 0.2, "log": 1}, "log is 1; it must be true or false"),
        ({"low": 0.0, "high": 0.2, "log": True}, "low is 0.0; with log: true it must be above 0"),
        ({"low": 0.1, "high": 0.2, "step": 0}, "step is 0; it must be a number above 0"),
        ({"low": 0.1, "high": 0.2, "step": -0.1}, "step is -0.1; it must be"),
        ({"low": 0.1, "high": 0.2, "step": "0.1"}, "step is '0.1'; it must be"),
        ({"low": 0.1, "high": 0.2, "step": True}, "step is True; it must be"),
        ({"low": 0.1, "high": 0.2, "log": True, "step": 0.1}, "and without log: true"),
        ({"low": 0.1, "high": 0.2, "xyz": 1}, "xyz is not a known key; known are choices, high, log, low, step"),
        ({"low": 0.1, "high": 0.2, "hihg": 1}, "hihg is not a known key \\(did you mean 'high'"),
    ],
)
def test_parse_space_refuses_malformed_entries(param, spec, says):
    with pytest.raises(UsageError, match=says):
        param("model.dropout" if spec.get("low") != 0.0 else "train.weight_decay", **spec)


def test_parse_space_of_whole_numbers(param):
    assert param("train.batch_size", low=9, high=30, step=8).distribution == IntDistribution(9, 25, step=8)
    assert param("train.batch_size", low=8, high=24, step=8).distribution == IntDistribution(8, 24, step=8)
    assert param("train.batch_size", low=8, high=30).distribution == IntDistribution(8, 30)
    assert param("train.batch_size", low=8, high=32, log=True).distribution == IntDistribution(8, 32, log=True)
    assert param("train.weight_decay", low=0, high=1).distribution == FloatDistribution(0, 1)


def test_parse_space_ends_at_the_last_step(param):
    whole, cut = (param("model.dropout", low=0.0, high=high, step=0.1).distribution for high in (0.3, 0.35))
    assert whole.high == pytest.approx(0.3)
    assert cut.high == pytest.approx(0.3)
    assert param("model.dropout", low=0.125, high=0.5, step=0.25).distribution.high == 0.375
    assert param("train.lr", low=0.001, high=0.1, log=True).distribution == FloatDistribution(0.001, 0.1, log=True)


@pytest.mark.parametrize(("value", "nearest"), [(21, 25), (20, 17), (9, 9), (1, 9), (99, 25), (17.0, 17), (True, None)])
def test_nearest_whole_number(param, value, nearest):
    found = param("train.batch_size", low=9, high=30, step=8).nearest(value)
    assert found == nearest
    assert not isinstance(found, float)


@pytest.mark.parametrize(("value", "nearest"), [(0.2, 0.2), (0.7, 0.5), (0, 0.1), ("x", None), (None, None)])
def test_nearest_real_number(param, value, nearest):
    assert param("model.dropout", low=0.1, high=0.5).nearest(value) == nearest


def test_choices_are_stored_as_plain_values(param):
    lists = param("model.fpn_levels", choices=[[3, 4, 5], [2, 3, 4, 5]])
    assert list(lists.choices) == ["[3, 4, 5]", "[2, 3, 4, 5]"]
    assert lists.nearest([2, 3, 4, 5]) == "[2, 3, 4, 5]"
    assert lists.nearest([2]) is None
    assert lists.value("[3, 4, 5]") == [3, 4, 5]
    assert param("train.clip_grad_norm", choices=[None, 1.0]).nearest(1.0) == 1.0
    assert param("train.optimizer", choices=["sgd"]).value("sgd") == "sgd"
    assert param("model.dropout", low=0.1, high=0.5).value(0.3) == 0.3
