"""Paths of the files that stages read and write."""

from dataclasses import dataclass
from pathlib import Path

from tropho.config.task_config import BASE


@dataclass(frozen=True)
class Paths:
    """A task's files below the repository root."""

    root: Path
    task: str

    @property
    def fingerprint(self) -> Path:
        """JSON with the hash of the files at the source."""
        return self.root / "data" / "fingerprints" / f"{self.task}.json"

    @property
    def stamps(self) -> Path:
        """JSON of those files' sizes, times and hashes; not an output."""
        return self.root / ".cache" / "fingerprints" / f"{self.task}.json"

    def lock(self, stage: str) -> Path:
        """Lock file of a stage; it holds the id of the running process."""
        return self.root / ".cache" / "locks" / f"{self.task}.{stage}"

    @property
    def raw(self) -> Path:
        """Folder of the downloaded files."""
        return self.root / "data" / "raw" / self.task

    @property
    def held_out(self) -> Path:
        """Test truth that a generator holds out; no stage reads it."""
        return self.root / "data" / "held_out" / self.task / "Truth.csv"

    @property
    def audit(self) -> Path:
        """Folder of images.csv, boxes.csv, issues.csv, summary.json and figures."""
        return self.root / "data" / "audit" / self.task

    @property
    def splits(self) -> Path:
        """Table of folds; a JSON beside it holds the summary."""
        return self.root / "data" / "splits" / f"{self.task}.csv"

    @property
    def augmented(self) -> Path:
        """Folder of the image cache, policy.json and previews."""
        return self.root / "data" / "augmented" / self.task

    @property
    def choice(self) -> Path:
        """YAML of the settings that the search chose, by dotted key."""
        return self.root / "data" / "tuned" / f"{self.task}.yaml"

    @property
    def search(self) -> Path:
        """Folder of the search's trials and figures."""
        return self.root / "data" / "tuned" / self.task

    @property
    def runs(self) -> Path:
        """Folder of everything trained, by fingerprint, in the main checkout; not an output."""
        return home_of(self.root) / "runs" / self.task

    @property
    def models(self) -> Path:
        """Folder of run.json, fold*/, and a folder of fold*/ for each further ensemble member."""
        return self.root / "models" / self.task

    def fold(self, number: int, member: str = BASE) -> Path:
        """Folder of a trained fold's weights, settings and history."""
        return (self.models if member == BASE else self.models / member) / f"fold{number}"

    @property
    def curves(self) -> Path:
        """Table of score and loss by epoch, for `dvc plots`."""
        return self.root / "curves" / f"{self.task}.csv"

    @property
    def metrics(self) -> Path:
        """JSON of score, low and high, for `dvc metrics`."""
        return self.root / "metrics" / f"{self.task}.json"

    @property
    def evaluate(self) -> Path:
        """Folder of metrics.json, predictions, thresholds and figures."""
        return self.root / "reports" / self.task / "evaluate"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.root / "reports" / self.task / "index.html"

    @property
    def submission(self) -> Path:
        """The file to upload; a JSON beside it holds its origin."""
        return self.root / "submissions" / f"{self.task}.csv"

    @property
    def ledger(self) -> Path:
        """Log of every submission; kept in git."""
        return self.root / "submissions" / f"{self.task}.ledger.csv"

    @property
    def archive(self) -> Path:
        """Folder of every submitted file and a copy of the log; not an output."""
        return self.root / "submissions" / "archive" / self.task

    @property
    def ledger_copy(self) -> Path:
        """Copy of the log, out of reach of git and DVC."""
        return self.archive / "ledger.csv"

    @property
    def leaderboard(self) -> Path:
        """Chart of cross-validated against public scores."""
        return self.root / "reports" / self.task / "leaderboard.png"


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
