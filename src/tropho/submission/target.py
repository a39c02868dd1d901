"""The competition's sample, the images that its ids mean, and the layout that follows from it."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json
from tropho.images.decode import image_orientation
from tropho.images.file_types import IMAGE_ENDINGS
from tropho.orientation import STORED, SYMMETRIES, turn_boxes
from tropho.paths import Paths
from tropho.submission.layout import Layout, Row
from tropho.submission.sample_file import Sample, find_sample, read_sample
from tropho.submission.sample_layout import layout_of
from tropho.tables import BOX, IMAGES, read_table


@dataclass
class Matches:
    """Ids of a sample and the images that they mean."""

    images: dict[str, str] = field(default_factory=dict)  # image_id by sample id, where it means one image
    # image_ids by sample id, where it fits several equally well
    several: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """The competition's sample, if there is one, its matches and the layout."""

    sample: Sample | None
    matches: Matches
    layout: Layout

    @property
    def followed(self) -> Sample | None:
        """The sample, where the layout is its own."""
        return None if self.layout.problem else self.sample

    def rows(self, image_ids: list[str]) -> list[Row]:
        """Return the images to submit: the sample's in its order, or else `image_ids`."""
        if self.followed is None:
            return [Row(image_id, image_id, {}) for image_id in image_ids]
        return rows_of(self.followed, self.matches.images)

    def rows_of_files(self, names: list[str]) -> list[Row]:
        """Return rows for image files, named as in the sample; others lose their ending if its ids have none."""
        sample_ids = [] if self.followed is None else list(self.followed.ids)
        known = {image_id: name for name, image_id in match_ids(sample_ids, dict.fromkeys(names, "")).images.items()}
        is_bare = bool(sample_ids) and not any(without_ending(name) != name for name in sample_ids)
        short = {name: without_ending(name) if is_bare else name for name in names}
        is_unique = len(set(short.values())) == len(short)
        return [Row(known.get(name) or (short[name] if is_unique else name), name, {}) for name in names]

    def sizes(self, images: pd.DataFrame) -> pd.DataFrame:
        """Return the columns image_id (as the sample names it), width and height of the sample's images."""
        ids = {image_id: sample_id for sample_id, image_id in self.matches.images.items()}
        named = images.assign(image_id=images["image_id"].map(ids))
        return named.loc[named["image_id"].notna(), ["image_id", "width", "height"]]


def target_of(paths: Paths, settings: TaskConfig, classes: list[str]) -> Target:
    """Find the task's sample submission in its raw files; without one the layout is Tropho's own."""
    path = find_sample(paths.raw, settings.audit.sample) if paths.raw.is_dir() else None
    summary, table = paths.audit / "summary.json", paths.audit / "images.csv"
    columns = read_json(summary).get("columns") if summary.exists() else None
    sample, matches = None if path is None else read_sample(path), Matches()
    if sample is not None and table.exists():
        images = read_table(table, IMAGES)
        sample, matches = match_sample(sample, images.loc[images["subset"] == "test", ["image_id", "path"]])
    return Target(sample, matches, layout_of(sample, settings, classes, columns))


def audited_labels(sample: Path, root: Path) -> list[str]:
    """Return the labels that the audit expects in submissions by this sample; none outside data/raw/TASK."""
    folder = (root / "data" / "raw").resolve()
    path = sample.resolve()
    if not path.is_relative_to(folder) or path.parent == folder:
        return []
    summary = Paths(root, path.relative_to(folder).parts[0]).audit / "summary.json"
    return list((read_json(summary).get("sample") or {}).get("labels", [])) if summary.exists() else []


def rows_of(sample: Sample, image_ids: dict[str, str]) -> list[Row]:
    """Return the images of a sample in its order; `image_ids` maps the ids that mean one to its image_id."""
    first: dict[str, list[str]] = {}
    for _, cells in sample.rows:
        first.setdefault(cells[sample.id_column], cells)
    return [Row(name, image_ids.get(name), dict(zip(sample.header, first[name], strict=True))) for name in sample.ids]


def match_ids(ids: Iterable[str], images: dict[str, str]) -> Matches:
    """Match ids to images: by the whole name, then without folder or ending, in any case, and last as a number.

    An id that fits several images equally well matches none; nor does one whose image another id fits better.

    Args:
        ids: distinct ids, as a sample spells them.
        images: path below the data set by image_id.
    """
    images_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for image_id, path in images.items():
        for name in _names_of_image(image_id, path):
            images_of[name].add(image_id)
    matches = Matches()
    claims: dict[str, tuple[int, str]] = {}  # level of the match, 0 = exact, and image_id, by sample id
    for sample_id in ids:
        found = ((level, images_of[name]) for level, name in enumerate(_names_of_id(sample_id)) if name in images_of)
        level, candidates = next(found, (0, set()))
        if len(candidates) == 1:
            claims[sample_id] = level, next(iter(candidates))
        elif candidates:
            matches.several[sample_id] = sorted(candidates)
    best: dict[str, int] = {}
    for level, image_id in claims.values():
        best[image_id] = min(level, best.get(image_id, level))
    counts = Counter((level, image_id) for level, image_id in claims.values() if level == best[image_id])
    matches.images = {sample_id: claim[1] for sample_id, claim in claims.items() if counts[claim] == 1}
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


def _names_of_id(text: str) -> list[tuple[str, str]]:
    """List (kind, name) of what an id may mean, the best first."""
    whole = _normalize(text)
    last = whole.rpartition("/")[2]
    names = [whole, without_ending(whole), last, without_ending(last)]
    loose = [("loose", name.casefold()) for name in names]
    return [("exact", text), *(("name", name) for name in names), *loose, ("number", _number(whole))]


def _names_of_image(image_id: str, path: str) -> set[tuple[str, str]]:
    """Return (kind, name) of everything that an id may call an image."""
    names = {("exact", image_id)}
    for text in (_normalize(image_id), _normalize(path)):
        parts = text.split("/")
        for tail in ("/".join(parts[start:]) for start in range(len(parts))):
            for name in {tail, without_ending(tail)} - {""}:
                names |= {("name", name), ("loose", name.casefold())}
        if number := _number(text):
            names.add(("number", number))
    return names


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).replace("\\", "/").removeprefix("./")


def _number(text: str) -> str:
    """Return the file's name as a whole number without leading zeros; empty if it is none."""
    digits = without_ending(text.rpartition("/")[2])
    return str(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 4000 else ""


def to_stored_frame(table: pd.DataFrame, images: pd.DataFrame, raw: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn boxes of photos that EXIF turns to the pixels as stored, as the training labels have them.

    Args:
        table: image_id and tables.BOX, pixels of the upright image; a box without area stays as it is.
        images: tables.IMAGES.
        raw: folder that the images' paths start from.

    Returns: both tables, `images` with the stored sizes.
    """
    table, images = table.copy(), images.copy()
    with_area = (table["xmax"] > table["xmin"]) & (table["ymax"] > table["ymin"])
    needed = images["width"].notna() & images["image_id"].isin(table["image_id"])
    for row, image in images[needed].iterrows():
        try:
            turn = STORED[image_orientation(raw / image["path"])]
        except DataError:  # nothing was predicted for it
            continue
        mask = with_area & (table["image_id"] == image["image_id"])
        size = (int(image["width"]), int(image["height"]))
        if mask.any() and turn != "identity":
            table.loc[mask, BOX] = turn_boxes(table.loc[mask, BOX].to_numpy("float64"), turn, *size)
        if SYMMETRIES[turn][0]:
            images.loc[row, ["width", "height"]] = size[::-1]
    return table, images
