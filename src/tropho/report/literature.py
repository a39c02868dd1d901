"""Chapter on literature: what others reported on the same data, and the author's own words."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tropho.report.blocks import Block, List, OwnWords, Section, Table, Text
from tropho.report.own_words import own_words
from tropho.report.reader import Reader

FILE = Path(__file__).with_name("literature.yaml")
LEAKS = {"yes": "shared with training", "no": "kept apart", "unknown": "not stated"}
NOTE = (
    "Scores are too high where the test shares patients or pictures with training. Don't compare a model with them "
    "that was tested on other patients."
)


@cache
def _all_figures() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def known_literature(reader: Reader) -> dict[str, Any]:
    """Look up what is known of the task's data set; {} if nothing is."""
    return dict(_all_figures().get(str(reader.task.download.repo), {}))


def literature(reader: Reader) -> Section:
    """Show what has been done on these data."""
    known = known_literature(reader)
    blocks: list[Block] = [List(known["sentences"])] if known else []
    words = own_words(reader, "literature", "What has been done? Which methods work, and how are they evaluated?")
    if not known and not isinstance(words[0], OwnWords):
        is_generated = reader.task.download.source == "generator"
        nothing = "The images are generated, so nothing has been published on them."
        blocks.append(Text(nothing if is_generated else "Tropho knows no published results on this data set."))
    return Section("literature", "Literature", [*blocks, *published_figures(reader), *words])


def published_figures(reader: Reader) -> list[Block]:
    """Tabulate published figures, with whether their test is apart from training; empty if none are known."""
    known = known_literature(reader)
    if not known:
        return []
    rows = [[row["who"], row["method"], LEAKS[row["leaks"]], row["score"]] for row in known["figures"]]
    columns = ["who or which split", "method", "patients or pictures of the test", known["metric"]]
    return [Table("Published figures", columns, rows, 3, NOTE)]
