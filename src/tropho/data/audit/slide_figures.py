"""Slides found by content, in pictures to be checked by eye."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.data.audit.audit_figures import COLOURS, new_figure, save, tile
from tropho.data.audit.slides import Slides
from tropho.images.decode import ImageReader
from tropho.images.fonts import plain

ROWS, COLUMNS = 6, 8  # groups on the contact sheet, and images of each
BINS = 80


def distances(slides: Slides, to: Path) -> None:
    """Histograms of pair distances: all pairs over those of different slides; what stands above is of one slide."""
    if slides.cut is None:
        return
    figure, axes = new_figure(6.4, 3.8)
    known = slides.distances[slides.distances > 0]
    edges = np.geomspace(np.quantile(known, 1e-4), known.max(), BINS + 1)
    for values, label, colour in (
        (slides.distances, "pairs of images", COLOURS["train"]),
        (slides.chance, "pairs of different slides (expected)", COLOURS["test"]),
    ):
        share = np.histogram(values, edges)[0] / len(values)
        axes.stairs(share, edges, label=label, color=colour, fill=colour == COLOURS["train"], alpha=0.6, linewidth=1.5)
    axes.axvline(slides.cut.threshold, color="black", linestyle="--", label=f"threshold {slides.cut.threshold:.2f}")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    axes.set(
        title="Likeness of photos", xlabel="distance of two images of equal size and device", ylabel="share of pairs"
    )
    axes.set_ylim(top=8 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    save(figure, to)


def contact_sheet(slides: Slides, images: pd.DataFrame, reader: ImageReader, to: Path) -> None:
    """Pictures: some images of the largest group, the smallest, and groups between; one row a group."""
    sizes = np.bincount(slides.groups)
    several = np.flatnonzero(sizes > 1)
    ranked = several[np.argsort(-sizes[several], kind="stable")]
    shown = ranked[np.unique(np.linspace(0, len(ranked) - 1, ROWS).round().astype(int))]
    paths = images.set_index("image_id")["path"]
    names = np.array(slides.ids, dtype=object)
    figure = Figure(figsize=(1.35 * COLUMNS, 1.5 * len(shown)), dpi=110, layout="constrained")
    grid = figure.subplots(len(shown), COLUMNS, squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    for row, number in zip(grid, shown, strict=True):
        members = names[slides.groups == number]
        row[0].set_title(f"{len(members)} images: {plain(members[0], 58)} ...", fontsize=7, loc="left")
        for axes, name in zip(row, members, strict=False):
            axes.imshow(tile(reader, paths[name]))
    figure.suptitle("Groups that were taken for slides")
    save(figure, to)
