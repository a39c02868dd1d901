"""The notebook for Colab and Kaggle: its cells run on Linux, with stand-ins for the commands that take long."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from conftest import ROOT
from tropho.config.load import load_params

PATH = ROOT / "notebooks" / "colab.ipynb"


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel of this interpreter, its files in the test's folder; make, dvc and tropho only write down their call."""
    stand_ins = tmp_path / "bin"
    stand_ins.mkdir()
    for name in ("make", "dvc", "tropho"):
        (stand_ins / name).write_text(
            f'#!/bin/sh\nmkdir -p reports\necho "$PWD: {name} $*" >> "{tmp_path}/calls.txt"\n'
        )
        (stand_ins / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_ins}{os.pathsep}{os.environ['PATH']}")
    for variable in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    manager = AsyncKernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        asyncio.run(manager.shutdown_kernel(now=True))


def test_cells_run_where_the_repository_is_cloned(kernel, tmp_path: Path):
    repository = tmp_path / "repository"  # a clone of it has params.yaml as it stands here
    repository.mkdir()
    (repository / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    notebook = nbformat.read(PATH, as_version=4)
    address = notebook.cells[2]
    assert 'REPOSITORY = "ADDRESS"' in address["source"]
    address["source"] = address["source"].replace("ADDRESS", str(repository))

    NotebookClient(notebook, timeout=120, km=kernel, resources={"metadata": {"path": str(tmp_path)}}).execute()

    calls = (tmp_path / "calls.txt").read_text().splitlines()
    commands = [f"make setup PYTHON={sys.executable}", "dvc repro", "tropho status", "dvc repro"]
    assert calls == [f"{tmp_path / 'tropho'}: {command}" for command in commands]
    assert (tmp_path / "reports.zip").is_file()
    params = load_params(tmp_path / "tropho" / "params.yaml")
    assert params["active"] == ["brain_tumor"]
    assert params["preset"] == "gpu"


def test_notebook_has_no_outputs_and_says_where_it_was_run():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert "not on Colab" in notebook.cells[0]["source"]
