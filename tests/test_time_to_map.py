"""benchmarks/time_to_map.py at tiny size, on drawn photos."""

import runpy
import sys

from conftest import ROOT
from label_writers import drawn_set, voc


def test_time_to_map_reports_every_seed(tmp_path, monkeypatch, capsys):
    voc(tmp_path / "bccd", drawn_set({"train": 6, "val": 4, "test": 2}))
    small = ["model.fpn_channels=8", "model.norm=group", "model.fpn_levels=[3, 4]", "model.fit_levels=false"]
    options = ["--epochs", "2", "--image-size", "64", "--seeds", "0", "1", "--target", "0.0"]
    changes = [part for change in small for part in ("--set", change)]
    monkeypatch.setattr(sys, "argv", ["time_to_map.py", str(tmp_path / "bccd"), *options, *changes])
    runpy.run_path(str(ROOT / "benchmarks" / "time_to_map.py"), run_name="__main__")
    printed = capsys.readouterr().out
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith(("| 0 ", "| 1 "))]
    assert [(row[0], row[1]) for row in rows] == [("| 0", "1"), ("| 1", "1")]
    assert "seed 1, epoch 2: " in printed
    assert printed.splitlines()[-1].startswith("median: ")
