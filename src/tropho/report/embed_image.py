"""Embed images in the page: charts as small PNG, photos as JPEG."""

import base64
import logging
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

LOG = logging.getLogger(__name__)

MAX_WIDTH = 1600  # pixels
SCREEN_DPI = 96.0
HALF_PAGE = 518.0  # pixels


@dataclass(frozen=True)
class Picture:
    """Embedded image: `data:` address, size on the page in pixels, alternative text, caption, chart or photo."""

    src: str
    width: int
    height: int
    alt: str
    caption: str
    chart: bool


def embed_image(source: Path | bytes, caption: str, alt: str) -> Picture | None:
    """Encode an image file, or its bytes, at most 1600 pixels wide; None and a log line if it can't be read.

    What Matplotlib drew is a chart.
    """
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as file:
            chart = str(file.info.get("Software", "")).startswith("Matplotlib")
            dpi = float(file.info.get("dpi", (SCREEN_DPI,))[0]) or SCREEN_DPI
            layers = file.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        LOG.warning("An image is left out of the report: %s", error)
        return None
    image = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    width, height = _size_on_page(image, dpi) if chart else (0, 0)
    if image.width > MAX_WIDTH:
        image = image.resize(
            (MAX_WIDTH, max(1, round(image.height * MAX_WIDTH / image.width))), Image.Resampling.LANCZOS
        )
    stream = BytesIO()
    if chart:
        image.quantize(128, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    else:
        width, height = image.size
        image.save(stream, "JPEG", quality=84, optimize=True, progressive=True)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(f"data:image/{'png' if chart else 'jpeg'};base64,{data}", width, height, alt, caption, chart)


def _size_on_page(image: Image.Image, dpi: float) -> tuple[int, int]:
    """Size of a chart in inches, as pixels, so that letters are equally large in all charts.

    A chart slightly wider than half the page is shrunk to half the page, so that two stand side by side.
    """
    width = image.width * SCREEN_DPI / dpi
    if HALF_PAGE < width <= 1.3 * HALF_PAGE:
        width = HALF_PAGE
    return round(width), round(image.height * width / image.width)
