"""Lines of label_issues.csv, copied into a table of corrections, do what they say when the audit runs again."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.data.audit.corrections import COLUMNS
from tropho.data.audit.run_audit import AuditResult, audit
from tropho.evaluation.box_issues import find_box_issues
from tropho.evaluation.classification_evaluator import find_label_issues
from tropho.tables import BOX, GIVEN, LABEL_ISSUES, write_table

HEADER = ["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]


def test_label_issues_start_with_the_columns_of_corrections():
    assert list(LABEL_ISSUES)[: len(COLUMNS)] == COLUMNS


def copied(root: Path, suspects: pd.DataFrame, lines: list[int], header: str | None = None) -> None:
    """Write label_issues.csv; copy these of its lines (0 = the first) to corrections/fix.csv, below its header or
    another that is there already.
    """
    write_table(suspects, root / "label_issues.csv", LABEL_ISSUES)
    own, *text = (root / "label_issues.csv").read_text().splitlines(keepends=True)
    (root / "corrections").mkdir()
    (root / "corrections/fix.csv").write_text("".join([header or own, *(text[line] for line in lines)]))


def as_set(boxes: pd.DataFrame) -> set[tuple]:
    return {(*row[:2], *np.round(row[2:], 6)) for row in boxes[["image_id", "label", *BOX]].to_numpy().tolist()}


def sided(rows: pd.DataFrame, which: str) -> pd.DataFrame:
    """The "given" or "suggested" boxes of suspects, where there are such."""
    columns = {f"{which}_{name}": name for name in ("label", *BOX)}
    return rows[["image_id", *columns]].rename(columns=columns).dropna()


@pytest.fixture
def audited(settings, tmp_path, planted):
    """A function that audits the planted labels, written in the competition's format, with or without corrections."""
    names = [*planted.boxes["image_id"].unique(), "im000.jpg", "im041.jpg"]
    (tmp_path / "raw/images").mkdir(parents=True)
    for number, name in enumerate(names):
        ground = np.full((300, 400, 3), number, np.uint8)
        Image.fromarray(ground).save(tmp_path / "raw/images" / name, quality=50)
    rows = [(row.image_id, row.label, 1, row.ymin, row.xmin, row.ymax, row.xmax) for row in planted.boxes.itertuples()]
    with (tmp_path / "raw/Train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows, *((name, "NEG", 1, 0, 0, 0, 0) for name in names[-2:])])

    def run(**knobs) -> AuditResult:
        return audit(settings("smear_demo", **{"audit.missing_labels": "none", **knobs}), tmp_path / "raw", tmp_path)

    return run


def test_copied_lines_correct_those_boxes(audited, planted, tmp_path):
    before = audited()
    suspects = find_box_issues(planted.images, before.boxes, planted.predictions, "NEG")
    agreed = [number for number, right in enumerate(planted.found(suspects)) if right]
    copied(tmp_path, suspects, agreed)
    after = audited(**{"audit.corrections": "corrections/fix.csv"})
    assert after.summary["corrections"] == {"applied": len(agreed), "quarantined": 0}
    rows = suspects.iloc[agreed]
    assert set(rows["kind"]) == set(planted.faults)
    relabelled = rows["action"] == "relabel"
    gone = as_set(sided(rows, "given"))
    new = as_set(sided(rows[~relabelled], "suggested")) | as_set(rows[relabelled])
    assert as_set(after.boxes) == (as_set(before.boxes) - gone) | new
    assert len(after.boxes) < len(before.boxes) + len(planted.faults["overlooked"])
    again = find_box_issues(planted.images, after.boxes, planted.predictions, "NEG")
    assert len(again) <= 0.4 * len(suspects)


def test_copied_lines_correct_duplicates(audited, planted, tmp_path):
    kinds = ("spurious", "swap", "badloc")
    twice = [row for kind in kinds for row in planted.faults[kind]]
    with (tmp_path / "raw/Train.csv").open("a", newline="") as file:
        csv.writer(file).writerows((*names, 1, y + 4, x + 4, w, z) for *names, x, y, z, w in twice)
    before = audited(**{"audit.merge_duplicate_boxes": True})
    suspects = find_box_issues(planted.images, before.boxes, planted.predictions, "NEG")
    means = {(image_id, x + 2, y + 2, z, w) for image_id, _, x, y, z, w in twice}
    named = pd.Series([row in means for row in suspects[["image_id", *GIVEN]].itertuples(index=False, name=None)])
    agreed = suspects[suspects["kind"].isin(kinds) & named]
    assert agreed["kind"].value_counts().ge(8).tolist() == [True] * 3
    copied(tmp_path, suspects, list(agreed.index))
    after = audited(**{"audit.merge_duplicate_boxes": True, "audit.corrections": "corrections/fix.csv"})
    assert after.summary["corrections"] == {"applied": len(agreed), "quarantined": 0}
    relabelled = agreed["action"] == "relabel"
    new = as_set(sided(agreed[~relabelled], "suggested")) | as_set(agreed[relabelled])
    assert as_set(after.boxes) == (as_set(before.boxes) - as_set(sided(agreed, "given"))) | new


def test_copied_lines_correct_those_labels(settings, tmp_path):
    labels = ["Parasitized", "Uninfected"] * 4
    for number, label in enumerate(labels):
        path = tmp_path / f"raw/train/{label}/s{number:04d}_cell_000.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(path)
    before = audit(settings("cells_demo"), tmp_path / "raw", tmp_path).images
    truth = (before["label"] == "Uninfected").to_numpy(np.int64)
    values = np.where(np.arange(2) == truth[:, None], 0.9, 0.1)
    values[[2, 5]] = values[[2, 5], ::-1]
    suspects = find_label_issues(list(before["image_id"]), truth, values, ["Parasitized", "Uninfected"])
    copied(tmp_path, suspects, [0, 1], header=",".join(COLUMNS) + "\n")
    task = settings("cells_demo", **{"audit.corrections": "corrections/fix.csv"})
    after = audit(task, tmp_path / "raw", tmp_path)
    assert after.summary["corrections"] == {"applied": 2, "quarantined": 0}
    changed = after.images["label"] != before["label"]
    assert changed.to_numpy().nonzero()[0].tolist() == [2, 5]
