"""Label issues that are accepted become a table of corrections, which the audit applies."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.app.review import load_review
from tropho.data.audit.corrections import Corrector
from tropho.data.formats.label_collector import LABELLED_BOXES, IssueLog
from tropho.errors import DataError
from tropho.evaluation.box_issues import add_corrections, rank_issues
from tropho.paths import Paths
from tropho.tables import BOX, BOXES, GIVEN, IMAGES, LABEL_ISSUES, SUGGESTED, conform, write_table

GIVEN_BOX, OTHER_BOX = (10.0, 10.0, 30.0, 30.0), (35.5, 12.25, 55.0, 40.0)


def write_issues(paths):
    """Write an audited image of 64 x 48 pixels with a WBC box, and three label issues of it."""
    paths.raw.mkdir(parents=True)
    Image.fromarray(np.full((48, 64, 3), 180, np.uint8)).save(paths.raw / "a.png")
    images = pd.DataFrame({"image_id": ["a.png"], "path": "a.png", "width": 64, "height": 48, "status": "ok"})
    images = images.reindex(columns=list(IMAGES))
    write_table(conform(images, IMAGES), paths.audit / "images.csv", IMAGES)
    boxes = pd.DataFrame([("a.png", "WBC", *GIVEN_BOX)], columns=list(BOXES)[:-1])
    write_table(boxes, paths.audit / "boxes.csv", BOXES)
    rows = [("swap", "WBC", GIVEN_BOX, "Trophozoite", (11.0, 10.0, 31.0, 30.0), 0.9)]
    rows += [("overlooked", None, (np.nan,) * 4, "WBC", OTHER_BOX, 0.8)]
    rows += [("spurious", "WBC", GIVEN_BOX, None, (np.nan,) * 4, 0.7)]
    issues = pd.DataFrame(
        [
            {
                "image_id": "a.png",
                "kind": kind,
                "given_label": given,
                **dict(zip(GIVEN, box, strict=True)),
                "suggested_label": suggested,
                **dict(zip(SUGGESTED, other, strict=True)),
                "score": score,
                "certainty": score,
                "reason": 'found, "clearly"',
            }
            for kind, given, box, suggested, other, score in rows
        ]
    )
    write_table(rank_issues(add_corrections(issues)), paths.evaluate / "label_issues.csv", LABEL_ISSUES)


@pytest.fixture
def paths(tmp_path):
    paths = Paths(tmp_path, "smear_demo")
    write_issues(paths)
    return paths


def test_accepted_issues_are_corrections_that_the_audit_applies(paths, settings):
    review = load_review(settings("smear_demo"), paths)
    assert list(review.open_issues()["kind"]) == ["swap", "overlooked", "spurious"]
    assert review.progress(None) == "0 of 3 decided."
    review.decide(1, accept=True)
    assert "`audit: {corrections: corrections/smear_demo.csv}`" in review.progress(None)
    assert review.progress("corrections/smear_demo.csv") == (
        "1 of 3 decided. Accepted corrections are in `smear_demo.csv`. Then run `dvc repro`."
    )
    review.decide(2, accept=True)
    review.decide(2, accept=False)  # it is decided already
    review.decide(3, accept=False)
    assert review.open_issues().empty
    assert len(review.accepted.read_text().splitlines()) == 3
    assert len(review.rejected.read_text().splitlines()) == 2
    images, log = pd.read_csv(paths.audit / "images.csv"), IssueLog()
    boxes = pd.read_csv(paths.audit / "boxes.csv").assign(file="b.csv", row=2)
    boxes = conform(boxes.reindex(columns=list(LABELLED_BOXES)), LABELLED_BOXES)
    corrector = Corrector(images, boxes, ["Trophozoite", "WBC"], "NEG", True, "corrections/smear_demo.csv", log)
    _, corrected = corrector.apply(review.accepted)
    assert list(corrected["label"]) == ["Trophozoite", "WBC"]
    np.testing.assert_allclose(corrected[BOX], [GIVEN_BOX, OTHER_BOX])
    assert set(log.table()["kind"]) == {"correction"}


def test_decisions_are_remembered_and_taken_back(paths, settings):
    review = load_review(settings("smear_demo"), paths)
    review.decide(1, accept=False)
    review.decide(2, accept=True)
    assert list(load_review(settings("smear_demo"), paths).open_issues()["rank"]) == [3]
    review.undo()
    assert not review.accepted.exists()
    review.undo()
    review.undo()  # there is nothing more
    assert not review.rejected.exists()
    assert list(review.open_issues()["rank"]) == [1, 2, 3]


def test_lines_join_a_table_of_the_user(paths, settings):
    table = paths.root / "corrections" / "mine.csv"
    table.parent.mkdir()
    mine = "\ufeffaction,image_id,by,label,xmin,ymin,xmax,ymax,reason\nexclude image,a.png,me,,,,,,blurred"
    table.write_text(mine, encoding="utf-8")
    review = load_review(settings("smear_demo", **{"audit.corrections": "corrections/mine.csv"}), paths)
    review.decide(2, accept=True)
    added = table.read_text(encoding="utf-8").removeprefix(mine)
    assert added == '\nadd,a.png,,WBC,35.5,12.25,55,40,"found, ""clearly"""\n'
    table.write_text("changed meanwhile", encoding="utf-8")
    review.undo()
    assert table.read_text(encoding="utf-8") == "changed meanwhile"


def test_an_issue_is_shown_and_described(paths, settings):
    review = load_review(settings("smear_demo"), paths)
    image, text = review.picture(1)
    assert image.ndim == 3
    assert "labelled **WBC**; the model finds **Trophozoite**" in text
    assert text.endswith("Accepting labels it Trophozoite.")


def test_a_task_without_an_evaluation_has_no_review(tmp_path, settings):
    with pytest.raises(DataError, match="run `dvc repro`"):
        load_review(settings("smear_demo"), Paths(tmp_path, "smear_demo"))


def test_without_issues_there_is_no_progress(paths, settings):
    review = load_review(settings("smear_demo"), paths)
    review.issues = review.issues.iloc[:0]
    assert review.progress(None) == ""
