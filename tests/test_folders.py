"""data/ and submissions/ are in a fresh clone, and their pages say what lives there."""

import re

import pytest
import yaml

from conftest import ROOT
from tropho.paths import Paths


def outputs(folder):
    """What stages write directly below a folder of the repository, by the names that dvc.yaml gives."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    outs = [out if isinstance(out, str) else next(iter(out)) for stage in stages for out in stage["do"]["outs"]]
    return {out.replace("${item}", "T").split("/")[1] for out in outs if out.startswith(f"{folder}/")}


@pytest.mark.parametrize("folder", ["data", "submissions"])
def test_a_folder_of_outputs_is_there_and_says_what_is_in_it(folder):
    page = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([\w.]+)", page))
    paths = Paths(ROOT, "T")
    beside = [paths.held_out, paths.archive, ROOT / "data" / "incoming"]
    named = outputs(folder) | {path.relative_to(ROOT).parts[1] for path in beside if ROOT / folder in path.parents}
    assert named <= told
