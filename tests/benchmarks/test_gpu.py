"""The benchmark for a GPU runs on a CPU at a small size; its estimates of memory follow from the saved tensors."""

import importlib.util

import pytest
import torch
from torch import nn

from conftest import ROOT


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_small_benchmark_prints_its_tables(gpu, capsys):
    gpu.main(["--small"])
    lines = capsys.readouterr().out.splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert table[0][:4] == ["network", "pixels", "batch", "training"]
    assert [row[0] for row in table[2:]] == ["ResNet-18", "FCOS-ResNet-18", "RT-DETR-R18"]
    for row in table[2:]:
        assert len(row) == len(table[0])
        assert all(float(cell) > 0 for cell in row[3:9])
    again = [line for line in lines if line.startswith("- ")]
    assert [line.split(":")[0] for line in again] == ["- ResNet-18", "- FCOS-ResNet-18"]
    assert all(line.count("equal bit for bit") == 2 for line in again) or torch.cuda.is_available()


def test_counting_saved_counts_each_storage_once(gpu):
    model = nn.Sequential(nn.Linear(10, 20, bias=False), nn.ReLU(), nn.Linear(20, 5, bias=False))
    with gpu.counting_saved(model) as saved:
        loss = model(torch.randn(4, 10)).sum()
    assert loss.requires_grad
    assert sum(saved.values()) == 4 * (4 * 10 + 4 * 20)  # the input, and what ReLU gives, which two layers keep


def test_estimate_memory_grows_with_pixels_and_shrinks_with_bf16(gpu, settings):
    made, auto = (
        settings("smear_demo", **{"model.fpn_channels": 32, "train.precision": each}) for each in ("float32", "auto")
    )
    small, large = (gpu.estimate_memory(made, side, (64, 96)) for side in (96, 192))
    assert 3.5 < large.image / small.image < 4.5
    assert small.fixed == large.fixed > gpu.CONTEXT
    halved = gpu.estimate_memory(auto, 192, (64, 96))  # bf16, as on a GPU
    assert 0.45 < halved.image / large.image < 0.8
    assert gpu.MemoryEstimate(2.0, 0.5).batch_size(12) == 17


def test_draw_data_has_boxes_inside(gpu, tmp_path):
    data = gpu.draw_data(tmp_path / "drawn", 2, 64, boxed=True)
    assert len(data.gt.images) == 4
    assert (data.gt.boxes["xmax"] <= 64).all()
    assert (data.gt.boxes["ymax"] <= 48).all()
