"""The audit in pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tropho.errors import DataError
from tropho.files import atomic_path
from tropho.images.decode import ImageReader
from tropho.images.fonts import plain, save_png

COLOURS = {"train": "#3b6fb6", "validation": "#4a9d6e", "test": "#e08a3c"}
CLASS_COLOURS = ["#3b6fb6", "#e08a3c", "#4a9d6e", "#b8527a", "#7a63b8", "#8a6f4e", "#4fa3b5", "#777777"]
PAIRS = 6  # duplicates that are pictured
TILE = 220  # pixels; side of a pictured duplicate


def class_counts(summary: dict[str, Any], to: Path) -> None:
    """Bars: boxes (or images) of each class, by subset."""
    classes, unit = summary["classes"], "boxes" if summary["boxes"] else "images"
    subsets = {
        name: {each: counts[unit] for each, counts in subset["classes"].items()}
        for name, subset in summary["subsets"].items()
        if name != "test" or summary["test_labelled"]
    }
    figure, axes = new_figure(6.4, 1.6 + 0.45 * len(classes) * len(subsets))
    height = 0.8 / max(1, len(subsets))
    for number, (name, subset) in enumerate(subsets.items()):
        counts = [subset[each] for each in classes]
        places = np.arange(len(classes)) + (number - (len(subsets) - 1) / 2) * height
        bars = axes.barh(places, counts, height, label=name, color=COLOURS.get(name))
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=3, fontsize=8)
    axes.set_yticks(range(len(classes)), [plain(name) for name in classes])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(title=f"{unit.capitalize()} of each class", xlabel=unit)
    if len(subsets) > 1:
        axes.legend(frameon=False)
    save(figure, to)


def image_sizes(images: pd.DataFrame, to: Path) -> None:
    """Dots: width and height of the images, larger where many are alike."""
    known = images.dropna(subset=["width", "height"])
    figure, axes = new_figure(6.4, 4.6)
    for name, part in known.groupby("subset", sort=False):
        sizes = part.groupby(["width", "height"]).size().reset_index(name="count")
        area = 12 + 400 * sizes["count"] / len(known)
        label = f"{name} ({len(part):,})"
        axes.scatter(sizes["width"], sizes["height"], area, COLOURS.get(str(name)), alpha=0.6, label=label)
    axes.set(title="Image sizes", xlabel="width (pixels)", ylabel="height (pixels)")
    axes.set_xlim(0, float(known["width"].max()) * 1.1)
    axes.set_ylim(0, float(known["height"].max()) * 1.1)
    axes.legend(frameon=False, markerscale=0.5, loc="upper left")
    save(figure, to)


def box_sizes(boxes: pd.DataFrame, classes: Sequence[str], to: Path) -> None:
    """Histograms: side of the square with a box's area, by class, on a logarithmic scale."""
    side = np.sqrt((boxes["xmax"] - boxes["xmin"]) * (boxes["ymax"] - boxes["ymin"]))
    edges = np.geomspace(max(1.0, side.min()), side.max() * 1.01, 41).tolist()
    figure, axes = new_figure(6.4, 3.8)
    for name, colour in zip(classes, _colours(len(classes)), strict=True):
        of_class = side[boxes["label"] == name]
        if len(of_class):
            label = f"{plain(name)}: {len(of_class):,}, median {of_class.median():.0f} px"
            axes.hist(of_class, edges, label=label, color=colour, alpha=0.55)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(title="Box sizes", xlabel="square root of area (pixels of the original image)", ylabel="boxes")
    axes.legend(frameon=False)
    save(figure, to)


def objects_per_image(images: pd.DataFrame, boxes: pd.DataFrame, to: Path) -> None:
    """Histogram: boxes an image, images without any included."""
    labelled = images.loc[images["image_id"].isin(boxes["image_id"]), "subset"]
    with_boxes = images[images["subset"].isin(labelled)]  # a test set without any boxes has no truth
    counts = with_boxes["image_id"].map(boxes["image_id"].value_counts()).fillna(0)
    figure, axes = new_figure(6.4, 3.4)
    axes.hist(counts, bins=(np.arange(counts.max() + 2) - 0.5).tolist(), color=COLOURS["train"])
    axes.set(title="Objects in an image", xlabel="boxes", ylabel="images")
    none = int((counts == 0).sum())
    note = f"{none:,} images without boxes, median {counts.median():g}, at most {counts.max():g}"
    axes.annotate(note, (0.98, 0.94), xycoords="axes fraction", ha="right", va="top", fontsize=9)
    save(figure, to)


def issue_counts(issues: pd.DataFrame, to: Path) -> None:
    """Bars: issues of each kind and what was done about them."""
    counts = issues.groupby(["kind", "action"]).size().sort_values()
    figure, axes = new_figure(6.4, 1.4 + 0.32 * len(counts))
    names = [f"{str(kind).replace('_', ' ')} ({action})" for kind, action in counts.index]
    bars = axes.barh(names, counts.to_numpy(), color=COLOURS["train"])
    axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=3, fontsize=8)
    axes.set_xscale("symlog", linthresh=1)
    axes.margins(x=0.15)
    axes.set(title="Issues", xlabel="cases (logarithmic)")
    save(figure, to)


def duplicate_pairs(images: pd.DataFrame, reader: ImageReader, to: Path) -> None:
    """Pictures: the first image of some sets of duplicates beside another of it, unequal bytes preferred."""
    known = images[images["duplicate"].notna()].set_index("image_id")
    rows = []
    for image_id, image in known.iterrows():
        if image["duplicate"] != image_id and image["duplicate"] in known.index:
            first = known.loc[str(image["duplicate"])]
            rows.append((first["sha256"] == image["sha256"], first, image))
    rows.sort(key=lambda row: row[0])
    seen: dict[str, Any] = {}
    for _, first, second in rows:
        seen.setdefault(str(first.name), (first, second))
    pairs = list(seen.values())[:PAIRS]
    across = min(len(pairs), 3)
    down = -(-len(pairs) // across)
    figure = Figure(figsize=(4.2 * across, 2.7 * down), dpi=110, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, (first, second) in zip(grid, pairs, strict=False):
        axes.imshow(np.hstack([tile(reader, first["path"]), tile(reader, second["path"])]))
        axes.set_title(f"{_short(first)}\n{_short(second)}", fontsize=7, loc="left")
    figure.suptitle("Images that show the same (left: named first)")
    save(figure, to)


def _short(image: pd.Series) -> str:
    return f"{image['subset']}: {plain(image.name, 58)}"


def tile(reader: ImageReader, path: str) -> np.ndarray:
    """An image letterboxed to TILE x TILE."""
    tile = np.full((TILE, TILE, 3), 255, dtype=np.uint8)
    try:
        pixels = reader.read(path)
    except DataError:
        return tile
    scale = (TILE - 4) / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    top, left = (TILE - height) // 2, (TILE - width) // 2
    tile[top : top + height, left : left + width] = small
    return tile


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of its own (no pyplot state) with one plot; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _colours(number: int) -> list[str]:
    return [CLASS_COLOURS[index % len(CLASS_COLOURS)] for index in range(number)]


def save(figure: Figure, to: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with atomic_path(to) as temporary:
        save_png(figure, temporary)
