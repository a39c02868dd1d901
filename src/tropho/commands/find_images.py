"""Find image files by names, folders and patterns."""

import glob
from collections.abc import Iterable
from pathlib import Path

from tropho.errors import UsageError
from tropho.images.file_types import is_hidden, is_image_name


def find_images(places: Iterable[Path]) -> list[Path]:
    """List image files in the order of `places`, each once.

    Args:
        places: files, taken whatever their ending; folders, whose images are taken with those of folders in them; or
            patterns such as `photos/*.jpg`, in which `**` stands for any folders.

    Raises:
        UsageError: a folder or pattern holds no image.
    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            files = _images_in(place)
        elif not place.exists() and glob.has_magic(str(place)):
            matches = [Path(name) for name in sorted(glob.glob(str(place), recursive=True))]  # noqa: PTH207 - a pattern may be absolute
            files = [file for each in matches for file in (_images_in(each) if each.is_dir() else [each])]
        else:
            files = [place]
        if not files:
            what = "folder" if place.is_dir() else "pattern"
            raise UsageError(f"The {what} {place} has no image file, such as a .jpg or .png.")
        found.update(dict.fromkeys(files))
    return list(found)


def _images_in(folder: Path) -> list[Path]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [
        folder / path
        for path in sorted(files)
        if is_image_name(path.name) and not any(is_hidden(part) for part in path.parts)
    ]
