"""Where each stage keeps its files. Stages are the only code that knows these paths."""

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
        """JSON that changes with the files at the source."""
        return self.root / "data" / "fingerprints" / f"{self.task}.json"

    @property
    def stamps(self) -> Path:
        """JSON of those files' sizes, times and hashes, which saves reading them again; not an output."""
        return self.root / ".cache" / "fingerprints" / f"{self.task}.json"

    def lock(self, stage: str) -> Path:
        """File that the process of a stage keeps locked; it holds the process's id."""
        return self.root / ".cache" / "locks" / f"{self.task}.{stage}"

    @property
    def raw(self) -> Path:
        """Folder of files as they came."""
        return self.root / "data" / "raw" / self.task

    @property
    def held_out(self) -> Path:
        """Test truth that a generator keeps aside, as a leaderboard would; no stage reads it."""
        return self.root / "data" / "held_out" / self.task / "Truth.csv"

    @property
    def audit(self) -> Path:
        """Folder of images.csv, boxes.csv, issues.csv, summary.json and figures."""
        return self.root / "data" / "audit" / self.task

    @property
    def splits(self) -> Path:
        """Table of folds; a summary stands beside it as JSON."""
        return self.root / "data" / "splits" / f"{self.task}.csv"

    @property
    def augmented(self) -> Path:
        """Folder of the image cache, policy.json and previews."""
        return self.root / "data" / "augmented" / self.task

    @property
    def choice(self) -> Path:
        """YAML of dotted keys that the search chose."""
        return self.root / "data" / "tuned" / f"{self.task}.yaml"

    @property
    def search(self) -> Path:
        """Folder of the search's trials and figures."""
        return self.root / "data" / "tuned" / self.task

    @property
    def runs(self) -> Path:
        """Folder of everything trained, by fingerprint; not an output, and that of the main checkout in experiments."""
        return home_of(self.root) / "runs" / self.task

    @property
    def models(self) -> Path:
        """Folder of fold*/, a folder of fold*/ for each further member and for a random fold, and run.json."""
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
        """The page."""
        return self.root / "reports" / self.task / "index.html"

    @property
    def submission(self) -> Path:
        """The file to upload; where it came from stands beside it as JSON."""
        return self.root / "submissions" / f"{self.task}.csv"

    @property
    def ledger(self) -> Path:
        """Table of every submission; kept in git."""
        return self.root / "submissions" / f"{self.task}.ledger.csv"

    @property
    def archive(self) -> Path:
        """Folder of every submission's bytes and a copy of the ledger; not an output, and never cleared."""
        return self.root / "submissions" / "archive" / self.task

    @property
    def ledger_copy(self) -> Path:
        """The ledger again, out of reach of git and DVC."""
        return self.archive / "ledger.csv"

    @property
    def leaderboard(self) -> Path:
        """Chart of cross-validated against public scores."""
        return self.root / "reports" / self.task / "leaderboard.png"


def home_of(root: Path) -> Path:
    """The repository that databases live in, absolute: `root`, or the one that `dvc exp run --temp` copied.

    Experiments of `--temp` and `--queue` run in `.dvc/tmp/exps/NAME`, which DVC deletes afterwards.
    """
    root = root.resolve()
    parts = root.parts
    for start in range(len(parts) - 3):
        if parts[start : start + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:start])
    return root
