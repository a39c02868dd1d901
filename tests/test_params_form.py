"""params.yaml has the form that DVC writes, so that `dvc exp run -S` changes the line of the setting and no other."""

import difflib
import shutil

import pytest
from dvc.utils.hydra import apply_overrides

from conftest import ROOT

REWRITE = "from dvc.utils.hydra import apply_overrides; apply_overrides('params.yaml', ['preset=laptop'])"


@pytest.fixture
def copy(tmp_path):
    return shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")


def changed_lines(copy):
    lines = difflib.unified_diff(
        (ROOT / "params.yaml").read_text().splitlines(), copy.read_text().splitlines(), n=0, lineterm=""
    )
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_a_second_pass_changes_nothing(copy):
    apply_overrides(copy, ["preset=laptop"])  # what it is already
    assert changed_lines(copy) == [], f'run `python -c "{REWRITE}"`, which writes params.yaml in that form'


@pytest.mark.parametrize(
    ("override", "count"),
    [
        ("++tasks.cells_demo.train.epochs=20", 2),
        ("defaults.train.lr=0.01", 2),
        ("++tasks.smear_demo.model.backbone=resnet34", 2),
        ("++tasks.cells_demo.model.backbone=resnet34", 3),  # its first key, which stands on a line of its own
    ],
)
def test_an_override_changes_one_line(copy, override, count):
    apply_overrides(copy, [override])
    assert len(changed_lines(copy)) == count  # the old line and the new
