"""What a finished pipeline has to show: a row a task, and what to run next."""

from pathlib import Path

from tropho.config.load import load_params
from tropho.errors import DataError
from tropho.files import read_json
from tropho.paths import Paths

COLUMNS = ("task", "score", "subset", "value", "leaderboard", "submission", "report")


def summarise(root: Path) -> list[dict[str, str]]:
    """One row an active task; cells of stages that have not run are "-".

    "leaderboard" is the submission's score against test truth that a generator keeps aside, where there is one.
    """
    rows = []
    for task in load_params(root / "params.yaml")["active"]:
        paths = Paths(root, task)
        row = dict.fromkeys(COLUMNS, "-") | {"task": task}
        metrics = paths.evaluate / "metrics.json"
        if metrics.exists():
            headline = read_json(metrics)["headline"]
            row |= {"score": headline["name"], "subset": headline["subset"], "value": _number(headline["value"])}
        if paths.submission.exists():
            row["submission"] = str(paths.submission.relative_to(root))
            row["leaderboard"] = _held_out_score(paths)
        if paths.report.exists():
            row["report"] = str(paths.report.relative_to(root))
        rows.append(row)
    return rows


def _held_out_score(paths: Paths) -> str:
    if not paths.held_out.exists():
        return "-"
    from tropho.metrics.leaderboard_map import leaderboard_map
    from tropho.submission.competition_csv import read_competition_csv

    try:
        result = leaderboard_map(read_competition_csv(paths.held_out), read_competition_csv(paths.submission))
    except DataError:  # the truth is of other photos, drawn with other settings since
        return "-"
    return _number(result["score"])


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def print_summary(root: Path) -> None:
    """Print the rows as a table, then what to run next."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS, box=None, header_style="bold")
    for row in summarise(root):
        table.add_row(*(row[column] for column in COLUMNS))
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    console.print(
        "\nNext (after `source .venv/bin/activate`):\n"
        "  open the reports above in a browser\n"
        "  mlflow ui --backend-store-uri sqlite:///mlflow.db    compare the runs\n"
        "  dvc exp run -S ++tasks.cells_demo.train.epochs=20    try a change\n"
        "  tropho tasks                                         the other tasks, and how far each has come",
        highlight=False,
    )
