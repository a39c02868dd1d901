"""The texts of the page: each one that a chapter asks for is there, and none is left over."""

import re
from pathlib import Path

from tropho import report
from tropho.files import read_yaml
from tropho.report.reader import say, texts

FOLDER = Path(report.__file__).parent
CODE = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))


def test_every_text_is_used():
    assert set(re.findall(r"""\btexts\(["'](\w+)""", CODE)) == set(read_yaml(FOLDER / "texts.yaml"))
    assert set(re.findall(r"""\bsay\(["'](\w+)""", CODE)) == set(texts("sentences"))


def test_values_are_put_into_a_sentence():
    assert say("weak_model", score="0.412").startswith("This model is weak: it scores 0.412 out of fold.")
