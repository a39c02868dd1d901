"""Draw the audit's figures: classes, sizes, issues, duplicates and slides."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from tropho.data.audit.slides import Slides
from tropho.errors import DataError
from tropho.images.decode import ImageReader
from tropho.plots.style import PALETTE, colour_of, legend, plain, save, subplots, title, whole_numbers

SUBSET_COLOURS = dict(zip(("train", "test", "validation"), PALETTE, strict=False))
MAX_PAIRS = 6  # sets of duplicates that are pictured
ROWS, COLUMNS = 6, 8  # groups on the contact sheet of slides, and images of each
TILE = 220  # pixels; side of a pictured image


def class_counts(summary: dict[str, Any], to: Path) -> None:
    """Draw bars of the boxes, or else images, of each class by subset."""
    classes, unit = summary["classes"], "boxes" if summary["boxes"] else "images"
    subsets = {
        name: [subset["classes"][label][unit] for label in classes]
        for name, subset in summary["subsets"].items()
        if name != "test" or summary["test_labelled"]
    }
    figure, (axes,) = subplots(1, 1, (6.4, 1.6 + 0.45 * len(classes) * len(subsets)))
    height = 0.8 / max(1, len(subsets))
    for number, (name, counts) in enumerate(subsets.items()):
        places = np.arange(len(classes)) + (number - (len(subsets) - 1) / 2) * height
        bars = axes.barh(places, counts, height, label=name, color=SUBSET_COLOURS.get(name))
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=3, fontsize=8)
    axes.set_yticks(range(len(classes)), [plain(name) for name in classes])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    title(axes, f"{unit.capitalize()} of each class", unit)
    if len(subsets) > 1:
        legend(axes)
    save(figure, to)


def image_sizes(images: pd.DataFrame, to: Path) -> None:
    """Draw a dot at each width and height, larger where many images have it."""
    known = images.dropna(subset=["width", "height"])
    figure, (axes,) = subplots(1, 1, (6.4, 4.6))
    for name, part in known.groupby("subset", sort=False):
        sizes = part.groupby(["width", "height"]).size().reset_index(name="count")
        area = 12 + 400 * sizes["count"] / len(known)
        text = f"{name} ({len(part):,})"
        axes.scatter(sizes["width"], sizes["height"], area, SUBSET_COLOURS.get(str(name)), alpha=0.6, label=text)
    title(axes, "Image sizes", "width (pixels)", "height (pixels)")
    axes.set_xlim(0, float(known["width"].max()) * 1.1)
    axes.set_ylim(0, float(known["height"].max()) * 1.1)
    axes.legend(frameon=False, markerscale=0.5, loc="upper left")
    save(figure, to)


def box_sizes(boxes: pd.DataFrame, classes: list[str], to: Path) -> None:
    """Draw histograms of the square root of the boxes' area by class, on a logarithmic scale."""
    side = np.sqrt((boxes["xmax"] - boxes["xmin"]) * (boxes["ymax"] - boxes["ymin"]))
    edges = np.geomspace(max(1.0, side.min()), side.max() * 1.01, 41).tolist()
    figure, (axes,) = subplots(1, 1, (6.4, 3.8))
    for index, name in enumerate(classes):
        of_class = side[boxes["label"] == name]
        if len(of_class):
            text = f"{plain(name)}: {len(of_class):,}, median {of_class.median():.0f} px"
            axes.hist(of_class, edges, label=text, color=colour_of(index), alpha=0.55)
    axes.set_xscale("log")
    title(axes, "Box sizes", "square root of area (pixels of the original image)", "boxes")
    legend(axes)
    save(figure, to)


def objects_per_image(images: pd.DataFrame, boxes: pd.DataFrame, to: Path) -> None:
    """Draw a histogram of boxes an image, with images without any, of the subsets that have boxes."""
    labelled = images.loc[images["image_id"].isin(boxes["image_id"]), "subset"]
    counts = images.loc[images["subset"].isin(labelled), "image_id"].map(boxes["image_id"].value_counts()).fillna(0)
    figure, (axes,) = subplots(1, 1, (6.4, 3.4))
    axes.hist(counts, bins=(np.arange(counts.max() + 2) - 0.5).tolist(), color=SUBSET_COLOURS["train"])
    whole_numbers(axes.xaxis)
    none = int((counts == 0).sum())
    note = (
        f"{none:,} image{'' if none == 1 else 's'} without boxes, median {counts.median():g}, at most {counts.max():g}"
    )
    title(axes, f"Objects in an image\n{note}", "boxes", "images")
    save(figure, to)


