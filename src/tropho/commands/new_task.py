"""Add a task for a folder of images: guess its settings, say why, and write them into params.yaml."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from tropho.config.load import load_params
from tropho.data.audit.sample_submission import with_sample_images
from tropho.data.audit.unused_data import list_other_files
from tropho.data.formats.image_files import ImageFiles
from tropho.data.formats.label_collector import IssueLog, Labels, files_below
from tropho.data.sources import fetch
from tropho.data.sources.archives import is_archive
from tropho.data.sources.local import check_apart
from tropho.errors import TrophoError, UsageError
from tropho.new_task.entry import check_name, is_plain, write_entry
from tropho.new_task.group_guess import guess_groups
from tropho.new_task.image_sample import ImageSample, drop_unreadable, look_at_sample
from tropho.new_task.label_guess import LabelGuess, guess_labels, validated
from tropho.new_task.recipe import Reason, Recipe, choose_recipe, val_interval
from tropho.new_task.time_estimate import Estimate, estimate
from tropho.paths import Paths
from tropho.submission.sample_file import find_sample, read_sample

MAX_MINUTES = 60
"""Of training on this machine; a longer one gets fewer epochs."""
MAX_KINDS = 6
"""Kinds of problem that are listed, the most frequent first."""
MAX_LISTED = 12
"""Classes that the entry and the table list."""
MAX_NAMED = 6
"""Classes that the description names."""
DESCRIPTION = "Write into `description` what the images show: report, app and `tropho status` begin with it."
KAGGLE = "kaggle:"
"""Begins the name of a competition or data set there, in place of a folder."""


def add_task(root: Path, name: str, folder: str, label_format: str | None, dry_run: bool, as_json: bool) -> None:
    """Look at a folder or an archive, print what was found and why, and write the entry of a task.

    Args:
        root: of the project.
        name: of the new task.
        folder: path of the data set, relative to `root` or not; or `kaggle:` and a competition or data set of Kaggle.
        label_format: the one to read labels in; None tries all.
        dry_run: write nothing.
        as_json: print one JSON object in place of the table.

    Raises:
        UsageError: the name is taken, or nothing is at the path.
        DataError: no labels are recognised, or no image can be read.
    """
    params = load_params(root / "params.yaml")
    check_name(name, params)
    kaggle = folder.startswith(KAGGLE)
    source = folder.removeprefix(KAGGLE) if kaggle else Path(folder).expanduser().as_posix()
    download = {"source": "kaggle", "repo": source} if kaggle else {"source": "local", "path": source}
    with _unpacked(root, name, download, params) as raw:
        guess = guess_labels(raw, params, label_format)
        labels, left_out = drop_unreadable(guess.labels, raw)
        guess = replace(guess, labels=labels)
        sample = look_at_sample(guess.train, guess.labels.boxes, raw)
        audit, reasons = _describe_labels(guess, raw)
        recipe = choose_recipe(guess, sample, " ".join([Path(source).name, *guess.counts]))
        entry = _entry(guess, download, audit, recipe)
        times = _fit_time(name, entry, params, guess, sample, raw)
        problems = _list_problems(guess.labels, left_out, raw)
    reasons += [*recipe.reasons, *problems]
    comments = {reason.what: reason.why for reason in recipe.reasons}
    comments[""] = f"Written by `tropho new-task` from {source}; change what it guessed wrong.\n{DESCRIPTION}"
    active, dropped = ([], []) if dry_run else write_entry(root / "params.yaml", name, entry, comments)
    if as_json:
        guesses = [reason._asdict() for reason in reasons]
        minutes = times and {"training": times.training / 60, "all": times.total / 60}
        print(json.dumps({"task": name, "entry": entry, "guesses": guesses, "minutes": minutes}))  # noqa: T201
        return
    _print(name, reasons, times, active, dropped)


@contextmanager
def _unpacked(root: Path, name: str, download: dict[str, str], params: dict[str, Any]) -> Iterator[Path]:
    """Yield the folder as the stage download would leave it; a local one without archives is used as it is."""
    place, is_local = root / download.get("path", ""), download["source"] == "local"
    if is_local and place.is_dir() and not any(is_archive(path.name) for path in files_below(place)):
        check_apart(place, Paths(root, name).raw)
        yield place
        return
    if not place.exists():
        raise UsageError(f"There is no '{download['path']}' ({place}); name the folder or archive of your images.")
    entry = {"kind": "classification", "download": download}
    (root / ".cache").mkdir(exist_ok=True)
    with TemporaryDirectory(dir=root / ".cache") as temporary:
        raw = Path(temporary) / "raw"
        fetch(validated(name, entry, params), raw, root)
        yield raw


def _describe_labels(guess: LabelGuess, raw: Path) -> tuple[dict[str, Any], list[Reason]]:
    """Return the section `audit`, and the reasons for it."""
    audit, images = dict(guess.audit), guess.labels.images
    n_train, counts = len(guess.train), guess.counts
    what = f"{len(guess.labels.boxes):,} boxes" if guess.kind == "detection" else f"{len(counts)} classes"
    reasons = [
        Reason("kind", guess.kind, f"the labels are {what} of {n_train:,} training images"),
        Reason("audit.format", audit["format"], _why_format(guess, raw)),
    ]
    listed = ", ".join(f"{label}: {count:,}" for label, count in counts.most_common(MAX_LISTED))
    unit = "boxes" if guess.kind == "detection" else "images"
    reasons.append(Reason("audit.classes", str(len(guess.labels.classes)), f"{unit} by class: {listed}"))
    classes = guess.labels.classes
    if len(classes) <= MAX_LISTED and all(map(is_plain, classes)):
        audit["classes"] = list(classes)
    if negative := audit.get("negative"):
        reasons.append(Reason("audit.negative", negative, "its rows have no box: it says that nothing is there"))
    ids, labels = list(images["image_id"].astype(str)), list(images["label"].where(images["label"].notna(), None))
    groups = guess_groups(ids, labels)
    if groups:
        audit["group_pattern"] = groups.pattern
        why = f"'{groups.group}' in {groups.file_name} names one of {groups.n_groups:,} patients, slides or series"
        reasons.append(Reason("audit.group_pattern", groups.pattern, why))
    else:
        reasons.append(Reason("audit.group_pattern", "none", "file names tell no patients or slides; copies are found"))
    return audit, [*reasons, *_describe_subsets(guess, raw)]


def _why_format(guess: LabelGuess, raw: Path) -> str:
    if guess.labels.notes:
        return " ".join(guess.labels.notes[:2])
    if guess.audit["format"] == "image_folder":
        return "the images lie in a folder for each class"
    names = sorted({str(file) for file in guess.labels.boxes["file"].dropna()})
    more = f" and {len(names) - 1:,} more files" if len(names) > 1 else ""
    return f"it reads {names[0]}{more} in {raw.name}" if names else "it reads the labels"


def _describe_subsets(guess: LabelGuess, raw: Path) -> Iterator[Reason]:
    sample = find_sample(raw, guess.audit.get("sample"))
    images = with_sample_images(guess.labels.images, read_sample(sample) if sample else None, ImageFiles(raw).paths)
    counts = images["subset"].value_counts()
    if n_test := int(counts.get("test", 0)):
        why = "files or folders are named so, or the sample submission names them; they train nothing"
        yield Reason("test set", f"{n_test:,} images", why)
    else:
        yield Reason("test set", "a fifth", "none is published, so a fifth is set aside (split.test_fraction)")
    if n_val := int(counts.get("validation", 0)):
        yield Reason("validation set", f"{n_val:,} images", "it joins the folds (split.published_val)")
    if sample:
        name = sample.relative_to(raw).as_posix()
        yield Reason("sample submission", name, "the submission takes its columns and rows")


def _list_problems(labels: Labels, left_out: list[str], raw: Path) -> list[Reason]:
    """Count the issues of the labels, images that can't be opened and other files, each kind with its first."""
    log = IssueLog()
    list_other_files(raw, ImageFiles(raw).left_aside, log)
    issues = pd.concat([labels.issues, log.table()], ignore_index=True)
    reasons = []
    if left_out:
        why = f"{left_out[0]}: It is missing or can't be opened; the audit says of each image why."
        reasons.append(Reason("not read as it is", f"{len(left_out):,} unreadable", why))
    for kind, count in issues["kind"].value_counts().head(MAX_KINDS).items():
        first = issues[issues["kind"] == kind].iloc[0]
        place = "" if pd.isna(first["file"]) or kind == "other_files" else f"{first['file']}"
        place += "" if pd.isna(first["row"]) else f", row {first['row']}"
        why = f"{place}: {first['detail']}" if place else str(first["detail"])
        reasons.append(Reason("not read as it is", f"{count:,} {kind}", why))
    return reasons


