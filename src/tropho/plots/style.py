"""Style of all charts: Okabe and Ito's colours for any colour vision (2008), light axes, PNG on white.

Charts are `matplotlib.figure.Figure` objects without pyplot's global state.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

from tropho.files import atomic_path
from tropho.images.fonts import plain as plain  # noqa: PLC0414 - part of the style
from tropho.images.fonts import save_png

DPI = 144
HALF = (5.3, 4.2)  # inches; two such charts fit side by side on the report page
THIRD = (3.6, 3.2)
INK = "#1f2933"
FAINT = "#5f6b7a"
GRID = "#e3e7ec"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b4c9a", "#4d4d4d")
UNIT = (-0.02, 1.02)
"""Limits of an axis from 0 to 1, with room for lines along the edge."""
LINES = ("-", "--", "-.", ":")


def colour_of(index: int) -> str:
    """Give the colour of a class or fold by its index; repeats after eight."""
    return PALETTE[index % len(PALETTE)]


def line_of(index: int) -> str:
    """Give the dash pattern that tells lines of one colour apart."""
    return LINES[index // len(PALETTE) % len(LINES)]


def subplots(count: int, columns: int, size: tuple[float, float] = (4.6, 3.6)) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels of `size` inches, at most `columns` a row."""
    columns = max(1, min(count, columns))
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained", facecolor="white")
    panels = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    for panel in panels:  # two thin spines, a faint grid behind the data, small grey ticks
        panel.set_axisbelow(True)
        panel.grid(color=GRID, linewidth=0.8)
        panel.tick_params(colors=FAINT, labelsize=9, length=3)
        for side, spine in panel.spines.items():
            spine.set_visible(side in {"left", "bottom"})
            spine.set_color("#b8c0ca")
        panel.xaxis.label.set_color(INK)
        panel.yaxis.label.set_color(INK)
    return figure, panels


def small_panels(count: int) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels, three a row, or two if that leaves no gap."""
    return subplots(count, 2, HALF) if count in {2, 4} else subplots(count, 3, THIRD)


def title(axes: Axes, text: str, x: str = "", y: str = "") -> None:
    """Set a panel's title, aligned to the left, and name its axes, with units."""
    axes.set_title(text, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set(xlabel=x, ylabel=y)


def legend(axes: Axes, outside: bool = False) -> None:
    """Add a legend inside the panel or, `outside`, below the figure, which grows by its height."""
    handles = axes.get_legend_handles_labels()[0]
    figure = axes.get_figure(root=True)
    if not handles or figure is None:
        return
    if not outside:
        axes.legend(loc="best", framealpha=0.9, edgecolor="none", fontsize=9, labelcolor=INK)
        return
    figure.set_figheight(figure.get_figheight() + 0.22 * -(-len(handles) // 2) + 0.1)
    figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, fontsize=9, labelcolor=INK)


def class_ticks(axes: Axes, classes: Sequence[str], which: str = "x") -> None:
    """Set class names as ticks, slanted along x if they are long or many."""
    names = [plain(name, 18) for name in classes]
    if which == "y":
        axes.set_yticks(range(len(names)), names)
        return
    longest = max((len(name) for name in names), default=0)
    slanted = longest > 12 or (len(names) > 5 and longest > 6)
    axes.set_xticks(range(len(names)), names, rotation=35 if slanted else 0, ha="right" if slanted else "center")


def whole_numbers(axis: Axis) -> None:
    """Set ticks at integers only."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))


def footnote(figure: Figure, text: str) -> None:
    """Write a sentence below a figure, if there is one."""
    if text:
        figure.supxlabel(text, fontsize=8, color=FAINT, x=0.01, ha="left")


def _space_log_ticks(figure: Figure) -> None:
    """Label 1, 2 and 5 of each decade on logarithmic x axes, or 1 alone over many decades, so that none overlap.

    Where the largest value is less than five times the smallest, a few values at even distances are labelled.
    """
    for axes in figure.axes:
        if axes.get_xscale() == "log":
            low, high = axes.get_xlim()
            decades: Locator = LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,))
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4) if high < 5 * low else decades)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(figure))


def png_bytes(figure: Figure) -> bytes:
    """Encode a figure as PNG."""
    _space_log_ticks(figure)
    buffer = BytesIO()
    save_png(figure, buffer, dpi=DPI)
    return buffer.getvalue()
