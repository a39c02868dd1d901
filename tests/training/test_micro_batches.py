"""A batch in parts has the gradients of the whole, and a full memory makes parts."""

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from labelled_batches import CASES, DETECTOR, SMALL, labelled
from tropho.errors import UsageError
from tropho.tasks import build_task
from tropho.training.checkpoint import Checkpoint
from tropho.training.devices import make_accelerator
from tropho.training.loop import Trainer, add_gradients
from tropho.training.micro_batches import describe_parts, more_parts, split_batch


@pytest.mark.parametrize("name", CASES)
def test_parts_have_the_gradients_of_the_whole_batch(settings, name):
    kind, changes = CASES[name]
    task = build_task(settings(kind, **SMALL, **changes), ["a", "b"])
    accelerator = make_accelerator(task.settings.train)
    found = []
    for n_parts in (1, 2, 5):
        torch.manual_seed(0)
        model = task.build_model().train()
        losses = add_gradients(task, model, labelled(task), accelerator, n_parts)
        found.append((losses, {key: value.grad for key, value in model.named_parameters() if value.grad is not None}))
    (whole, gradients), *others = found
    assert list(whole)[-1] == "sum"
    assert any(value.abs().max() > 1e-3 for value in gradients.values())
    for losses, parts in others:
        torch.testing.assert_close(losses, whole, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(parts, gradients, rtol=1e-3, atol=1e-5)


def test_split_batch_keeps_all_rows(settings):
    task = build_task(settings("smear_demo", **SMALL, **DETECTOR), ["a", "b"])
    batch = labelled(task, 5)
    parts = split_batch(batch, 3)
    assert [len(part["images"]) for part in parts] == [1, 2, 2]
    assert torch.equal(torch.cat([part["images"] for part in parts]), batch["images"])
    assert [target for part in parts for target in part["targets"]] == batch["targets"]
    assert torch.cat([part["index"] for part in parts]).tolist() == [0, 1, 2, 3, 4]


def test_more_parts_halves_them_down_to_one_image():
    assert [more_parts(n_parts, 5, 1) for n_parts in (1, 2, 4)] == [2, 4, 5]
    with pytest.raises(UsageError, match="Out of memory with one image a step"):
        more_parts(5, 5, 1)
    with pytest.raises(UsageError, match=r"on one of 2 GPUs; lower train\.batch_size"):
        more_parts(1, 5, 2)


def test_describe_parts_names_what_differs(settings):
    models = [
        build_task(settings("cells_demo", **{"model.name": "lenet", "model.norm": norm}), ["a", "b"]).build_model()
        for norm in ("none", "batch")
    ]
    text = "out of memory; from here on a step of 5 images is 2 of at most 3, gradients added up"
    assert describe_parts(models[0], 2, 5) == text
    assert describe_parts(models[1], 2, 5) == f"{text}; batch norm averages over those 3 alone"


TRAIN = {
    "augment.image_size": 32, "augment.policy": "none", "model.name": "lenet", "model.norm": "none",
    "model.dropout": 0.5, "train.batch_size": 4, "train.epochs": 3, "train.val_interval": 3,
}  # fmt: skip


def full_memory(task, limit, error=torch.OutOfMemoryError, after=0):
    """Let a step of more than `limit` images fail as on a full GPU, from the loss number `after` on."""
    compute, calls = task.compute_loss, iter(range(10_000))

    def compute_loss(model, batch):
        losses = compute(model, batch)
        if len(batch["images"]) > limit and next(calls) >= after:
            raise error("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return losses

    task.compute_loss = compute_loss
    return task


def trainer(settings, data, limit=10, checkpoint=None, on_epoch=lambda row: None, after=0, **changes):
    pack, truth = data
    task = full_memory(build_task(settings("cells_demo", **{**TRAIN, **changes}), ["a", "b"]), limit, after=after)
    return Trainer(task, pack, truth, truth, 0, checkpoint, on_epoch, name="fold0")


def test_fit_goes_on_in_parts_where_memory_ends(settings, data, capsys):
    plain = {"model.dropout": 0.0, "train.optimizer": "sgd", "train.lr": 0.01}
    whole = trainer(settings, data, **plain).fit()
    capsys.readouterr()
    parts = trainer(settings, data, limit=1, **plain).fit()
    lines = [line for line in capsys.readouterr().err.splitlines() if "out of memory" in line]
    assert lines == [
        "fold0  epoch 1, step 1: out of memory; from here on a step of 4 images is 2 of at most 2, gradients added up",
        "fold0  epoch 1, step 1: out of memory; from here on a step of 4 images is 4 of at most 1, gradients added up",
    ]
    assert (whole.state.n_parts, parts.state.n_parts) == (1, 4)
    torch.testing.assert_close(parts.weights, whole.weights, rtol=1e-4, atol=1e-6)


def test_fit_resumes_in_the_same_parts(settings, data, tmp_path, capsys):
    """The memory is full from the third step on, in the second of three epochs; a kill comes right after that epoch."""

    def kill(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    whole = trainer(settings, data, limit=2, after=2).fit()
    with pytest.raises(KeyboardInterrupt):
        trainer(settings, data, 2, Checkpoint(tmp_path / "fold"), kill, after=2).fit()
    capsys.readouterr()
    resumed = trainer(settings, data, 2, Checkpoint(tmp_path / "fold")).fit()
    assert "out of memory" not in capsys.readouterr().err
    assert resumed.state.n_parts == whole.state.n_parts == 2
    torch.testing.assert_close(resumed.weights, whole.weights, rtol=0, atol=0)


def test_fit_ends_where_one_image_does_not_fit(settings, data):
    with pytest.raises(UsageError, match=r"Out of memory with one image a step; lower augment\.image_size"):
        trainer(settings, data, limit=0).fit()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (RuntimeError("shapes differ"), RuntimeError, "^shapes differ"),
        (
            TorchDynamoException("no working C++\ncompiler"),
            UsageError,
            r"train\.compile .* \(no working C\+\+ compiler\)",
        ),
    ],
)
def test_fit_lets_other_errors_pass(settings, data, error, kind, text):
    pack, truth = data
    task = build_task(settings("cells_demo", **TRAIN), ["a", "b"])

    def fail(model, batch):
        raise error

    task.compute_loss = fail
    with pytest.raises(kind, match=text):
        Trainer(task, pack, truth, truth, 0).fit()
