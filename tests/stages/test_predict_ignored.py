"""What annotators left out of images like these is no find in them either."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tropho.data.audit.missing_labels import ignored_in
from tropho.errors import UsageError
from tropho.inference.ensemble_members import missing_label_findings
from tropho.paths import Paths

FINDING = {"class": "WBC", "attribute": "size", "value": "832x624"}


def test_rules_of_the_audit_hold_for_any_image(settings, tmp_path: Path) -> None:
    paths = Paths(tmp_path, "smear_demo")
    files = {}
    for name, size in {"wide.png": (832, 624), "tall.png": (624, 832), "other.png": (640, 360)}.items():
        files[name] = tmp_path / name
        Image.new("RGB", size).save(files[name])
    files["gone.png"] = tmp_path / "gone.png"
    detect = settings("smear_demo", **{"audit.missing_labels": "detect"})
    assert ignored_in(files, missing_label_findings(detect, paths)) is None  # no audit
    paths.audit.mkdir(parents=True)
    (paths.audit / "summary.json").write_text(json.dumps({"missing_labels": [FINDING]}))
    found = ignored_in(files, missing_label_findings(detect, paths))
    assert found.dropna().to_dict() == {"wide.png": '["WBC"]', "tall.png": '["WBC"]'}
    assert missing_label_findings(settings("smear_demo", **{"audit.missing_labels": "list"}), paths) == []
    assert isinstance(found, pd.Series)


def test_post_processing_needs_a_negative_class(settings) -> None:
    with pytest.raises(UsageError, match=r"audit\.negative"):
        settings("smear_demo", **{"audit.negative": None, "predict.negative_members": ["base"]})
