"""Read the files that describe a YOLO data set: data.yaml, classes.txt, lists of images."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tropho.data.formats.image_files import subset_of
from tropho.data.formats.label_collector import files_below, read_lines
from tropho.errors import DataError
from tropho.files import yaml_fault
from tropho.images.file_types import is_image_name

NAME_FILES = frozenset({"classes.txt", "obj.names", "names.txt", "_darknet.labels", "predefined_classes.txt"})
"""Files, in lower case, that hold a class name a line; so do all that end in .names."""
SUBSET_KEYS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class YoloConfig:
    """The configuration files of a data set."""

    names: dict[int, str] = field(default_factory=dict)  # class name by number; empty where no file gives them
    file: str = ""  # the configuration file below data/raw/T; empty where there is none
    # folders, or lists of images, by subset (train | validation | test), as they are written
    entries: dict[str, list[str]] = field(default_factory=dict)
    root: str = ""  # `path` of data.yaml
    keypoints: int = 0  # numbers of keypoints behind the box of each row


def read_config(raw: Path) -> YoloConfig:
    """Read data.yaml (or another YAML file with `names` and `train`) and the class names; refuse contradictions."""
    contents = {path: _load_yaml(raw / path) for path in files_below(raw, ".yaml", ".yml")}
    paths = [path for path, content in contents.items() if "names" in content or {"train", "nc"} <= set(content)]
    top = min((len(path.parts) for path in paths), default=0)
    paths = [path for path in paths if len(path.parts) == top]
    if len(paths) > 1:
        raise DataError(f"{paths[0]} and {paths[1]} both describe the data set; remove one of them.")
    if not paths:
        return YoloConfig(_read_name_files(raw))
    content, file = contents[paths[0]], str(paths[0])
    entries: dict[str, list[str]] = {}
    for key, subset in SUBSET_KEYS.items():
        value = content.get(key)
        if value:
            entries.setdefault(subset, []).extend(map(str, value) if isinstance(value, list) else [str(value)])
    names = content.get("names")
    numbered = _number_names(names, file) if isinstance(names, list | dict) else _read_name_files(raw)
    shape = [int(part) for part in content.get("kpt_shape") or [] if str(part).isdigit()]
    keypoints = shape[0] * shape[1] if len(shape) == 2 else 0
    return YoloConfig(numbered, file, entries, str(content.get("path") or ""), keypoints)


def find_entry(raw: Path, config: YoloConfig, entry: str) -> Path | None:
    """Find the folder or list of an entry by the longest end of its path that exists; None if there is none."""
    parts = [part for part in re.split(r"[\\/]+", f"{config.root}/{entry}") if part not in {"", ".", ".."}]
    home = raw / PurePosixPath(config.file).parent
    subset_at = [place for place, part in enumerate(parts) if subset_of(part)]  # the folder train is never dropped
    for start in range(subset_at[-1] + 1 if subset_at else len(parts)):
        for base in (home, raw):
            path = base.joinpath(*parts[start:])
            if path.is_dir() or (path.is_file() and path.suffix == ".txt"):
                return path
    return home if not any(part not in {"", "."} for part in re.split(r"[\\/]+", entry)) else None


def is_image_list(path: Path) -> bool:
    """Whether a text file names an image a line."""
    lines = read_lines(path)
    return bool(lines) and is_image_name(lines[0])


def _load_yaml(path: Path) -> dict[str, Any]:
    """Load a YAML file with every value as text: a class may be called no or 007."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)  # noqa: S506 - makes only text
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid YAML: {yaml_fault(error)}.") from None
    return content if isinstance(content, dict) else {}


def _number_names(names: list[Any] | dict[str, Any], file: str) -> dict[int, str]:
    pairs = enumerate(names) if isinstance(names, list) else names.items()
    try:
        return {int(number): str(name) for number, name in pairs}
    except ValueError:
        raise DataError(f"{file}: the keys of 'names' must be class numbers 0, 1, ...") from None


def _read_name_files(raw: Path) -> dict[int, str]:
    paths = [path for path in files_below(raw) if path.name.lower() in NAME_FILES or path.suffix.lower() == ".names"]
    by_content = {tuple(read_lines(raw / path)): str(path) for path in paths}
    if len(by_content) > 1:
        first, second, *_ = sorted(by_content.values())
        raise DataError(f"{first} and {second} give different class names; remove the one that is wrong.")
    return dict(enumerate(next(iter(by_content), ())))
