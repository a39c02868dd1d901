"""Examples that `--help` shows below each command; tests/commands/test_examples.py runs them."""

from pathlib import Path

import yaml

from tropho.stages import STAGES

EXAMPLES: dict[str, list[str]] = {
    **{stage: [f"tropho {stage} cells_demo"] for stage in STAGES},
    "fingerprint": ["tropho fingerprint cells_demo"],
    "status": ["tropho status", "tropho status cells_demo --json"],
    "new-task": ["tropho new-task my_cells ../cells --dry-run", "tropho new-task my_cells ../cells"],
    "labels": ["tropho labels smear_demo --to yolo --out smear_yolo"],
    "check": ["tropho check cells_demo"],
    "new-names": ["tropho new-names params.yaml"],
    "doctor": ["tropho doctor", "tropho doctor --json"],
    "score": ["tropho score data/held_out/smear_demo/Truth.csv submissions/smear_demo.csv"],
    "check-submission": [
        "tropho check-submission submissions/smear_demo.csv --sample data/raw/smear_demo/SampleSubmission.csv"
    ],
    "upload": ["tropho upload malaria --comment 'five folds, two views'"],
    "predict": ["tropho predict cells_demo cell1.png cell2.png --out predictions.csv"],
    "app": ["tropho app cells_demo"],
    "export": ["tropho export cells_demo --to onnx"],
    "leaderboard": ["tropho leaderboard cells_demo", "tropho leaderboard --json"],
    "record-score": ["tropho record-score cells_demo 0.85"],
}
"""Command lines by command, to be run in the project's folder."""


def epilog(command: str) -> str | None:
    """Return the examples of a command as the last lines of its help; None if it has none."""
    lines = EXAMPLES.get(command)
    return "\n\n".join(["Examples:" if len(lines) > 1 else "Example:", *lines]) if lines else None


def complete_task(incomplete: str) -> list[str]:
    """List the tasks of params.yaml that begin so, for the shell; nothing where the file can't be read."""
    try:
        tasks = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["tasks"]
        return [str(task) for task in tasks if str(task).startswith(incomplete)]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return []
