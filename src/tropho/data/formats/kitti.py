"""KITTI: label_2/*.txt, 15 columns a row: type truncated occluded alpha left top right bottom and seven of 3D."""

from pathlib import Path, PurePosixPath
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.formats.csv_table import number
from tropho.data.formats.image_files import ImageFiles, NamedFiles, subset_of, unique_ids
from tropho.data.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    SUBSETS,
    IssueLog,
    Labels,
    files_below,
    nearest,
    table_of,
)
from tropho.data.formats.subset_folders import subset_of_path
from tropho.errors import DataError, UsageError
from tropho.tables import BOX

LABEL_FOLDERS = frozenset({"label_2", "label_02", "labels", "label"})
IGNORED = "DontCare"
"""The type of regions that are neither labelled nor to be scored."""


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read label_2/*.txt (or labels/*.txt) and the images beside it, in image_2/ or any other folder.

    Folders called training, val and testing (or what `audit.train` and `audit.test` name) tell the subsets; without
    them all is for training. A training image without a label file is unlabelled, and so is a test image, unless no
    test image has one. DontCare regions are ignored. An image's id is its file name, or its path where two share one.

    Raises:
        UsageError: a folder that the settings name is not there.
        DataError: there are no label files.
    """
    reader = _Reader(raw)
    subsets = _subsets(settings, reader.on_disk)
    ids = unique_ids(subsets)
    labelled = {subset for path, subset in subsets.items() if path in reader.files}
    if not labelled & {"train", "validation"}:
        raise DataError(f"{raw} holds no label_2/*.txt that belongs to a training image.")
    rows = []
    for path, subset in subsets.items():
        row = {"image_id": ids[path], "path": path, "subset": subset, "status": "ok"}
        rows.append(row)
        if path in reader.files:
            row["status"] = reader.take(reader.files[path], ids[path])
        elif subset != "test" or subset in labelled:
            row["status"] = "unlabelled"
            reader.log.add("no_label_file", "quarantined", "It has no label file of its own.", ids[path], path)
    images, boxes = table_of(rows, LABELLED_IMAGES), table_of(reader.boxes, LABELLED_BOXES)
    return Labels(images, boxes, reader.log.table(), [])


def _subsets(settings: TaskConfig, on_disk: ImageFiles) -> dict[str, str]:
    """Subset by image path; images in none of the folders that the settings name are left out."""
    given = {"train": settings.audit.train, "test": settings.audit.test}
    prefixes = {}
    for subset, folders in given.items():
        for folder in folders or []:
            prefix = f"{folder.strip('/')}/"
            if not any(path.startswith(prefix) for path in on_disk.paths):
                raise UsageError(f"audit.{subset}: no images in a folder '{folder}'{nearest(folder, on_disk.folders)}.")
            held_back = subset == "train" and subset_of(folder) == "validation"
            prefixes[prefix] = "validation" if held_back else subset
    usual = {path: subset_of_path(path) for path in on_disk.paths}
    rest = "" if "train" in usual.values() else "train"
    found = {}
    for path, subset in usual.items():
        named = next((each for prefix, each in prefixes.items() if path.startswith(prefix)), "")
        if not named and given.get(subset or rest) is None and not (given["train"] and subset != "test"):
            named = subset or rest
        if named:
            found[path] = named
    return {path: found[path] for wanted in SUBSETS for path in found if found[path] == wanted}


class _Reader:
    """Boxes of one label file after another."""

    def __init__(self, raw: Path) -> None:
        self.raw, self.log = raw, IssueLog()
        self.on_disk = ImageFiles(raw)
        self.boxes: list[dict[str, Any]] = []
        texts = [path.relative_to(raw).as_posix() for path in files_below(raw, "*.[tT][xX][tT]")]
        texts = [path for path in texts if PurePosixPath(path).parent.name.lower() in LABEL_FOLDERS]
        self.files = self._files(NamedFiles(texts))

    def _files(self, texts: NamedFiles) -> dict[str, str]:
        """Label file by image path; a label file is of the image that answers best to its name."""
        files: dict[str, str] = {}
        for text in texts.paths:
            place = PurePosixPath(text)
            match = self.on_disk.find(place.stem, str(place.parent), subset_of_path(text))
            if match.ambiguous:
                self.log.add("ambiguous_name", "quarantined", match.detail(place.stem), None, text)
            elif not match.found:
                self.log.add("no_image_file", "quarantined", "No image belongs to this label file.", None, text)
            elif files.setdefault(match.path, text) != text:
                detail = f"{files[match.path]} and {text} are both labels of {match.path}; remove one of them."
                raise DataError(detail)
        return files

    def take(self, file: str, image_id: str) -> str:
        """Add the boxes of a label file; return the image's status."""
        try:
            lines = (self.raw / file).read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            self.log.add("bad_annotation", "quarantined", "The label file is not text in UTF-8.", image_id, file)
            return "unlabelled"
        usable = bad = 0
        for line, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            try:
                found = _object(text.split())
            except ValueError as error:
                bad += 1
                self.log.add("bad_row", "quarantined", f"{error}.", image_id, file, line)
                continue
            usable += 1
            self.boxes.append({"image_id": image_id, "file": file, "row": line, **found})
        return "unlabelled" if bad and not usable else "ok"


def _object(cells: list[str]) -> dict[str, Any]:
    """One row -> class, corners in pixels and whether it is ignored; raise ValueError with what is wrong."""
    if len(cells) not in {15, 16}:  # a sixteenth is the confidence of a prediction
        raise ValueError(f"{len(cells)} columns in place of KITTI's 15")
    values = [number(cell) for cell in cells[4:8]]
    if any(value is None for value in values):
        raise ValueError(f"The box is '{' '.join(cells[4:8])}', not four numbers")
    return {"label": cells[0], **dict(zip(BOX, values, strict=True)), "ignore": cells[0].lower() == IGNORED.lower()}
