"""A training step waits for the GPU once: it reads one tensor. Shown without a GPU, and on one where there is one."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from labelled_batches import CASES, DETECTOR, SMALL, labelled
from tropho.tasks import build_task
from tropho.training.checkpoint import TrainState
from tropho.training.loop import Trainer
from tropho.training.optim import ModelEma, build_optimizer
from tropho.training.step_log import StepLog

META = torch.device("meta")
"""A device whose tensors have no values: whatever reads one there fails, as it would wait for a GPU's."""

ONE_SYNC = {
    **{name: case for name, case in CASES.items() if name != "retinanet"},
    "resnet_batch": ("cells_demo", {"model.name": "resnet", "model.norm": "batch"}),
    "fcos_frozen": ("smear_demo", {**DETECTOR, "model.name": "fcos", "model.norm": "frozen"}),
    "torchvision_fcos": ("smear_demo", {"model.name": "torchvision_fcos", "model.norm": "frozen"}),
}
"""RetinaNet, Faster R-CNN and DETRs also wait where torchvision and the matcher choose by values."""


class StepTrainer(Trainer):
    """A trainer of one model and batch on a device; `reads` counts what comes back from it."""

    def __init__(self, task, device):
        self.task, self.config, self.state = task, task.settings.train, TrainState()
        self.accelerator = Accelerator(cpu=True)
        self.model = self.raw_model = task.build_model().to(device).train()
        self.optimizer, self.ema = build_optimizer(self.model, self.config), ModelEma(self.model, 0.9)
        self.layer_stats, self.log, self.reads = None, StepLog("", self.accelerator), 0

    def _check_finite(self, values, place):
        if values["sum"].device != META:
            return super()._check_finite(values, place)
        assert torch.stack(list(values.values())).shape == (len(values),)
        self.reads += 1
        return 0.0


@pytest.mark.parametrize("name", ONE_SYNC)
def test_train_step_reads_one_tensor_of_the_device(settings, name, monkeypatch):
    kind, changes = ONE_SYNC[name]
    task = build_task(settings(kind, **SMALL, **changes, **{"train.clip_grad_norm": 1.0}), ["a", "b"])
    trainer = StepTrainer(task, META)
    # `to(device)` of the step would bring the images back from the device without values.
    monkeypatch.setattr(Accelerator, "device", META)
    values, _ = trainer.train_step(labelled(task), "step 1")
    assert trainer.reads == 1
    assert {value.device for value in values.values()} == {META}
    assert all(parameter.grad is not None for parameter in trainer.model.parameters())


def test_check_finite_reads_once(monkeypatch, settings):
    trainer = StepTrainer(build_task(settings("cells_demo", **SMALL), ["a", "b"]), "cpu")
    values = {"one": torch.tensor(1.0), "two": torch.tensor(2.0), "sum": torch.tensor(3.0)}
    n_reads = SimpleNamespace(value=0)

    def counted(read):
        def wrapper(*given, **named):
            n_reads.value += 1
            return read(*given, **named)

        return wrapper

    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, counted(getattr(torch.Tensor, name)))
    assert trainer._check_finite(values, "step 1") == 3.0
    assert n_reads.value == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ONE_SYNC)
def test_train_step_waits_once_on_a_gpu(settings, name, monkeypatch):
    kind, changes = ONE_SYNC[name]
    task = build_task(settings(kind, **SMALL, **changes), ["a", "b"])
    trainer = StepTrainer(task, "cuda")
    monkeypatch.setattr(Accelerator, "device", torch.device("cuda"))
    trainer.train_step(labelled(task), "step 1")  # the optimizer's state is new
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer.train_step(labelled(task), "step 2")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [str(each.message) for each in caught if "synchroniz" in str(each.message)]
    assert len(waits) <= 1, waits
