"""Check before training whether the competition's sample submission can be followed."""

from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.formats.label_collector import LABELLED_IMAGES, IssueLog, Labels, table_of
from tropho.errors import DataError
from tropho.submission.sample_file import Sample
from tropho.submission.sample_layout import layout_of
from tropho.submission.target import Matches, match_ids, match_sample


def with_sample_images(labelled: pd.DataFrame, sample: Sample | None, on_disk: list[str]) -> pd.DataFrame:
    """Add the other images on disk that the sample names, as test images, to formats.labels.LABELLED_IMAGES."""
    if sample is None:
        return labelled
    sample, matches = match_sample(sample, labelled.loc[labelled["subset"] == "test", ["image_id", "path"]])
    left = [name for name in sample.ids if name not in matches.images and name not in matches.several]
    known = {*labelled["path"], *labelled["image_id"]}
    unknown = [path for path in on_disk if path not in known] if left else []
    if matches.images:
        new = match_ids(left, {path: path for path in unknown})
    else:
        new = match_sample(sample, pd.DataFrame({"image_id": unknown, "path": unknown}))[1]
    rows = ({"image_id": path, "path": path, "subset": "test", "status": "ok"} for path in new.images.values())
    return pd.concat([labelled, table_of(rows, LABELLED_IMAGES)], ignore_index=True)


def check_sample(
    sample: Sample | None, settings: TaskConfig, labels: Labels, images: pd.DataFrame, log: IssueLog, raw: Path
) -> tuple[dict[str, Any] | None, list[str]]:
    """List what the sample submission (None: nothing) asks for and can't be given; return JSON-safe facts and notes.

    Classes, in order, and columns are those of `labels`; `images` are all images with image_id, path and subset. The
    sample's path is shown below `raw`. A DataError says that none of its ids is a test image.
    """
    if sample is None:
        return None, []
    tests = images.loc[images["subset"] == "test", ["image_id", "path"]]
    sample, matches = match_sample(sample, tests)
    file = sample.path.relative_to(raw).as_posix()
    if not matches.images:
        raise DataError(_no_match(sample, matches, file, list(tests["path"].dropna())))
    layout = layout_of(sample, settings, labels.classes, labels.columns)
    _list_absent(sample, matches, file, log)
    for image_id in tests.loc[~tests["image_id"].isin(matches.images.values()), "image_id"]:
        log.add("not_in_sample", "listed", f"{file} does not name this test image; it is not submitted.", image_id)
    for kind, detail in layout.issues:
        log.add(kind, "listed", detail, None, file)
    if layout.problem:
        log.add("sample_layout", "listed", f"{layout.problem[0].upper()}{layout.problem[1:]}.", None, file)
    facts = {
        "file": file,
        "columns": sample.header,
        "layout": layout.sentence,
        "labels": layout.labels,
        "problem": layout.problem,
        "ids": len(sample.ids),
        "matched": len(matches.images),
    }
    if layout.problem:
        return facts, [f"The submission can't follow {file}: {layout.problem}. Its columns will be {layout.sentence}."]
    return facts, [f"The submission will follow {file}: {layout.sentence}."]


def _list_absent(sample: Sample, matches: Matches, file: str, log: IssueLog) -> None:
    """List the sample's ids that are no test image."""
    for line in sample.nameless:
        log.add("sample_id", "listed", "The image's cell is empty; the row is left out.", None, file, line)
    for name in sample.ids:
        if name not in matches.images:
            several = matches.several.get(name)
            why = f"the test images {' and '.join(several[:2])} match it" if several else "it is no test image"
            log.add("sample_id", "listed", f"'{name}' can't be predicted: {why}.", None, file, sample.ids[name])


def _no_match(sample: Sample, matches: Matches, file: str, paths: list[str]) -> str:
    ids = ", ".join(f"'{name}'" for name in list(sample.ids)[:3])
    several = next(iter(matches.several.values()), None)
    if several:
        return f"{file} asks for {ids}, and several test images answer to an id ({' and '.join(several[:2])})."
    tests = f"the test images are {', '.join(paths[:3])}, ..." if paths else "there is no test image"
    return f"{file} asks for {ids}, ..., and {tests}: place the images that it names, or remove it from the data."
