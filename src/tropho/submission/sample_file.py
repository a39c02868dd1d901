"""Find and read the competition's sample submission as text, and match its ids to images."""

import csv
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from tropho.errors import DataError, UsageError
from tropho.images.file_types import IMAGE_ENDINGS, is_hidden
from tropho.tables import check_columns

ID_NAMES = frozenset(
    "imageid image images imagename img imgid imgname imageindex picture photo id ids idcode uid uuid file fileid "  # noqa: SIM905
    "filename filepath path imagepath name key".split()
)
LABEL_NAMES = frozenset(
    "label labels class classid classname classlabel category categoryid target targetlabel prediction predicted "  # noqa: SIM905
    "predictedlabel predictedclass labelname diagnosis".split()
)
SCORE_NAMES = frozenset({"confidence", "conf", "score", "probability", "prob", "proba", "p"})
SIDES = {
    **dict.fromkeys(("xmin", "x1", "left"), "xmin"),
    **dict.fromkeys(("ymin", "y1", "top"), "ymin"),
    **dict.fromkeys(("xmax", "x2", "right"), "xmax"),
    **dict.fromkeys(("ymax", "y2", "bottom"), "ymax"),
    **dict.fromkeys(("w", "width"), "width"),
    **dict.fromkeys(("h", "height"), "height"),
    "x": "x",
    "y": "y",
}
CORNERS = ("xmin", "ymin", "xmax", "ymax")
CORNER_AND_SIZE = ("x", "y", "width", "height")

_NAME = re.compile(r"(sample|example)submission|submission(format|sample|template|example)")


@dataclass(frozen=True)
class Columns:
    """The columns of a sample by what their names say."""

    image: str
    label: str | None
    score: str | None
    sides: dict[str, str]  # column by side of the box (CORNERS or CORNER_AND_SIZE); {} = no boxes
    strings: str | None  # the column with all boxes of an image in one cell
    others: list[str]  # columns without a known name


@dataclass(frozen=True)
class Sample:
    """A sample submission; every cell is text as it stands in the file."""

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]  # (line of the file, 1-based; as many cells as the header has)
    delimiter: str
    id_column: int  # index of the column of image ids

    @property
    def ids(self) -> dict[str, int]:
        """Map each image id, in the order of the file, to the line of its first row."""
        lines: dict[str, int] = {}
        for line, cells in self.rows:
            if cells[self.id_column].strip():
                lines.setdefault(cells[self.id_column], line)
        return lines

    @property
    def nameless(self) -> list[int]:
        """Lines without an image id."""
        return [line for line, cells in self.rows if not cells[self.id_column].strip()]

    def cells(self, column: str) -> list[str]:
        """Return the cells of a column that are not blank."""
        index = self.header.index(column)
        return [cells[index] for _, cells in self.rows if cells[index].strip()]

    @property
    def columns(self) -> Columns:
        """The columns by their names."""
        image = self.header[self.id_column]
        folded = {name: fold(name) for name in self.header if name != image}
        by_side: dict[str, str] = {}
        for name, text in folded.items():
            if text in SIDES:
                by_side.setdefault(SIDES[text], name)
        sides = next((form for form in (CORNERS, CORNER_AND_SIZE) if set(form) <= set(by_side)), ())

        def first(names: frozenset[str]) -> str | None:
            return next((name for name, text in folded.items() if text in names), None)

        strings = first(frozenset({"predictionstring", "predictions"}))
        label, score = first(LABEL_NAMES), first(SCORE_NAMES)
        box = {side: by_side[side] for side in sides}
        known = {label, score, strings, *box.values()}
        return Columns(image, label, score, box, strings, [name for name in folded if name not in known])


def fold(text: str) -> str:
    """Normalize a name for comparison: no case, spaces, underscores and hyphens, Unicode's composed form."""
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", text).casefold())


def is_sample(name: str) -> bool:
    """Whether a file is named like a sample submission: sample_submission.csv, SampleSubmission.csv, and so on."""
    stem, ending = os.path.splitext(name.lower())  # noqa: PTH122
    return ending == ".csv" and _NAME.search(re.sub(r"[^a-z0-9]", "", stem)) is not None


def find_sample(raw: Path, named: str | None = None) -> Path | None:
    """Find the sample submission in `raw` or any folder of it; None if there is none.

    Args:
        raw: folder of the task's files.
        named: audit.sample, its path below `raw`; None looks for the usual names.

    Raises:
        UsageError: there is no file of that name.
        DataError: there are several, and they differ.
    """
    if named is not None:
        if not (raw / named).is_file():
            raise UsageError(f"audit.sample: there is no file '{named}' in {raw}.")
        return raw / named
    paths = [path for path in raw.rglob("*.[cC][sS][vV]") if is_sample(path.name)]
    paths = [path for path in paths if not any(map(is_hidden, path.relative_to(raw).parts))]
    paths.sort(key=lambda path: (len(path.parts), path))
    if len({path.read_bytes() for path in paths}) > 1:
        names = " and ".join(path.relative_to(raw).as_posix() for path in paths)
        raise DataError(f"{raw} holds several sample submissions, {names}; name the right one in audit.sample.")
    return paths[0] if paths else None


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of every row that is not blank; raise csv.Error or UnicodeDecodeError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True, delimiter=delimiter)
        line = 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1


