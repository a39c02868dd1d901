"""Names of image files, and of files that systems leave in folders; the files below a folder."""

import os
from pathlib import Path, PurePosixPath

FORMATS_BY_ENDING = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), frozenset({"JPEG", "MPO"})),  # MPO: JPEGs of some phones
    ".mpo": frozenset({"MPO", "JPEG"}),
    **dict.fromkeys((".png", ".apng"), frozenset({"PNG"})),
    **dict.fromkeys((".bmp", ".dib"), frozenset({"BMP", "DIB"})),
    **dict.fromkeys((".tif", ".tiff"), frozenset({"TIFF"})),
    ".webp": frozenset({"WEBP"}),
    ".gif": frozenset({"GIF"}),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), frozenset({"PPM"})),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), frozenset({"JPEG2000"})),
}
"""File name endings in lower case -> Pillow's names of the formats that such a file may hold."""

IMAGE_ENDINGS = frozenset(FORMATS_BY_ENDING)

_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir", "icon\r"})
"""Names in lower case, beside all those that begin with a dot."""


def ending_of(path: str) -> str:
    """Return the file name's ending in lower case with its dot, or ""."""
    return PurePosixPath(path).suffix.lower()


def is_image_name(path: str) -> bool:
    """Tell whether the name has an image's ending, in any case."""
    return ending_of(path) in IMAGE_ENDINGS


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is no part of a data set (.DS_Store, Thumbs.db, __MACOSX, ._a.png)."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def walk(raw: Path) -> tuple[list[str], list[str]]:
    """List the files below `raw`, sorted, and the folders, as posix paths, without hidden ones.

    Links are followed, but for those to a folder above, which would be walked for ever.
    """
    files, all_folders = [], []
    above = {raw: [raw.resolve()]}  # the folders that a folder is in, and itself
    for here, folders, names in os.walk(raw, onerror=_fail, followlinks=True):
        folder = Path(here)
        below, outer = folder.relative_to(raw), above.pop(folder)
        real = {name: (folder / name).resolve() for name in sorted(folders) if not is_hidden(name)}
        folders[:] = [name for name in real if real[name] not in outer]
        above |= {folder / name: [*outer, real[name]] for name in folders}
        all_folders += [(below / name).as_posix() for name in folders]
        files += [(below / name).as_posix() for name in names if not is_hidden(name)]
    return sorted(files), all_folders


def _fail(error: OSError) -> None:
    raise error
