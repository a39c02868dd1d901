"""Which text file holds the labels of which image of a YOLO data set."""

from collections import defaultdict
from pathlib import PurePosixPath

from tropho.data.formats.image_files import NamedFiles
from tropho.data.formats.labels import IssueLog


class LabelFiles:
    """The label files of a data set's images.

    Args:
        images: subset by path of the image.
        texts: paths of the text files that may hold labels.
        log: gets an issue for each name that is ambiguous and each label file that belongs to no image.

    Attributes:
        of: path of the label file by path of the image.
        disputed: images whose label file can't be told; they are not without objects.
    """

    def __init__(self, images: dict[str, str], texts: set[str], log: IssueLog) -> None:
        self.disputed: set[str] = set()
        claims: dict[str, list[str]] = defaultdict(list)
        for path in images:
            file = next((each for each in _usual_places(path) if each in texts), None)
            if file:
                claims[file].append(path)
        done = {path for paths in claims.values() for path in paths}
        self._search([path for path in images if path not in done], images, texts, claims, log)
        self.of: dict[str, str] = {}
        for file, paths in claims.items():
            if len(paths) == 1:
                self.of[paths[0]] = file
                continue
            self.disputed.update(paths)
            detail = f"{paths[0]} and {paths[1]} have this label file in common; it is used for neither."
            log.add("ambiguous_name", "quarantined", detail, None, file)
        for file in sorted(texts - set(claims)):
            if "labels" in PurePosixPath(file).parts:
                log.add("no_image_file", "quarantined", "No image belongs to this label file.", None, file)

    def _search(
        self, rest: list[str], images: dict[str, str], texts: set[str], claims: dict[str, list[str]], log: IssueLog
    ) -> None:
        """Look for label files in other places, among those that no image has in its usual place."""
        free = NamedFiles(texts - set(claims))
        for path in rest:
            place = PurePosixPath(path)
            name = f"{place.stem}.txt"
            match = free.find(name, str(place.parent), images[path])
            if match.ambiguous:
                self.disputed.add(path)
                log.add("ambiguous_name", "quarantined", match.detail(name), None, path)
            elif match.found:
                claims[match.path].append(path)


def _usual_places(path: str) -> list[str]:
    """Where YOLO's tools keep the labels of an image: labels/ in the place of the last images/, or beside it."""
    parts = list(PurePosixPath(path).with_suffix(".txt").parts)
    beside = "/".join(parts)
    places = [place for place, part in enumerate(parts[:-1]) if part.lower() == "images"]
    if places:
        parts[places[-1]] = "labels"
    return ["/".join(parts), beside]