def _entry(guess: LabelGuess, download: dict[str, str], audit: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the entry of params.yaml: kind, description, presets and the sections that are not empty."""
    return {
        "kind": guess.kind,
        "description": _description(guess),
        "presets": recipe.presets,
        "download": download,
        "audit": audit,
        **recipe.sections,
    }


def _description(guess: LabelGuess) -> str:
    """Say how many images, boxes and classes there are: "412 images of 3 classes: cat, dog, fox"."""
    names, labels = [str(name) for name in guess.labels.classes], guess.labels
    boxes = f" with {_count(len(labels.boxes), 'box', 'boxes')}" if guess.kind == "detection" else ""
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    classes = f"{_count(len(names), 'class', 'classes')}: {', '.join(names[:MAX_NAMED])}{more}"
    return f"{_count(len(labels.images), 'image', 'images')}{boxes} of {classes}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _fit_time(
    name: str, entry: dict[str, Any], params: dict[str, Any], guess: LabelGuess, sample: ImageSample, raw: Path
) -> Estimate | None:
    """Estimate the time; lower the laptop's epochs in `entry` where training would take too long.

    Returns: the estimate; None where a training step is not possible, which the stages will explain.
    """
    try:
        times = estimate(validated(name, entry, params), guess, sample, raw)
    except TrophoError:
        return None
    laptop, excess = entry["presets"]["laptop"], times.training / (60 * MAX_MINUTES)
    if params["preset"] == "laptop" and excess > 1:
        epochs = max(3, int(laptop["train.epochs"] / excess))
        share, laptop["train.epochs"] = epochs / laptop["train.epochs"], epochs
        if "train.val_interval" in laptop:
            laptop["train.val_interval"] = val_interval(epochs)
        times = Estimate(times.training * share, times.total - times.training * (1 - share))
    return times


def _print(name: str, reasons: list[Reason], times: Estimate | None, active: list[str], dropped: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 160)
    table = Table("setting", "guess", "why", box=None, header_style="bold")
    for reason in reasons:
        table.add_row(*reason)
    console.print(table, markup=False)
    minutes = ""
    if times:
        total, training = _minutes(times.total), _minutes(times.training)
        minutes = f"about {total} on this machine" + (f", {training} of it training" if training != total else "")
    if not active:
        lines = ["\nNothing was written (--dry-run)." + (f" Running it would take {minutes}." if minutes else "")]
    else:
        beside = f" beside {', '.join(active[:-1])}" if active[:-1] else ""
        lines = [f"\nThe task {name} is in params.yaml and active{beside}."]
        verb = "is" if len(dropped) == 1 else "are"
        lines += [f"{' and '.join(dropped)} {verb} no longer active: no stage of them has run."] if dropped else []
        lines += ["Next:", f"  # see what the data holds: data/audit/{name}/summary.json and issues.csv"]
        lines += [f"  dvc repro audit@{name}", f"  # run everything{', ' if minutes else ''}{minutes}"]
        lines += [f"  dvc repro report@{name}"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return "1 minute" if minutes < 1.5 else f"{minutes:.0f} minutes"
