"""`mlflow models serve` answers as the submission does, post-processing included.

The submission rounds scores to six decimals. It predicts several images at a time, so last digits of boxes differ.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from drawn import QUICK, QUICK_CLASSES, SIDE, draw_cells, draw_classes
from tracking.test_tracking_server import free_port
from tropho.inference.trained_folds import read_config
from tropho.paths import Paths
from tropho.stages.submit import submission_rows
from tropho.tables import BOX
from tropho.tracking import tracking_uri

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_environment")]
STAGES = ("download", "audit", "split", "augment", "tune", "train", "evaluate")
ONE_FOLD = {"split": {"n_folds": 3, "test_fraction": 0.25}, "evaluate": {"gallery_images": 2, "fit_postprocess": True}}


def detection(project):
    folder = project.root / "cells"
    names = {f"c{number}": "cell" if number % 4 else None for number in range(20)}
    draw_cells(folder, names).to_csv(folder / "Train.csv", index=False)
    sections = {
        "download": {"path": str(folder)},
        "audit": {"format": "boxes_csv", "negative": "NEG"},
        "train": {**QUICK["train"], "n_folds": 1, "ensemble": {"other": {"train.seed": 1}}},
        "predict": {"tta": ["identity", "hflip"]},
    }
    project.add("t", "detection", **{**QUICK, **ONE_FOLD, **sections})


def classification(project):
    draw_classes(project.root / "pictures", {"train/dark": 16, "train/bright": 16})
    sections = {
        "download": {"path": str(project.root / "pictures")},
        "train": {**QUICK_CLASSES["train"], "n_folds": 1, "ensemble": {"other": {"train.seed": 1}}},
        "predict": {"tta": ["identity", "hflip"]},
    }
    project.add("t", "classification", **{**QUICK_CLASSES, **ONE_FOLD, **sections})


@pytest.fixture
def serve(project):
    """Start a server of the champion on this machine; returns what asks it for a table of predictions."""
    started = []

    def start():
        port = free_port()
        command = ["models", "serve", "-m", "models:/t@champion", "--env-manager", "local", "--workers", "1"]
        with (project.root / "serve.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *command, "--host", "127.0.0.1", "--port", str(port)],
                start_new_session=True,
                stdout=log,
                stderr=log,
                env=os.environ
                | {"MLFLOW_TRACKING_URI": tracking_uri(project.root), "MLFLOW_DISABLE_TELEMETRY": "true"},
                cwd=project.root,
            )
        started.append(process)
        deadline = time.monotonic() + 300
        while not answers(f"http://127.0.0.1:{port}/ping"):
            assert process.poll() is None, (project.root / "serve.log").read_text()
            assert time.monotonic() < deadline, "the server did not start within 5 minutes"
            time.sleep(0.1)
        return lambda cells: predictions(f"http://127.0.0.1:{port}/invocations", cells)

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def predictions(address, cells):
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[cell] for cell in cells]}}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return pd.DataFrame(json.load(answer)["predictions"])


def submitted(paths):
    """(image_ids of the test set, the rows that `submit` would write of them)."""
    splits = pd.read_csv(paths.splits, dtype=str)
    ids = list(splits.loc[splits["subset"] == "test", "image_id"])
    return ids, submission_rows(read_config(paths.models / "fold0")[0], paths.evaluate, ids, None)


@pytest.mark.parametrize("kind", [classification, detection])
def test_the_server_answers_as_the_submission(project, serve, kind):
    kind(project)
    project.run("t", *STAGES)
    paths = Paths(project.root, "t")
    ids, wanted = submitted(paths)
    assert len(ids) >= 4
    images = pd.read_csv(paths.audit / "images.csv", dtype=str).set_index("image_id")
    files = [paths.raw / images.loc[image_id, "path"] for image_id in ids]
    cells = [base64.b64encode(file.read_bytes()).decode() for file in files]
    told = serve()(cells)
    told["image_id"] = [ids[row] for row in told.pop("row")]
    numbers = {name: SIDE * 1e-6 if name in BOX else 1e-6 for name in wanted if name not in {"image_id", "label"}}
    groups = [dict(list(each.groupby(["image_id", "label"])[list(numbers)])) for each in (told, wanted)]
    assert groups[0].keys() == groups[1].keys()
    for key, rows in groups[0].items():
        difference = paired_difference(rows, groups[1][key])
        assert (difference <= np.array(list(numbers.values()))).all(), (key, difference)


def paired_difference(told, wanted):
    """(columns,) largest difference of two tables' numbers, each row beside the one that is most like it."""
    first, second = told.to_numpy(float), wanted.to_numpy(float)
    assert first.shape == second.shape
    rows, columns = linear_sum_assignment(np.abs(first[:, None] - second).max(2))
    return np.abs(first[rows] - second[columns]).max(0)
