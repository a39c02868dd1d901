"""Pascal VOC: Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,trainval,test}.txt.

Coordinates are taken as written: the original data count pixels from 1, most tools since from 0, and no file
says which.
"""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from tropho.errors import DataError
from tropho.formats.image_files import ImageFiles
from tropho.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    VALIDATION,
    IssueLog,
    Labels,
    in_both,
    named_files,
    table_of,
)
from tropho.settings import TaskSettings
from tropho.tables import BOX


def read(settings: TaskSettings, raw: Path) -> Labels:
    """Labels of the images that the split files name; without split files, of every annotation, for training.

    `audit.train` and `audit.test` name split files below the folder that holds Annotations/. By default train
    is trainval.txt, or train.txt and val.txt; those of it that val.txt names are the published validation set, as
    are those of a file val.txt, valid.txt or validation.txt in `audit.train`. A training image without a readable
    annotation is unlabelled, and so is a test image, unless the whole test set has none.

    Raises:
        DataError: there is no folder Annotations, or several.
    """
    root = _root(raw)
    on_disk, log = ImageFiles(raw), IssueLog()
    images: dict[str, dict[str, Any]] = {}
    boxes: list[dict[str, Any]] = []
    for subset, stems in _subsets(settings, root).items():
        labelled = subset != "test" or any((root / f"Annotations/{stem}.xml").exists() for stem in stems)
        for stem in stems:
            path = on_disk.locate(stem, (root / "JPEGImages").relative_to(raw).as_posix())
            image_id = PurePosixPath(path).name
            if image_id in images:
                if images[image_id]["subset"] != subset:
                    log.add("in_both_subsets", "dropped", in_both(images[image_id]["subset"]), image_id)
                continue
            entry = {"image_id": image_id, "path": path, "subset": subset, "status": "ok"}
            images[image_id] = entry
            if labelled:
                entry.update(_annotation(root, raw, stem, image_id, boxes, log))
    return Labels(table_of(images.values(), LABELLED_IMAGES), table_of(boxes, LABELLED_BOXES), log.table(), [])


def _root(raw: Path) -> Path:
    roots = sorted(path.parent for path in raw.rglob("Annotations") if path.is_dir())
    if len(roots) != 1:
        which = ", ".join(str(path.relative_to(raw)) for path in roots) or "none"
        raise DataError(f"{raw} must hold one folder Annotations; found in: {which}.")
    return roots[0]


def _subsets(settings: TaskSettings, root: Path) -> dict[str, list[str]]:
    """Stems of the images by subset, test and validation first, in the order of the split files."""
    train, test = settings.audit.train, settings.audit.test
    main = root / "ImageSets/Main"
    if train is None and not main.is_dir():
        return {"train": sorted(path.stem for path in (root / "Annotations").glob("*.xml"))}
    usual = {"trainval.txt"} if (main / "trainval.txt").exists() else {"train.txt", "val.txt"}
    home = main if main.is_dir() else root
    tests = named_files(root if test else home, test, {"test.txt"}, "audit.test")
    named = named_files(root if train else home, train, usual, "audit.train")
    validation = [stem for path in named if path.stem.lower() in VALIDATION for stem in _stems([path])]
    learned = _stems([path for path in named if path.stem.lower() not in VALIDATION])
    if train is None and usual == {"trainval.txt"} and (main / "val.txt").exists():
        both = set(_stems([main / "val.txt"]))
        validation, learned = [each for each in learned if each in both], [each for each in learned if each not in both]
    if not learned and not validation:
        raise DataError(f"{home} names no training images; it needs trainval.txt or train.txt.")
    return {"test": _stems(tests), "validation": validation, "train": learned}


def _stems(paths: list[Path]) -> list[str]:
    """First words of the files' lines: per-class split files have a second one."""
    return [line.split()[0] for path in paths for line in path.read_text().splitlines() if line.strip()]


def _annotation(
    root: Path, raw: Path, stem: str, image_id: str, boxes: list[dict[str, Any]], log: IssueLog
) -> dict[str, Any]:
    """Add an image's boxes to `boxes`; return what its annotation says of the image (status, stated size)."""
    path = root / f"Annotations/{stem}.xml"
    file = path.relative_to(raw).as_posix()
    try:
        text = path.read_text(encoding="utf-8")
        tree = ElementTree.fromstring(text)  # noqa: S314 - expat bounds entity expansion since 2.4.1
    except FileNotFoundError:
        log.add("no_annotation", "quarantined", "The image is in a split, but has no annotation.", image_id, file)
        return {"status": "unlabelled"}
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        log.add("bad_annotation", "quarantined", f"Not readable as XML: {error}.", image_id, file)
        return {"status": "unlabelled"}
    objects = tree.findall("object")
    usable = 0
    for line, element in zip(_lines_of_objects(text), objects, strict=False):
        corners = [_number(element.findtext(f"bndbox/{name}")) for name in BOX]
        label = (element.findtext("name") or "").strip()
        if not label or any(math.isnan(value) for value in corners):
            log.add("bad_row", "quarantined", "An object without a name or a box.", image_id, file, line)
            continue
        usable += 1
        place = {"image_id": image_id, "file": file, "row": line}
        boxes.append({**place, "label": label, **dict(zip(BOX, corners, strict=True))})
    size = [_number(tree.findtext(f"size/{name}")) for name in ("width", "height")]
    stated = [int(value) if value > 0 else None for value in size]
    status = "unlabelled" if objects and not usable else "ok"
    return {"status": status, "stated_width": stated[0], "stated_height": stated[1]}


def _lines_of_objects(text: str) -> Iterator[int]:
    """1-based lines on which the objects begin."""
    for number, line in enumerate(text.splitlines(), start=1):
        for _ in range(line.count("<object>")):
            yield number


def _number(text: str | None) -> float:
    """A finite number, or NaN for anything else."""
    try:
        value = float(text or "nan")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
