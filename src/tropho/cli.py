"""The command line: one command per stage, and the tools around them.

Exit codes: 0 done, 1 the data or the submission is wrong, 2 wrong usage or settings, 3 something outside failed.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tropho.commands.examples import complete_task, epilog
from tropho.errors import StoppedError, TrophoError, UsageError, describe_os_error
from tropho.stages import STAGES

app = typer.Typer(
    name="tropho",
    help="From raw images to a leaderboard submission, and from a public data set to a report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

RETIRED_COMMANDS = {"tasks": "status", "summary": "status", "leaderboard --record": "record-score"}

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]
TaskName = Annotated[str, typer.Argument(help="A task of params.yaml.", metavar="TASK", autocompletion=complete_task)]
AnyTask = Annotated[
    str | None, typer.Argument(help="A task of params.yaml.", metavar="[TASK]", autocompletion=complete_task)
]


def _run_stage(stage: str, task: str) -> None:
    from tropho.commands.stage_lock import running
    from tropho.config.load import load_task

    settings = load_task(task, with_active=stage == "fingerprint")
    _warn_without_repository(Path.cwd())
    try:
        with running(settings, stage, Path.cwd()):
            importlib.import_module(f"tropho.stages.{stage}").run(settings, Path.cwd())
    except KeyboardInterrupt as stop:  # Typer would only say "Aborted."
        raise StoppedError(f"{str(stop) or 'stopped'}; run the same command to go on.") from None
    if stage == "report":  # the last one
        from tropho.commands.next_steps import describe_run

        typer.echo("\n".join(["", *describe_run(settings, Path.cwd())]))


def _warn_without_repository(root: Path) -> None:
    """Say how to start git if the project is no repository, as one unpacked from a ZIP."""
    if (root / "dvc.yaml").exists() and not any((folder / ".git").exists() for folder in (root, *root.parents)):
        typer.echo(
            "tropho: this folder is no git repository, so `dvc repro` refuses to work and no run is tied to its code; "
            "run `git init && git add -A && git commit -m start`.",
            err=True,
        )


def _add_stage(stage: str, description: str) -> None:
    def command(task: TaskName) -> None:
        _run_stage(stage, task)

    app.command(stage, help=description)(command)


for _stage, _description in STAGES.items():
    _add_stage(_stage, _description)
_add_stage("fingerprint", "Note which files you placed, so that `dvc repro` fetches them again where they changed.")


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"tropho {version('tropho')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command; main() reads --debug itself, since it must hold when parsing fails."""


@app.command()
def status(task: AnyTask = None, as_json: JsonOption = False) -> None:
    """Show the tasks: kind, state of each stage, scores, submissions, reports, and what to do next."""
    from tropho.commands.status import print_status

    print_status(Path.cwd(), task, as_json)


