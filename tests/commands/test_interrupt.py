"""Ctrl-C while a fold is trained: what it says, and that the same command goes on."""

import os
import re
import signal
import subprocess
import sys

import pytest
import yaml

from conftest import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are of POSIX")

# Python leaves SIGINT ignored where its parent ignores it, as in a job that a shell started in the background.
TRAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from tropho.cli import main; main()"


@pytest.fixture
def interrupted(smear_paths, monkeypatch):
    """Trains, interrupts the process group once a line of it contains a text, and returns its output."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    task = params["tasks"]["smear_demo"]
    task["augment"] |= {"image_size": 64}
    task["model"] |= {"fpn_channels": 8}
    task["train"] |= {"epochs": 1000, "val_interval": 1000}
    (smear_paths.root / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{smear_paths.root / 'mlflow.db'}")
    monkeypatch.delenv("DVC_STAGE", raising=False)

    def run(until):
        process = subprocess.Popen(
            [sys.executable, "-c", TRAIN, "train", "smear_demo"],
            cwd=smear_paths.root,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        lines = []
        for line in process.stderr:
            lines.append(line)
            if until in line:
                os.killpg(process.pid, signal.SIGINT)
                break
        lines += process.communicate(timeout=120)[1].splitlines()
        return process.returncode, lines

    return run


def test_ctrl_c_says_after_which_epoch_and_the_next_run_goes_on_there(interrupted):
    code, lines = interrupted(until="epoch 2/1000")
    assert code == 130
    found = re.fullmatch(r"tropho: fold0 stopped after epoch (\d+); run the same command to go on\.", lines[-1].strip())
    assert found, "".join(lines)
    assert int(found[1]) >= 2
    code, lines = interrupted(until="goes on after epoch")
    assert code == 130
    assert f"fold0  goes on after epoch {found[1]}, from its checkpoint\n" in lines
    assert "Traceback" not in "".join(lines)
