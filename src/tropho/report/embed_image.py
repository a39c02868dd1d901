"""Images of the page with their captions: charts as they are, photos as JPEG."""

import base64
import logging
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tropho.report.reader import texts

LOG = logging.getLogger(__name__)

MAX_WIDTH = 1600  # pixels
SCREEN_DPI = 96.0
HALF_PAGE = 518.0  # pixels


@dataclass(frozen=True)
class Picture:
    """Image: content of the file, size on the page in pixels, alternative text, caption, chart or photo."""

    data: bytes
    width: int
    height: int
    alt: str
    caption: str
    chart: bool

    @property
    def suffix(self) -> str:
        """Ending of its file."""
        return ".png" if self.chart else ".jpg"

    @property
    def src(self) -> str:
        """The image as a `data:` address."""
        return f"data:image/{'png' if self.chart else 'jpeg'};base64,{base64.b64encode(self.data).decode('ascii')}"


def embed_image(source: Path | bytes, caption: str, alt: str) -> Picture | None:
    """Embed an image file or its bytes; None and a log line if it can't be read.

    What Matplotlib drew is a chart and kept as it is; a photo becomes a JPEG of at most 1600 pixels in width.
    """
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
        with Image.open(BytesIO(data)) as file:
            chart = str(file.info.get("Software", "")).startswith("Matplotlib")
            dpi = float(file.info.get("dpi", (SCREEN_DPI,))[0]) or SCREEN_DPI
            image = (ImageOps.exif_transpose(file) or file).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        LOG.warning("An image is left out of the report: %s", error)
        return None
    if not chart:
        return _photo(image, caption, alt)
    width = image.width * SCREEN_DPI / dpi  # its size in inches, so that letters are equally large in all charts
    if HALF_PAGE < width <= 1.3 * HALF_PAGE:  # two such charts fit side by side
        width = HALF_PAGE
    return Picture(data, round(width), round(image.height * width / image.width), alt, caption, chart=True)


def embed_array(image: np.ndarray, caption: str, alt: str) -> Picture:
    """Embed an image (h, w, 3) uint8 RGB as JPEG."""
    return _photo(Image.fromarray(np.ascontiguousarray(image)), caption, alt)


def _photo(image: Image.Image, caption: str, alt: str) -> Picture:
    image.thumbnail((MAX_WIDTH, image.height), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=84, optimize=True, progressive=True)
    return Picture(stream.getvalue(), *image.size, alt, caption, chart=False)


def caption(path: Path) -> tuple[str, str]:
    """Give the caption and the alternative text of a figure file, made from its name if it is unknown."""
    if known := texts("captions").get(path.stem):
        return known[0], known[1]
    words = path.stem.replace("_", " ").replace("-", " ").strip().capitalize() or "Figure"
    return words, f"Figure: {words}"
