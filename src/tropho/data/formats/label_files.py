"""Read data sets of one label file an image: match the files, and find the images of each subset."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.formats.image_files import (
    LABEL_WORDS,
    Match,
    NamedFiles,
    climb,
    subset_of_file,
    subset_of_path,
    unique_ids,
)
from tropho.data.formats.label_collector import SUBSETS, LabelCollector, read_lines
from tropho.errors import DataError

_FLAG = re.compile(r"\s+-?[01]$")  # behind a name in VOC's lists of one class: whether the class is in the image


class LabelFileReader(LabelCollector):
    """Match label files and images, and list the images of each subset; for YOLO, KITTI and VOC."""

    def __init__(self, settings: TaskConfig, raw: Path) -> None:
        super().__init__(raw)
        self.given = {"test": settings.audit.test, "train": settings.audit.train}
        self.files = NamedFiles([])
        self.file_of: dict[str, str] = {}  # label file by path of the image
        self.disputed: set[str] = set()  # images that may be meant by a label file, or have two

    def match_files(self, files: Iterable[str], stated_name: Callable[[str], str] | None = None) -> None:
        """Find the image of each label file (a path below the data set); log files without one and ambiguous names.

        `stated_name` reads the image's name in a label file; it counts where the file's own name fits no single image.
        Of several files of one image that in a folder for labels counts, then the nearest.
        """
        self.files = NamedFiles(files)
        files_of: dict[str, list[str]] = defaultdict(list)
        for file in self.files.paths:
            path = PurePosixPath(file)
            place = str(path.parent), subset_of_path(file)
            match = self.on_disk.find(path.stem, *place)
            if not match.found and stated_name and (name := stated_name(file)):
                stated = self.on_disk.find(name, *place)
                match = stated if stated.found else match
            if match.found:
                files_of[match.path].append(file)
            elif match.ambiguous:
                self.disputed.update(match.candidates)
                self.log.add("ambiguous_name", "quarantined", match.detail(path.stem), None, file)
            elif path.suffix != ".txt" or _is_in_label_folder(path):  # other texts are no labels
                self.log.add("no_image_file", "quarantined", "No image belongs to this label file.", None, file)
        for image, own in files_of.items():
            self._choose(image, own)

    def _choose(self, image: str, files: list[str]) -> None:
        """Choose the label file of an image; log the others."""

        def rank(file: str) -> tuple[bool, int]:
            path = PurePosixPath(file)
            return not _is_in_label_folder(path), climb(str(path.parent), image)

        first, *others = sorted(files, key=rank)
        if others and rank(first) == rank(others[0]):
            self.disputed.add(image)
            detail = f"{first} and {others[0]} are both labels of {image}; neither is used."
            self.log.add("ambiguous_name", "quarantined", detail, None, first)
            return
        self.file_of[image] = first
        for file in others:
            detail = f"{image} has its labels from {first}; those of this file are not used."
            self.log.add("repeated_image", "dropped", detail, None, file)

    def add_images(self, configured: Mapping[str, list[Path]]) -> None:
        """Add the images that the settings name, or else `configured`, or else folders called as a subset.

        `configured` are folders and lists of images by subset, as the format's own files name them. An image of several
        subsets belongs to the first of SUBSETS. A DataError says that none is for training.
        """
        named = self._named(configured)
        both = set(named["validation"])
        if both and both <= set(named["train"]):  # a list of both, as trainval.txt is
            named["train"] = [path for path in named["train"] if path not in both]
            if not named["train"]:
                named["train"], named["validation"] = named["validation"], []
                self.notes.append("train and val name the same images; they are used for training alone.")
        if not named["train"] and not named["validation"]:
            raise DataError(f"{self.raw} names no training images; name their folder or list in audit.train.")
        ids = unique_ids(path for paths in named.values() for path in paths)
        for subset, paths in named.items():
            for path in paths:
                self.add_image(ids[path], path, subset, path)
        if self.given["test"] is None and not named["test"]:
            self.add_unnamed_tests()

    def _named(self, configured: Mapping[str, list[Path]]) -> dict[str, list[str]]:
        """List the paths of the images by subset, from the first source that names them."""
        named: dict[str, list[str]] = {subset: [] for subset in SUBSETS}
        for key, entries in self.given.items():
            for entry in entries or []:
                path = self.find_entry(f"audit.{key}", entry)
                is_validation = key == "train" and subset_of_file(path) == "validation"
                named["validation" if is_validation else key] += self._images_of(self.raw / path, key)
        open_subsets = [subset for subset in SUBSETS if self.given.get(subset, self.given["train"]) is None]
        for subset in open_subsets:
            for folder_or_list in configured.get(subset, []):
                named[subset] += self._images_of(folder_or_list, subset)
        if self.given["train"] is not None or configured.get("train") or configured.get("validation"):
            return named
        taken = set(named["test"])
        paths = [path for path in self.on_disk.paths if path not in taken]
        own = {path: subset_of_path(path) for path in paths}
        subsets = {path: own[path] or subset_of_path(self.file_of.get(path, "")) for path in paths}
        by_label = {subsets[path] for path in paths if not own[path]} - {""}
        default = "" if "train" in own.values() or len(by_label) > 1 else "train"
        for path, subset in subsets.items():
            if (subset or default) in open_subsets and not (taken and subset == "test"):
                named[subset or default].append(path)
        return named

    def labelled(self, empty_without: bool = False) -> Iterator[tuple[dict[str, Any], str]]:
        """Yield each image's entry with its label file; mark those without one as unlabelled.

        With `empty_without`, an image without a file has no objects, if others of its subset have files.
        """
        counts = Counter(entry["subset"] for path, entry in self.images.items() if path in self.file_of)
        n_empty = 0
        for path, entry in self.images.items():
            n_labelled = counts[entry["subset"]]
            if path in self.file_of:
                yield entry, self.file_of[path]
            elif not empty_without or path in self.disputed or not n_labelled:
                if n_labelled or entry["subset"] != "test":
                    self.mark_unlabelled(entry, "It has no label file of its own.", "no_label_file", path)
            elif path in self.on_disk:
                n_empty += 1
                detail = "It has no label file, so it is read as an image without objects."
                self.log.add("no_label_file", "listed", detail, entry["image_id"], path)
        if n_empty:
            self.notes.append(f"Images without a label file, which are read as images without objects: {n_empty:,}.")

    def add_rows(
        self,
        entry: dict[str, Any],
        file: str,
        rows: Iterable[tuple[int | None, Any]],
        parse: Callable[[Any], dict[str, Any]],
    ) -> None:
        """Add the boxes of a label file to an image, which is unlabelled if no row can be used.

        `rows` are the line and the content of each object; `parse` gives label and corners of one in pixels, or raises
        ValueError with the reason.
        """
        n_boxes, n_bad = len(self.boxes), 0
        for line, row in rows:
            place = {"image_id": entry["image_id"], "file": file, "row": line}
            try:
                self.boxes.append({**place, **parse(row)})
            except ValueError as error:
                n_bad += 1
                self.log.add("bad_row", "quarantined", f"{error}.", **place)
        if n_bad and len(self.boxes) == n_boxes:
            self.mark_unlabelled(entry, "None of its rows can be used.", file=file)

    def add_text_rows(self, entry: dict[str, Any], file: str, parse: Callable[[list[str]], dict[str, Any]]) -> None:
        """Add the boxes of a text file with one object a line, as `add_rows` does; `parse` takes a line's words."""
        try:
            lines = (self.raw / file).read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            self.mark_unlabelled(entry, "The label file is not text in UTF-8.", "bad_annotation", file)
            return
        rows = ((line, text.split()) for line, text in enumerate(lines, start=1) if text.strip())
        self.add_rows(entry, file, rows, parse)

    def _images_of(self, path: Path, subset: str) -> list[str]:
        """Return the paths of the images in a folder, or of those that a list names."""
        below = path.relative_to(self.raw).as_posix()
        if path.is_dir():
            return [image for image in self.on_disk.paths if below == "." or image.startswith(f"{below}/")]
        matches = [
            self._find_listed(line, str(PurePosixPath(below).parent), subset, below) for line in read_lines(path)
        ]
        return [match.path for match in matches if not match.ambiguous]

    def _find_listed(self, line: str, folder: str, subset: str, file: str) -> Match:
        """Find the image that a line of a list names, by its own name or by that of its label file."""
        match = self.on_disk.find(line, folder, subset)
        if not match.candidates:
            line = _FLAG.sub("", line)
            match = self.on_disk.find(line, folder, subset)
        if not match.found:
            label_file = self.files.find(line, folder).path
            image = next((path for path, own in self.file_of.items() if own == label_file), None)
            match = Match(image, (image,)) if image else match
        if match.ambiguous:
            self.log.add("ambiguous_name", "quarantined", match.detail(line), line, file)
        return match


def _is_in_label_folder(path: PurePosixPath) -> bool:
    return any(part.lower() in LABEL_WORDS for part in path.parent.parts)