def read_sample(path: Path) -> Sample:
    """Read a sample submission.

    Raises:
        DataError: it is no CSV, has no rows, two equal columns, or a row with too many or few cells.
    """
    try:
        first = next(csv_rows(path), (0, [""]))[1]
        delimiter = next((char for char in ";\t" if len(first) == 1 and char in first[0]), ",")
        rows = list(csv_rows(path, delimiter))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"The sample {path} can't be read: {error}.") from error
    if len(rows) < 2:
        raise DataError(f"The sample {path} has no rows; give the competition's own sample submission.")
    header = rows[0][1]
    check_columns(header, f"The sample {path}")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise DataError(f"The sample {path}, row {line}: {len(cells)} cells under {len(header)} columns; mend it.")
    id_columns = [index for index, name in enumerate(header) if fold(name) in ID_NAMES]
    return Sample(path, header, rows[1:], delimiter, id_columns[0] if id_columns else 0)


@dataclass
class Matches:
    """Ids of a sample and the images that they mean."""

    images: dict[str, str] = field(default_factory=dict)  # image_id by sample id, where it means one image
    # image_ids by sample id, where it fits several equally well
    several: dict[str, list[str]] = field(default_factory=dict)


def match_ids(ids: Iterable[str], images: dict[str, str]) -> Matches:
    """Match ids to images: by the whole name, then without folder or ending, in any case, and last as a number.

    An id that fits several images equally well matches none; nor does one whose image another id fits better.

    Args:
        ids: distinct ids, as a sample spells them.
        images: path below the data set by image_id.
    """
    index = _Index(images)
    matches = Matches()
    levels: dict[str, int] = {}
    claims: dict[str, list[str]] = defaultdict(list)  # image_id -> sample ids
    for sample_id in ids:
        levels[sample_id], candidates = index.find(sample_id)
        if len(candidates) == 1:
            claims[next(iter(candidates))].append(sample_id)
        elif candidates:
            matches.several[sample_id] = sorted(candidates)
    images_of = {}
    for image_id, claimants in claims.items():
        least = min(levels[sample_id] for sample_id in claimants)
        best = [sample_id for sample_id in claimants if levels[sample_id] == least]
        if len(best) == 1:
            images_of[best[0]] = image_id
    matches.images = {sample_id: images_of[sample_id] for sample_id in levels if sample_id in images_of}
    return matches


def match_sample(sample: Sample, images: pd.DataFrame) -> tuple[Sample, Matches]:
    """Match a sample's ids; where its id column fits no image, use a column that fits most of them.

    Args:
        sample: the sample submission.
        images: columns image_id and path, of the test images.
    """
    paths = dict(zip(images["image_id"].astype(str), images["path"].fillna("").astype(str), strict=True))
    first = match_ids(sample.ids, paths)
    others = [replace(sample, id_column=index) for index in range(len(sample.header)) if index != sample.id_column]
    for other in others if not first.images else []:
        matches = match_ids(other.ids, paths)
        if len(other.ids) >= len(sample.ids) and 2 * len(matches.images) >= len(other.ids):
            return other, matches
    return sample, first


def without_ending(name: str) -> str:
    """Return the name without its ending, if that is an image's."""
    ending = PurePosixPath(name).suffix
    return name[: -len(ending)] if ending.lower() in IMAGE_ENDINGS else name


class _Index:
    """Images by every name that an id may have for them."""

    def __init__(self, images: dict[str, str]) -> None:
        self.exact = {image_id: {image_id} for image_id in images}
        self.names: dict[str, set[str]] = defaultdict(set)
        self.loose: dict[str, set[str]] = defaultdict(set)
        self.numbers: dict[str, set[str]] = defaultdict(set)
        for image_id, path in images.items():
            for text in {_normalize(image_id), _normalize(path)}:
                parts = text.split("/")
                for tail in ("/".join(parts[start:]) for start in range(len(parts))):
                    for key in {tail, without_ending(tail)} - {""}:
                        self.names[key].add(image_id)
                        self.loose[key.casefold()].add(image_id)
                if number := _number(text):
                    self.numbers[number].add(image_id)

    def find(self, text: str) -> tuple[int, set[str]]:
        """Return the level of the best name, 0 = exact, and the images that have it; none = an empty set."""
        whole = _normalize(text)
        last = whole.rpartition("/")[2]
        names = [whole, without_ending(whole), last, without_ending(last)]
        tries = [
            (self.exact, text),
            *((self.names, name) for name in names),
            *((self.loose, name.casefold()) for name in names),
            (self.numbers, _number(whole)),
        ]
        for level, (keys, key) in enumerate(tries):
            if key in keys:
                return level, keys[key]
        return len(tries), set()


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).replace("\\", "/").removeprefix("./")


def _number(text: str) -> str:
    """Return the file's name as a whole number without leading zeros; empty if it is none."""
    digits = without_ending(text.rpartition("/")[2])
    return str(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 4000 else ""
