"""Images inside the page: charts as small PNG, photos as JPEG, and a bound on what they weigh together."""

import base64
import logging
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tropho.report.blocks import Picture

LOG = logging.getLogger(__name__)

BUDGET = 7_500_000
LARGEST = 1_200_000
CHART_SHARE = 0.35
CHART_COLOURS = 2500  # of 25600 pixels looked at
SCREEN = 96.0  # pixels an inch on a web page
HALF_PAGE = 518.0  # pixels
STEPS = ((1600, 84), (1200, 78), (900, 72), (600, 66))


class ImageEmbedder:
    """Encodes images as `data:` addresses until `budget` bytes of page are used up."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget

    def add(self, source: Path | bytes, caption: str, alt: str) -> Picture | None:
        """Embed an image file or its bytes; None, and a line in the log, if it can't be read or won't fit.

        An image that would be too heavy is made smaller in steps, down to 600 pixels wide.
        """
        try:
            with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as file:
                image, software = _on_white(file), str(file.info.get("Software", ""))
                density = float(file.info.get("dpi", (SCREEN,))[0]) or SCREEN
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            LOG.warning("An image is left out of the report: %s", error)
            return None
        chart = _is_chart(image, software)
        for width, quality in STEPS:
            smaller = _at_most(image, width)
            data, kind = (_png(smaller), "png") if chart else (_jpeg(smaller, quality), "jpeg")
            weight = len(data) * 4 // 3 + 4
            if weight <= min(self.left, LARGEST):
                self.left -= weight
                src = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
                shown = _shown(image, density) if chart else smaller.size
                return Picture(src, *shown, alt, caption, chart)
        LOG.warning("An image is left out of the report, which would be too heavy with it: %s", caption)
        return None


def _shown(image: Image.Image, density: float) -> tuple[int, int]:
    """Width and height on the page that give a chart its size in inches, so that letters are alike in all charts.

    A chart that is a little wider than half the page is made half a page wide, so that it stands beside another.
    """
    width = image.width * SCREEN / density
    if HALF_PAGE < width <= 1.3 * HALF_PAGE:
        width = HALF_PAGE
    return round(width), round(image.height * width / image.width)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in {"RGBA", "LA", "P"}:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image.convert("RGB")


def _is_chart(image: Image.Image, software: str) -> bool:
    """Whether an image is drawn, not photographed: few colours on bright paper, much of it bare or Matplotlib's."""
    pixels = np.asarray(image.resize((160, 160), Image.Resampling.NEAREST)).reshape(-1, 3)
    paper = pixels[0]
    colours = len(np.unique(pixels.astype(np.int64) @ (65536, 256, 1)))
    same = float((pixels == paper).all(axis=1).mean())
    drawn = same > CHART_SHARE or software.startswith("Matplotlib")
    return bool(paper.min() >= 230 and colours < CHART_COLOURS and drawn)


def _at_most(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
    return buffer.getvalue()