def issue_counts(issues: pd.DataFrame, to: Path) -> None:
    """Draw bars of the issues by kind and action."""
    counts = issues.groupby(["kind", "action"]).size().sort_values()
    figure, (axes,) = subplots(1, 1, (6.4, 1.4 + 0.32 * len(counts)))
    names = [str(kind).replace("_", " ") + (f" ({action})" if action != kind else "") for kind, action in counts.index]
    bars = axes.barh(names, counts.to_numpy(), color=SUBSET_COLOURS["train"])
    axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=3, fontsize=8)
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.margins(x=0.15)
    title(axes, "Issues", "cases (logarithmic)")
    save(figure, to)


def duplicate_pairs(images: pd.DataFrame, reader: ImageReader, to: Path) -> None:
    """Draw the first image of some sets of duplicates beside another one, of unequal bytes if there is one."""
    later = images[images["duplicate"].notna() & (images["duplicate"] != images["image_id"])]
    pairs = later.merge(images, left_on="duplicate", right_on="image_id", suffixes=("_later", ""))
    pairs = pairs.assign(same_bytes=pairs["sha256"] == pairs["sha256_later"])
    pairs = pairs.sort_values("same_bytes", kind="stable").drop_duplicates("image_id")[:MAX_PAIRS]
    figure, panels = subplots(len(pairs), 3, (4.2, 2.7))
    pair: Any
    for axes, pair in zip(panels, pairs.itertuples(), strict=True):
        axes.axis("off")
        axes.imshow(np.hstack([_tile(reader, pair.path), _tile(reader, pair.path_later)]))
        names = f"{pair.subset}: {plain(pair.image_id, 58)}\n{pair.subset_later}: {plain(pair.image_id_later, 58)}"
        axes.set_title(names, fontsize=7, loc="left")
    figure.suptitle("Images that show the same (left: named first)")
    save(figure, to)


def slide_distances(slides: Slides, to: Path) -> None:
    """Draw histograms of pair distances and of those expected of different slides; nothing without a threshold."""
    if slides.threshold is None:
        return
    figure, (axes,) = subplots(1, 1, (6.4, 3.8))
    known, threshold = slides.distances[slides.distances > 0], slides.threshold.value
    edges = np.geomspace(np.quantile(known, 1e-4), known.max(), 81)
    for values, text, name in (
        (slides.distances, "pairs of images", "train"),
        (slides.null_distances, "pairs of different slides (expected)", "test"),
    ):
        share, colour = np.histogram(values, edges)[0] / len(values), SUBSET_COLOURS[name]
        axes.stairs(share, edges, label=text, color=colour, fill=name == "train", alpha=0.6, linewidth=1.5)
    axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.2f}")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1e-3)
    title(axes, "Similarity of photos", "distance of two images of equal size and device", "share of pairs")
    axes.set_ylim(top=8 * axes.get_ylim()[1])  # room for the legend
    legend(axes)
    save(figure, to)


def slide_groups(slides: Slides, images: pd.DataFrame, reader: ImageReader, to: Path) -> None:
    """Draw some images of the largest group, the smallest, and groups between; one row a group."""
    sizes = np.bincount(slides.groups)
    several = np.flatnonzero(sizes > 1)
    ranked = several[np.argsort(-sizes[several], kind="stable")]
    shown = ranked[np.unique(np.linspace(0, len(ranked) - 1, ROWS).round().astype(int))]
    paths = images.set_index("image_id")["path"]
    names = np.array(slides.ids, dtype=object)
    figure, panels = subplots(len(shown) * COLUMNS, COLUMNS, (1.35, 1.5))
    for axes in panels:
        axes.axis("off")
    for place, number in enumerate(shown):
        row, members = panels[place * COLUMNS : (place + 1) * COLUMNS], names[slides.groups == number]
        row[0].set_title(f"{len(members)} images: {plain(members[0], 58)} ...", fontsize=7, loc="left")
        for axes, name in zip(row, members, strict=False):
            axes.imshow(_tile(reader, paths[name]))
    figure.suptitle("Groups that were taken for slides")
    save(figure, to)


def _tile(reader: ImageReader, path: str) -> np.ndarray:
    """Letterbox an image to (TILE, TILE, 3) uint8; white where it can't be read."""
    tile = np.full((TILE, TILE, 3), 255, dtype=np.uint8)
    try:
        pixels = reader.read(path)
    except DataError:
        return tile
    scale = (TILE - 4) / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    top, left = (TILE - height) // 2, (TILE - width) // 2
    tile[top : top + height, left : left + width] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return tile