@app.command("new-task")
def new_task(
    name: Annotated[str, typer.Argument(help="Of the new task: letters, digits, _ and -.", metavar="NAME")],
    folder: Annotated[str, typer.Argument(help="Folder, archive, or kaggle:COMPETITION.", metavar="FOLDER")],
    label_format: Annotated[
        str | None, typer.Option("--format", help="Read the labels in this format alone.", metavar="FORMAT")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the guesses and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a task for your own images to params.yaml; says what was guessed, why, and how long it will take."""
    from tropho.commands.new_task import add_task

    add_task(Path.cwd(), name, folder, label_format, dry_run, as_json)


@app.command()
def labels(
    task: TaskName,
    to: Annotated[str, typer.Option(help="Format of the labels.", metavar="coco|yolo")],
    out: Annotated[Path, typer.Option(help="New folder for images and labels.", metavar="FOLDER")],
    predictions: Annotated[
        bool, typer.Option("--predictions", help="What the trained models find, with scores, in place of the labels.")
    ] = False,
) -> None:
    """Write the audited labels of a detection task, or its predictions, as COCO or YOLO."""
    from tropho.commands.export_labels import export_labels
    from tropho.config.load import load_task

    typer.echo(export_labels(load_task(task), Path.cwd(), to, out, predictions))


@app.command("new-names")
def new_names(
    file: Annotated[Path, typer.Argument(help="A params.yaml, or a file with entries of one.", metavar="FILE")],
) -> None:
    """Rewrite settings of earlier versions in a file to their present names; comments stay."""
    from tropho.config.retired import rewrite_file

    changes = rewrite_file(file)
    for change in changes:
        typer.echo(change)
    typer.echo(f"{file}: {len(changes)} setting(s) changed." if changes else f"{file}: all names are present ones.")


@app.command()
def check(task: TaskName) -> None:
    """Check a prepared task before it is trained: rate, targets, a handful of images learned; its time and memory."""
    from tropho.commands.check import check_task
    from tropho.config.load import load_task

    for line in check_task(load_task(task), Path.cwd()):
        typer.echo(line)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Show what this machine has and lacks, and what to do about it."""
    from tropho.commands.doctor import print_findings

    print_findings(Path.cwd(), as_json)


@app.command()
def score(
    truth: Annotated[Path, typer.Argument(help="CSV with the true boxes.", metavar="TRUTH.csv")],
    submission: Annotated[Path, typer.Argument(help="CSV with the predicted boxes.", metavar="SUBMISSION.csv")],
) -> None:
    """Score a submission by the leaderboard's metric; prints JSON."""
    from tropho.metrics.leaderboard_map import leaderboard_map
    from tropho.submission.competition_csv import read_competition_csv

    result = leaderboard_map(read_competition_csv(truth), read_competition_csv(submission))
    typer.echo(json.dumps(result))


@app.command("check-submission")
def check_submission(
    submission: Annotated[Path, typer.Argument(help="The file to check.", metavar="SUB.csv")],
    sample: Annotated[Path, typer.Option(help="The competition's sample submission.")],
    sizes: Annotated[
        Path | None,
        typer.Option(help="Table with image_id, width and height, such as data/audit/T/images.csv."),
    ] = None,
) -> None:
    """Check a submission against the competition's sample; lists every fault with its row."""
    from tropho.data.formats.label_collector import read_sizes
    from tropho.submission import format_check
    from tropho.submission.target import audited_labels

    labels = audited_labels(sample, Path.cwd())
    faults = format_check.check_submission(submission, sample, read_sizes(sizes) if sizes else None, labels=labels)
    for fault in faults:
        typer.echo(str(fault))
    if faults:
        typer.echo(f"{submission}: {format_check.verdict(faults)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{submission}: no faults.")


@app.command()
def upload(
    task: TaskName,
    comment: Annotated[str | None, typer.Option(help="Shown beside it on the site; else its score.")] = None,
) -> None:
    """Upload a task's checked submission to its competition on Zindi or Kaggle, and record the score."""
    from tropho.commands import submissions
    from tropho.config.load import load_task

    typer.echo(submissions.upload(load_task(task), Path.cwd(), comment))
    submissions.print_cv_gaps(Path.cwd(), task)


@app.command()
def predict(
    task: TaskName,
    images: Annotated[list[Path], typer.Argument(help="Images, folders of images, or patterns.", metavar="IMAGE...")],
    out: Annotated[Path | None, typer.Option(help="Where to write the predictions as CSV.")] = None,
    draw: Annotated[Path | None, typer.Option(help="Folder for pictures that show them.", metavar="DIR")] = None,
    counts: Annotated[bool, typer.Option("--counts", help="Count by class; writes counts.csv too.")] = False,
    threshold: Annotated[str | None, typer.Option(help="Least score that is kept.", metavar="best|0.3")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Use the exported models, without torch.")] = False,
) -> None:
    """Predict any images with all models of a task; prints a line for each image.

    OUT.csv has the columns of the task's submission. Without --threshold it has all boxes; lines, pictures and counts
    have those from the best threshold on.
    """
    from tropho.commands.predict_images import PredictOptions, predict_files

    options = PredictOptions(out=out, draw=draw, counts=counts, threshold=threshold, exported=onnx)
    typer.echo("\n".join(predict_files(task, images, Path.cwd(), options)))


@app.command("app", epilog=epilog("app"))
def run_app(
    task: TaskName,
    onnx: Annotated[bool, typer.Option("--onnx", help="Use the exported models, without torch.")] = False,
    host: Annotated[str, typer.Option(help="Address; only this machine reaches the default.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; the first free one from 7860 on by default.")] = None,
) -> None:
    """Try a task's models on photos in the browser, and review its label issues."""
    importlib.import_module("tropho.app.serve").run_app(task, Path.cwd(), onnx, host, port)


@app.command(epilog=epilog("export"))
def export(task: TaskName, to: Annotated[str, typer.Option(help="Format.", metavar="onnx")] = "onnx") -> None:
    """Export all models of a task to exports/TASK, for ONNX Runtime; `tropho predict --onnx` uses them."""
    from tropho.commands.export_task import export_task

    typer.echo(export_task(task, to, Path.cwd()))


@app.command()
def leaderboard(task: AnyTask = None, as_json: JsonOption = False) -> None:
    """Rank the tracked training runs by cross-validated score, and list every submission."""
    from tropho.commands.leaderboard import print_leaderboard

    print_leaderboard(Path.cwd(), task, as_json)


@app.command("record-score")
def record_score(
    task: TaskName,
    score: Annotated[float | None, typer.Argument(help="Public; else the site is asked.", metavar="[SCORE]")] = None,
    private: Annotated[float | None, typer.Option(help="The private score, once it is known.")] = None,
    file: Annotated[
        str | None, typer.Option(help="First digits of its SHA-256; else the present file.", metavar="HASH")
    ] = None,
) -> None:
    """Record scores of the leaderboard, typed or read from Zindi or Kaggle; warn where cross-validation differs."""
    from tropho.commands import submissions

    typer.echo(submissions.record_score(Path.cwd(), task, score, private, file))
    submissions.print_cv_gaps(Path.cwd(), task)


for _command in app.registered_commands:
    _command.epilog = epilog(_command.name or str(getattr(_command.callback, "__name__", "")))


def main() -> None:
    """Run the command line, turning expected failures into one sentence and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        for retired, present in RETIRED_COMMANDS.items():
            if arguments[:1] == retired.split()[:1] and set(retired.split()) <= set(arguments):
                raise UsageError(f"`tropho {retired}` is now `tropho {present}`; see `tropho {present} --help`.")
        app(args=arguments)
    except (TrophoError, OSError) as error:
        if debug:
            raise
        is_mid_line = isinstance(error, StoppedError) and sys.stderr.isatty()  # after the terminal's ^C
        from tropho.commands.active_tasks import with_activation

        text = describe_os_error(error) if isinstance(error, OSError) else str(error)
        text = with_activation(text, arguments, Path.cwd())
        typer.echo("\n" * is_mid_line + f"tropho: {text}", err=True)
        sys.exit(3 if isinstance(error, OSError) else error.exit_code)
