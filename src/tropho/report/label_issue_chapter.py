"""The part of the evaluation chapter on labels that are probably wrong, and how to correct them."""

from collections import Counter

from tropho.config.task_config import TaskConfig
from tropho.plots import format_numbers
from tropho.plots.format_numbers import humanize
from tropho.report.block_builders import figures
from tropho.report.blocks import Block, Code, Heading, Table, Text
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.reader import Folders, Reader

MEANING = {
    "overlooked": "a confident find where nothing is annotated",
    "not_negative": "a confident find in an image that is said to be empty",
    "spurious": "annotated, but nothing is found there",
    "swap": "found as another class",
    "badloc": "found beside the annotated box",
    "duplicate": "a second box on one object",
}


def label_issue_blocks(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> list[Block]:
    """Counts by kind, the sheet of pictures, and what to do; nothing where evaluate wrote no table."""
    table = reader.table(folders.evaluate / "label_issues.csv")
    if table is None or not {"kind", "action"} <= set(table):
        return []
    title = Heading("Labels to check")
    if table.empty:
        return [title, Text("No label contradicts out-of-fold predictions so much that it is probably wrong.")]
    counts = Counter(zip(table["kind"].astype(str), table["action"].astype(str), strict=True)).most_common()
    rows = [
        [humanize(kind), MEANING.get(kind, ""), action, format_numbers.count(count)] for (kind, action), count in counts
    ]
    path = folders.evaluate / "label_issues.png"
    name = settings.name
    fixes = settings.audit.corrections or f"corrections/{name}.csv"
    return [
        title,
        Text(
            f"Models that never saw them contradict {format_numbers.count(len(table))} labels; models err too, so "
            f"look first. reports/{name}/evaluate/label_issues.csv ranks them; each line starts with its correction. "
            f"Copy the lines that you agree with, and the header, into {fixes}, and name that file in params.yaml:"
        ),
        Code([f"audit: {{corrections: {fixes}}}    # at tasks.{name}", f"dvc repro report@{name}"]),
        Table("", ["kind", "what it is", "correction", "labels"], rows, numbers_from=3),
        *(figures([path], album) if path.is_file() else []),
    ]
