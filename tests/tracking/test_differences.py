"""What sets tracked runs apart, in words."""

from tropho.tracking.leaderboard import differences


def test_settings_that_are_not_the_usual_ones_are_named() -> None:
    runs = [
        {"model.name": "resnet", "train.lr": "0.001"},
        {"model.name": "lenet", "train.lr": "0.001"},
        {"model.name": "resnet", "train.lr": "0.01", "train.ema_decay": "0.9"},
    ]
    assert differences(runs) == ["", "model.name=lenet", "train.ema_decay=0.9, train.lr=0.01"]


def test_of_equally_frequent_values_the_earlier_run_s_is_usual() -> None:
    assert differences([{"a": "new"}, {"a": "old"}]) == ["a=new", ""]
    assert differences([{"a": "1"}]) == [""]
    assert differences([]) == []
