"""Weight averages, checkpoints and the order of samples."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tropho.seeds import sample_seed
from tropho.tasks import build_task
from tropho.training.checkpoint import Checkpoint, TrainState
from tropho.training.data_loader import EpochSampler
from tropho.training.optim import ModelEma


def test_model_ema_warms_up_its_decay():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    average = ModelEma(model, decay=0.5)
    expected = 0.0
    for step in range(1, 20):
        nn.init.constant_(model.weight, float(step))
        average.update_parameters(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)


def test_model_ema_averages_norm_statistics_and_copies_counters():
    model = nn.BatchNorm1d(2)
    average = ModelEma(model, decay=0.9)
    model.train()(torch.randn(8, 2) + 5)
    average.update_parameters(model)
    assert average.module.num_batches_tracked == 1
    assert (average.module.running_mean > 0).all()
    assert not any(each.requires_grad for each in average.module.parameters())


def test_load_returns_none_without_a_checkpoint(tmp_path):
    assert Checkpoint(tmp_path / "fold0").load() is None


def test_load_returns_what_was_saved(tmp_path):
    checkpoint = Checkpoint(tmp_path / "fold0")
    weights = {"weight": torch.randn(2, 3), "count": torch.tensor(4)}
    state = TrainState([{"epoch": 1.0, "score": 0.5, "seconds": 2.0}], best_epoch=1, best_score=0.5)
    checkpoint.save(state, model=weights)
    loaded, parts = checkpoint.load()
    assert loaded == state
    torch.testing.assert_close(parts["model"], weights, rtol=0, atol=0)


def test_epoch_sampler_depends_on_seed_and_epoch_alone():
    sampler = EpochSampler(["a"] * 30, seed=1)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(index for _, index, _ in first) == list(range(30))
    assert {draw for *_, draw in first} == {0}
    sampler.epoch = 1
    assert [index for _, index, _ in sampler] != [index for _, index, _ in first]
    assert {epoch for epoch, *_ in sampler} == {1}
    assert list(EpochSampler(["a"] * 30, seed=2)) != first


def test_epoch_sampler_balances_strata():
    strata = ["rare"] * 5 + ["common"] * 1995
    drawn = Counter(strata[index] for _, index, _ in EpochSampler(strata, seed=0, balanced=True))
    # 2000 fair draws: 1000 each, give or take five standard deviations of 22
    assert abs(drawn["rare"] - 1000) < 112


def test_epoch_sampler_counts_draws_within_an_epoch():
    sampler = EpochSampler(["rare"] * 2 + ["common"] * 38, seed=0, balanced=True)
    for sampler.epoch in (0, 1):
        keys = list(sampler)
        assert len(set(keys)) == len(sampler)
        draws = [draw for _, index, draw in keys if index == 0]
        assert draws == list(range(len(draws)))
        assert len(draws) > 2


def test_dataset_augments_each_draw_differently(settings, data):
    pack, truth = data
    chosen = settings(
        "cells_demo", **{"augment.image_size": 32, "augment.policy": "microscopy", "train.sampler": "balanced"}
    )
    few = truth.subset([*truth.images["image_id"][:1], *truth.images["image_id"][1::2]])  # one of a, four of b
    task = build_task(chosen, ["a", "b"])
    dataset = task.build_dataset(pack, few, train=True)
    keys = [key for key in EpochSampler(task.strata(few), seed=0, balanced=True) if key[1] == 0]
    assert len(keys) > 1
    assert len({dataset[key][0].numpy().tobytes() for key in keys}) == len(keys)


def test_sample_seed_is_stable():
    assert [sample_seed(3, 4, 5), sample_seed(0, 0, 0), sample_seed(2**32 - 1, 7, 19)] == [
        125447559,
        2968811710,
        1859795994,
    ]


def test_sample_seed_differs_and_repeats():
    seeds = {sample_seed(0, epoch, index, draw) for epoch in range(10) for index in range(10) for draw in range(10)}
    assert len(seeds) == 1000
    assert sample_seed(3, 4, 5) == sample_seed(3, 4, 5)
    assert all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    assert np.random.default_rng(sample_seed(0, 0, 0)).random() >= 0


@pytest.mark.fault("a damaged checkpoint", "starts that fold again and says so")
@pytest.mark.parametrize("harm", [lambda old: old[:-5], lambda old: b"", lambda old: b"x" + old[1:]])
def test_load_refuses_a_damaged_checkpoint(tmp_path, capsys, harm):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(TrainState([{"epoch": 1.0}], best_epoch=1, best_score=0.1), best={"weight": torch.ones(3)})
    path = tmp_path / "state.pt"
    path.write_bytes(harm(path.read_bytes()))
    assert checkpoint.load() is None
    assert "state.pt is damaged" in capsys.readouterr().err


def test_save_raises_on_a_full_disk(tmp_path):
    """/dev/full refuses every byte, as a full disk does."""
    (tmp_path / "fold0").mkdir()
    checkpoint = Checkpoint(tmp_path / "fold0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tropho.training.checkpoint.atomic_path", lambda path: nullcontext(Path("/dev/full")))
        with pytest.raises(OSError, match="No space left"):
            checkpoint.save(TrainState([{"epoch": 1.0}]), model={})
