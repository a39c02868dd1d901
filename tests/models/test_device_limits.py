"""Precision by device, and prediction in as many parts as the memory needs."""

import pytest
import torch
from torch import nn

from tropho.errors import UsageError
from tropho.models.device_limits import InParts, is_out_of_memory, resolve_precision

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("precision", "device", "has_bf16", "chosen"),
    [
        ("auto", CUDA, True, "bf16"),
        ("auto", CUDA, False, "fp16"),
        ("auto", CPU, True, "float32"),
        ("auto", torch.device("mps"), True, "float32"),
        ("fp16", CUDA, True, "fp16"),
        ("float32", CUDA, True, "float32"),
        ("bf16", CPU, False, "bf16"),
    ],
)
def test_resolve_precision(monkeypatch, precision, device, has_bf16, chosen):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **named: asked.append(named) or has_bf16)
    assert resolve_precision(precision, device) == chosen
    assert asked in ([], [{"including_emulation": False}])  # emulated on Turing, and slow


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            True,
        ),
        (MemoryError(), True),
        (RuntimeError("shapes differ"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_is_out_of_memory(error, full):
    assert is_out_of_memory(error) is full


class Limited(nn.Module):
    """Doubles what it is given, up to a number of images at once."""

    def __init__(self, limit, listed=False):
        super().__init__()
        self.limit, self.listed, self.seen = limit, listed, []

    def forward(self, images):
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.seen.append(len(images))
        return [{"boxes": 2 * image} for image in images] if self.listed else 2 * images


def test_in_parts_halves_and_remembers(capsys):
    model, images = InParts(Limited(2)), torch.arange(7.0)[:, None]
    for _ in range(2):
        assert torch.equal(model(images), 2 * images)
    assert model.model.seen == [1] * 14  # of 7, 3 do not fit, and 1 does
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Out of memory: from here on at most 3 of 7 images are predicted at once.",
        "Out of memory: from here on at most 1 of 3 images are predicted at once.",
    ]


def test_in_parts_joins_lists_in_order():
    images = torch.arange(5.0)[:, None]
    found = InParts(Limited(2, listed=True))(images)
    assert torch.equal(torch.stack([each["boxes"] for each in found]), 2 * images)


def test_in_parts_runs_all_at_once_where_they_fit():
    model = InParts(Limited(7))
    model(torch.zeros(7, 1))
    assert model.model.seen == [7]


def test_in_parts_ends_where_one_image_does_not_fit():
    with pytest.raises(UsageError, match="does not hold one image of 64 x 32 pixels"):
        InParts(Limited(0))(torch.zeros(2, 3, 32, 64))


def test_in_parts_lets_other_errors_pass():
    with pytest.raises(RuntimeError, match="mat1"):
        InParts(nn.Linear(2, 2))(torch.zeros(1, 3))
