"""Read KITTI: label_2/*.txt, 15 columns a row: type truncated occluded alpha left top right bottom and seven of 3D."""

import math
from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.formats.label_collector import Labels, files_below
from tropho.data.formats.label_files import LabelFileReader
from tropho.tables import BOX, parse_number

LABEL_FOLDERS = frozenset({"label_2", "label_02", "labels", "label"})
IGNORED = "DontCare"  # the type of regions that are neither labelled nor to be scored


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read label files and the images beside them; docs/label_formats.md has the rules."""
    reader = LabelFileReader(settings, raw)
    files = [path for path in files_below(raw, ".txt") if path.parent.name.lower() in LABEL_FOLDERS]
    reader.match_files(map(str, files))
    reader.add_images({})
    for entry, file in reader.labelled():
        reader.add_text_rows(entry, file, _parse_row)
    return reader.labels()


def _parse_row(cells: list[str]) -> dict[str, Any]:
    """Parse one row into class, corners in pixels and `ignore`; raise ValueError with the reason."""
    if len(cells) not in {15, 16}:  # a sixteenth is the confidence of a prediction
        raise ValueError(f"{len(cells)} columns in place of KITTI's 15")
    values = [parse_number(cell) for cell in cells[4:8]]
    if any(map(math.isnan, values)):
        raise ValueError(f"The box is '{' '.join(cells[4:8])}', not four numbers")
    return {"label": cells[0], **dict(zip(BOX, values, strict=True)), "ignore": cells[0].lower() == IGNORED.lower()}
