"""Images of the page with their captions: charts as they are, photos as JPEG."""

import base64
import logging
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

LOG = logging.getLogger(__name__)

MAX_WIDTH = 1600  # pixels
SCREEN_DPI = 96.0
HALF_PAGE = 518.0  # pixels
CAPTIONS = {
    "class_counts": ("Labels by class", "Bars of counts by class."),
    "objects_per_image": ("Objects in an image", "A histogram of the number of boxes in an image."),
    "image_sizes": ("Image sizes", "Width and height of the images, in pixels."),
    "box_sizes": ("Sizes of the boxes", "Histograms of the square root of the boxes' area, by class."),
    "same_slide_distances": ("Distances of image pairs, and the threshold for one slide", "Two histograms and a line."),
    "same_slide_groups": ("Groups that count as slides: check that each row is one slide", "Rows of images."),
    "issues": ("Issues of the data, by kind", "Bars of counts by kind of issue."),
    "duplicates": ("Repeated images", "Pairs of images that show the same."),
    "previews": ("Images as resized (left) and augmented (right)", "A sheet of image pairs."),
    "history": ("Score of each trial", "Trial scores in order, and the best so far."),
    "settings": ("Score over each searched setting", "Scatter plots of the trials, one a setting."),
    "importance": ("Which settings matter", "Bars of the importance of each searched setting."),
    "learning_curves": (
        "Learning curves; the best epoch is marked",
        "Training and validation loss, score and learning rate of each fold by epoch.",
    ),
    "layer_stats": (
        "Statistics of each layer",
        "Gradient norms, output deviations and inactive units at three epochs.",
    ),
    "cv_vs_leaderboard": ("Leaderboard against cross-validation", "Public scores over cross-validated ones."),
    "confusion": ("Confusion matrix: counts and shares of each true class", "True classes (rows) by predicted ones."),
    "per_class": ("Precision, recall and F1 by class", "Three bars for each class, from 0 to 1."),
    "precision_recall": ("Precision over recall, by class", "One curve a class; areas in the legend."),
    "roc": ("ROC curve of each class against the rest", "True positive rate over false positive rate, by class."),
    "f_threshold": ("F-score over the threshold", "One curve a class; the chosen threshold is marked."),
    "f_confidence": ("F-score over the confidence, by class", "One curve a class; the chosen confidence is marked."),
    "recall_by_size": ("Recall by object size", "Bars of recall by object size and class."),
    "negative": ("Probability of the negative class", "Two histograms: images without and with objects."),
    "reliability": ("Reliability: accuracy at each confidence", "Points and error bars beside the diagonal."),
    "scores": ("Scores by true class", "Histograms of the predicted probability of each class."),
    "counts": ("Objects per image: predicted over true", "A scatter plot and the diagonal of equal counts."),
    "gallery_wrong": ("Wrong predictions, most confident first", "Images with their predicted and true class."),
    "gradcam_wrong": ("Grad-CAM: what speaks for the predicted and for the true class", "Images, each with two maps."),
    "gradcam_right": ("Grad-CAM of right predictions: what speaks for the class", "Images, each with a heat map."),
    "gallery_worst": ("Images with the most mistakes", "Photos with boxes coloured by found, false alarm or missed."),
    "gallery_right": ("Right predictions", "A sheet of images with their predicted classes."),
    "label_issues": ("Label issues, numbered as in label_issues.csv", "Images with annotated and suggested labels."),
    "gallery": ("Predictions on images", "Photos with the predicted boxes or classes, coloured by outcome."),
}
"""File name without suffix -> caption and alternative text."""


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
    if path.stem in CAPTIONS:
        return CAPTIONS[path.stem]
    words = path.stem.replace("_", " ").replace("-", " ").strip().capitalize() or "Figure"
    return words, f"Figure: {words}"
