"""Small builders of blocks that several chapters share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.plots import captions, format_numbers
from tropho.plots.format_numbers import humanize
from tropho.report.blocks import Block, KeyValues, Picture, Pictures, Table, Text
from tropho.report.image_embedder import ImageEmbedder


def todo(stage: str, task: str, sentence: str) -> Text:
    """Says what is missing and the command that makes it."""
    return Text(f"{sentence} yet; run `tropho {stage} {task}`, or `dvc repro`.")


def facts_of(values: Mapping[str, Any]) -> list[Block]:
    """Named values as facts; nothing where there are none."""
    items = [(humanize(name), format_numbers.format_value(value)) for name, value in values.items()]
    return [KeyValues(items)] if items else []


def figures(paths: Sequence[Path], album: ImageEmbedder) -> list[Block]:
    """Image files with their captions, those that can be read; photos come after charts."""
    pictures = [album.add(path, *captions.of(path)) for path in sorted(paths, key=captions.place)]
    return pictures_block([picture for picture in pictures if picture is not None])


def pictures_block(pictures: Sequence[Picture]) -> list[Block]:
    """A block of pictures, charts first; nothing where there are none."""
    ordered = sorted(pictures, key=lambda picture: not picture.chart)
    return [Pictures(ordered)] if ordered else []


def frame_table(frame: pd.DataFrame, title: str, numbers_from: int = 99) -> Table:
    """A small DataFrame as a table of text."""
    rows = [[format_numbers.format_value(value) for value in row] for row in frame.astype(object).to_numpy()]
    return Table(title, [humanize(column) for column in frame.columns], rows, numbers_from)
