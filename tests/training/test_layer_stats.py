"""What is logged of each layer, by hand, and that it shows gradients that vanish."""

import pytest
import torch
from torch import nn

from tropho.config.load import with_overrides
from tropho.models import build_model
from tropho.training.layer_stats import DEAD_SLOPE, N_STEPS, LayerStats, relative_slope


def test_layer_stats_of_gradients_and_outputs() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 1))
    log = LayerStats(model)
    log.start()
    inputs = torch.randn(5, 2)
    hidden = model[0](inputs).detach()
    model(inputs).sum().backward()
    log.after_backward(2.0)
    found = log.finish()
    assert found["grad_norm/0"] == pytest.approx(2 * model[0].weight.grad.norm().item())
    assert found["dead_fraction/1"] == pytest.approx((hidden <= 0).float().mean().item())
    assert set(found) == {
        *(f"{kind}/{layer}" for kind in ("grad_norm", "output_mean", "output_std") for layer in "02"),
        "dead_fraction/1",
    }
    assert not model[0]._forward_hooks


def test_layer_stats_measures_the_first_steps() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    log = LayerStats(model)
    log.start()
    for step in range(N_STEPS + 5):
        model(torch.full((1, 1), float(step < N_STEPS))).sum().backward()
        log.after_backward(1.0)
        model.zero_grad()
    assert log.finish()["grad_norm/0"] == pytest.approx(1.0)
    log.start()
    assert log.finish() == {}


@pytest.mark.parametrize(
    "layer", [nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(0.01), nn.SELU(), nn.Sigmoid(), nn.Tanh()]
)
def test_relative_slope_equals_autograd(layer: nn.Module) -> None:
    inputs = torch.linspace(-8, 8, 161, requires_grad=True)
    output = layer(inputs)
    slopes = torch.autograd.grad(output.sum(), inputs)[0]
    near_zero = torch.linspace(-1e-4, 1e-4, 100, requires_grad=True)
    steepest = torch.autograd.grad(layer(near_zero).sum(), near_zero)[0].max()
    away = inputs.detach().abs() > 1e-3
    torch.testing.assert_close(
        relative_slope(layer, output.detach())[away], (slopes / steepest)[away], rtol=1e-3, atol=1e-3
    )


def deep(settings, activation: str, init: str) -> dict[str, float]:
    changes = {"name": "mlp", "hidden_units": [32] * 8, "norm": "none", "activation": activation, "init": init}
    made = with_overrides(settings("cells_demo"), {f"model.{key}": value for key, value in changes.items()})
    torch.manual_seed(0)
    model = build_model(made.model, "classification", 2, 16)
    log = LayerStats(model)
    log.start()
    images = torch.randint(0, 256, (32, 3, 16, 16), dtype=torch.uint8)
    nn.functional.cross_entropy(model(images), torch.arange(32) % 2).backward()
    log.after_backward(1.0)
    return log.finish()


def test_layer_stats_show_vanishing_gradients(settings) -> None:
    def ends(activation: str, init: str) -> float:
        norms = [value for name, value in deep(settings, activation, init).items() if name.startswith("grad_norm/")]
        assert len(norms) == 9
        return norms[0] / norms[-1]

    assert ends("sigmoid", "naive") < 1e-6
    assert ends("sigmoid", "xavier") < 1e-2
    assert 0.1 < ends("relu", "kaiming") < 100


def test_layer_stats_show_dead_outputs(settings) -> None:
    found = deep(settings, "relu", "kaiming")
    dead = [value for name, value in found.items() if name.startswith("dead_fraction/")]
    assert len(dead) == 8
    assert all(0.2 < value < 0.8 for value in dead)  # about half of a ReLU's outputs are zero
    assert DEAD_SLOPE < 0.2


def test_layer_stats_averages_outputs_of_the_first_steps() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.constant_(model[0].weight, 2.0)
    log = LayerStats(model)
    log.start()
    for step in range(N_STEPS + 3):
        model(torch.tensor([[float(step)], [step + 2.0]])).sum().backward()
        log.after_backward(1.0)
    found = log.finish()
    assert found["output_mean/0"] == pytest.approx(2 * (N_STEPS - 1) / 2 + 2)
    assert found["output_std/0"] == pytest.approx(2.0)


def test_layer_stats_skips_frozen_layers() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[0].requires_grad_(requires_grad=False)
    log = LayerStats(model)
    log.start()
    model(torch.ones(1, 1)).sum().backward()
    model[1].weight.grad = None
    log.after_backward(1.0)
    assert set(log.finish()) == {"output_mean/1", "output_std/1"}


def test_relative_slope_at_the_limits() -> None:
    zero = torch.zeros(1)
    assert relative_slope(nn.ReLU(), zero).item() == 0.0
    assert relative_slope(nn.LeakyReLU(0.2), zero).item() == pytest.approx(0.2)
    assert relative_slope(nn.SELU(), zero).item() == pytest.approx(1.0)
    assert relative_slope(nn.SELU(), torch.ones(1)).item() == pytest.approx(1 / 1.6732632423543772)
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.LeakyReLU(DEAD_SLOPE))
    nn.init.ones_(model[0].weight)
    log = LayerStats(model)
    log.start()
    model(-torch.ones(4, 1))
    assert log.finish()["dead_fraction/1"] == 0.0  # as steep as the limit is not below it
