"""What a YOLO data set says of itself: data.yaml, darknet's obj.data, classes.txt, lists of images."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tropho.data.formats.image_files import subset_of
from tropho.data.formats.labels import files_below
from tropho.errors import DataError
from tropho.images.file_types import is_image_name

NAME_FILES = frozenset({"classes.txt", "obj.names", "names.txt", "_darknet.labels", "predefined_classes.txt"})
"""Files, in lower case, that hold a class name a line; so do all that end in .names."""
SUBSET_KEYS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class YoloConfig:
    """What configuration files say.

    Attributes:
        names: class name by number; empty where no file gives them.
        file: the configuration file below data/raw/T; empty where there is none.
        entries: folders, or lists of images, by subset (train | validation | test), as they are written.
        root: what `path` in data.yaml says.
        keypoints: numbers of keypoints behind the box of each row.
    """

    names: dict[int, str] = field(default_factory=dict)
    file: str = ""
    entries: dict[str, list[str]] = field(default_factory=dict)
    root: str = ""
    keypoints: int = 0


def read_config(raw: Path) -> YoloConfig:
    """Read data.yaml (or another YAML file with `names` and `train`), or darknet's .data file, and the class names.

    Raises:
        DataError: a file can't be read, or two of them contradict each other.
    """
    found = [*_yaml_files(raw), *files_below(raw, "*.data")]
    top = min((len(path.parts) for path in found), default=0)
    nearest = [path for path in found if len(path.parts) == top]
    if len(nearest) > 1:
        which = " and ".join(path.relative_to(raw).as_posix() for path in nearest[:2])
        raise DataError(f"{which} both describe the data set; remove one of them.")
    if not nearest:
        return YoloConfig(_names_of_files(raw))
    path = nearest[0]
    content = _load(path) if path.suffix != ".data" else _key_values(path)
    file = path.relative_to(raw).as_posix()
    entries: dict[str, list[str]] = {}
    for key, subset in SUBSET_KEYS.items():
        value = content.get(key)
        if value:
            entries.setdefault(subset, []).extend(map(str, value) if isinstance(value, list) else [str(value)])
    names = content.get("names")
    numbered = _numbered(names, file) if isinstance(names, list | dict) else _names_of_files(raw)
    points = [int(each) for each in content.get("kpt_shape") or [] if str(each).isdigit()]
    keypoints = points[0] * points[1] if len(points) == 2 else 0
    return YoloConfig(numbered, file, entries, str(content.get("path") or ""), keypoints)


def find_entry(raw: Path, config: YoloConfig, entry: str) -> Path | None:
    """The folder or list that an entry means, though its front may be of another machine; None if there is none.

    Of all that the end of its path could mean below the configuration's folder or the top, the longest end counts.
    """
    parts = [part for part in re.split(r"[\\/]+", f"{config.root}/{entry}") if part not in {"", ".", ".."}]
    home = raw / PurePosixPath(config.file).parent
    telling = [place for place, part in enumerate(parts) if subset_of(part)]  # the folder train is never dropped
    for start in range(telling[-1] + 1 if telling else len(parts)):
        for base in (home, raw):
            path = base.joinpath(*parts[start:])
            if path.is_dir() or (path.is_file() and path.suffix == ".txt"):
                return path
    return home if not any(part not in {"", "."} for part in re.split(r"[\\/]+", entry)) else None


def is_image_list(path: Path) -> bool:
    """Whether a text file names an image a line."""
    lines = read_lines(path)
    return bool(lines) and is_image_name(lines[0])


def read_lines(path: Path) -> list[str]:
    """Lines of a text file that are not blank, stripped; raise DataError if it is not UTF-8."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it as UTF-8.") from None


def _yaml_files(raw: Path) -> list[Path]:
    found = []
    for path in files_below(raw, "*.[yY]*[mM][lL]"):
        if path.suffix.lower() in {".yaml", ".yml"}:
            content = _load(path)
            if "names" in content or ("train" in content and "nc" in content):
                found.append(path)
    return found


def _load(path: Path) -> dict[str, Any]:
    """A YAML file with every value as text: a class may be called no or 007."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)  # noqa: S506 - makes only text
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    return content if isinstance(content, dict) else {}


def _key_values(path: Path) -> dict[str, Any]:
    pairs = (line.partition("=") for line in read_lines(path) if "=" in line)
    content: dict[str, Any] = {key.strip(): value.strip() for key, _, value in pairs}
    content.pop("names", None)  # the path of a file, which is found by its name
    return content


def _numbered(names: list[Any] | dict[str, Any], file: str) -> dict[int, str]:
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(names)}
    try:
        return {int(number): str(name) for number, name in names.items()}
    except ValueError:
        raise DataError(f"{file}: the keys of 'names' must be class numbers 0, 1, ...") from None


def _names_of_files(raw: Path) -> dict[int, str]:
    found = [path for path in files_below(raw) if path.name.lower() in NAME_FILES or path.suffix.lower() == ".names"]
    contents = {path.relative_to(raw).as_posix(): read_lines(path) for path in found}
    different = {tuple(lines): name for name, lines in contents.items()}
    if len(different) > 1:
        one, other, *_ = sorted(different.values())
        raise DataError(f"{one} and {other} give different class names; remove the one that is wrong.")
    return dict(enumerate(next(iter(different), ())))
