"""Summary of all tasks."""

from conftest import ROOT
from tropho.commands import summary
from tropho.files import write_json
from tropho.paths import Paths


def test_summarise_has_what_has_run(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    paths = Paths(tmp_path, "smear_demo")
    rows = {row["task"]: row for row in summary.summarise(tmp_path)}
    assert set(rows["smear_demo"].values()) == {"smear_demo", "-"}
    write_json(paths.evaluate / "metrics.json", {"headline": {"name": "map", "subset": "oof", "value": None}})
    paths.submission.parent.mkdir()
    paths.submission.write_text("x")
    paths.report.touch()
    row = {row["task"]: row for row in summary.summarise(tmp_path)}["smear_demo"]
    assert (row["score"], row["subset"], row["value"], row["leaderboard"]) == ("map", "oof", "undefined", "-")
    assert row["submission"] == "submissions/smear_demo.csv"
    assert row["report"] == "reports/smear_demo/index.html"
    assert summary._number(0.5) == "0.5000"
    competition = "Image_ID,class,confidence,ymin,xmin,ymax,xmax\na,WBC,0.9,0,0,10,10\n"
    paths.submission.write_text(competition)
    paths.held_out.parent.mkdir(parents=True)
    paths.held_out.write_text(competition)
    row = {row["task"]: row for row in summary.summarise(tmp_path)}["smear_demo"]
    assert row["leaderboard"] == "1.0000"
