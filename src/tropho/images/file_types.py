"""Names of image files, and of files that systems leave in folders."""

from pathlib import PurePosixPath

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
