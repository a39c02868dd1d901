"""Paths of the files that stages read and write."""

from dataclasses import dataclass
from pathlib import Path

from tropho.config.task_config import BASE


class TaskPath:
    """A path below the repository as an attribute of Paths; {task} stands for the task's name."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __get__(self, paths: "Paths", owner: type) -> Path:
        """Return the path of this task."""
        return paths.root / self.pattern.format(task=paths.task)


@dataclass(frozen=True)
class Paths:
    """A task's files below the repository root."""

    root: Path
    task: str

    fingerprint = TaskPath("data/fingerprints/{task}.json")  # hash of the files at the source
    weights_fingerprint = TaskPath("data/fingerprints/{task}.weights.json")  # hash of `model.weights`, by member
    stamps = TaskPath(".cache/fingerprints/{task}.json")  # sizes, times and hashes of those files; not an output
    raw = TaskPath("data/raw/{task}")  # folder of the downloaded files
    incoming = TaskPath("data/incoming/{task}")  # folder in which a user places a competition's files
    held_out = TaskPath("data/held_out/{task}/Truth.csv")  # test truth of a generator; no stage reads it
    audit = TaskPath("data/audit/{task}")  # folder of images.csv, boxes.csv, issues.csv, summary.json and figures
    splits = TaskPath("data/splits/{task}.csv")  # table of folds; a JSON beside it holds the summary
    augmented = TaskPath("data/augmented/{task}")  # folder of the image cache, policy.json and previews
    choice = TaskPath("data/tuned/{task}.yaml")  # settings that the search chose, by dotted key
    search = TaskPath("data/tuned/{task}")  # folder of the search's trials and figures
    models = TaskPath("models/{task}")  # folder of run.json, fold*/, and one of fold*/ for each further member
    exports = TaskPath("exports/{task}")  # folder of exported models; not an output
    curves = TaskPath("curves/{task}.csv")  # score and loss by epoch, for `dvc plots`
    metrics = TaskPath("metrics/{task}.json")  # score, low and high, for `dvc metrics`
    check = TaskPath("reports/{task}/check")  # folder of the pictures of `tropho check`; not an output
    evaluate = TaskPath("reports/{task}/evaluate")  # folder of metrics.json, predictions, thresholds and figures
    report = TaskPath("reports/{task}/index.html")  # the report page
    document = TaskPath("reports/{task}/document")  # folder of the report as Markdown, and as PDF if there is a browser
    text_stamp = TaskPath("data/fingerprints/{task}.text.json")  # SHA-256 of those texts
    leaderboard = TaskPath("reports/{task}/leaderboard.png")  # chart of cross-validated against public scores
    submission = TaskPath("submissions/{task}.csv")  # the file to upload; a JSON beside it holds its origin
    submission_log = TaskPath("submissions/{task}.ledger.csv")  # log of every submission; kept in git
    archive = TaskPath("submissions/archive/{task}")  # folder of every submitted file; not an output
    log_copy = TaskPath("submissions/archive/{task}/ledger.csv")  # copy of the log, out of reach of git and DVC

    @property
    def runs(self) -> Path:
        """Return the folder of everything trained, by fingerprint, in the main checkout; not an output."""
        return home_of(self.root) / "runs" / self.task

    @property
    def own_text(self) -> Path:
        """Return the folder of the author's own words for the report, in the main checkout; no stage writes there."""
        return home_of(self.root) / "reports" / self.task / "text"

    def fold(self, number: int, member: str = BASE) -> Path:
        """Return the folder of a trained fold's weights, settings and history."""
        return (self.models if member == BASE else self.models / member) / f"fold{number}"

    def lock(self, stage: str) -> Path:
        """Return the lock file of a stage; it holds the id of the running process."""
        return self.root / ".cache" / "locks" / f"{self.task}.{stage}"


def home_of(root: Path) -> Path:
    """Return the absolute path of the main checkout, which holds databases and runs/.

    Experiments of `dvc exp run --temp` and `--queue` run in its `.dvc/tmp/exps/NAME`, which DVC deletes afterwards.
    """
    root = root.resolve()
    parts = root.parts
    for start in range(len(parts) - 3):
        if parts[start : start + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:start])
    return root
