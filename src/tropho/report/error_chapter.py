"""Chapter on errors: images that are predicted worst, what the model looks at, labels that it contradicts."""

from collections import Counter
from pathlib import Path

from tropho.plots.format_numbers import as_number, count, humanize, score
from tropho.report.blocks import Block, Code, Details, Heading, Section, Table, Text, figures
from tropho.report.metric_tables import SUBSETS, read_metrics
from tropho.report.own_words import own_words
from tropho.report.reader import Reader

SHEETS = ("gallery", "gradcam")
"""How the names of figures begin that belong to the chapter on errors."""
OUTCOMES = ("gallery_worst", "gallery_wrong")
"""Figures that only images with labels have."""
WEAK = 0.6
"""Of the way from guessing to perfect; a model below this is wrong more often than labels are."""
LABEL_ISSUES = {
    "overlooked": "a confident detection where nothing is annotated",
    "not_negative": "a confident detection in an image that is annotated as empty",
    "spurious": "annotated, but nothing is detected there",
    "swap": "predicted as another class",
    "badloc": "detected beside the annotated box",
    "duplicate": "a second box on one object",
}


def figure_files(reader: Reader, subset: str, sheets: bool) -> list[Path]:
    """List the figures of a subset: those that show images, or all others."""
    pictures = reader.pictures(reader.paths.evaluate / "figures" / subset)
    return [path for path in pictures if path.stem.startswith(SHEETS) == sheets]


def errors(reader: Reader) -> Section:
    """Show the images that are predicted worst, what the model looks at, and the labels that it contradicts."""
    files = {subset: figure_files(reader, subset, sheets=True) for subset in ("test", "oof")}
    labelled = [subset for subset, paths in files.items() if any(path.stem in OUTCOMES for path in paths)]
    order = [*labelled, *(subset for subset in files if subset not in labelled)]  # images without labels last
    blocks: list[Block] = []
    for subset in order:
        pictures, title = figures(files[subset]), f"Images, {SUBSETS[subset]}"
        if pictures:
            blocks += [Details(title, pictures)] if blocks else [Heading(title), *pictures]
    if not blocks:
        blocks.append(Text("There are no pictures of predictions (evaluate.gallery_images)."))
    words = own_words(reader, "errors", "Which images fail, and what do they have in common?")
    return Section("errors", "Errors", [*blocks, *words, *label_issues(reader)])


def label_issues(reader: Reader) -> list[Block]:
    """Count the label issues by kind, show them, and say how to correct labels; nothing without a table."""
    table = reader.table(reader.paths.evaluate / "label_issues.csv")
    if table is None or not {"kind", "action"} <= set(table):
        return []
    title = Heading("Label issues")
    if table.empty:
        return [title, Text("No label contradicts the out-of-fold predictions enough to be listed.")]
    kinds = Counter(zip(table["kind"].astype(str), table["action"].astype(str), strict=True)).most_common()
    rows = [[humanize(kind), LABEL_ISSUES.get(kind, ""), action, count(n)] for (kind, action), n in kinds]
    name = reader.task.name
    weak = _weak_warning(reader)
    file = reader.task.audit.corrections or f"corrections/{name}.csv"
    picture = reader.paths.evaluate / "label_issues.png"
    return [
        title,
        *weak,
        Text(
            f"Predictions of models that were not trained on them contradict {count(len(table))} labels. Models err "
            "too: look at each image before you correct it."
        ),
        Text(
            f"reports/{name}/evaluate/label_issues.csv ranks them; each line starts with its correction. Copy the "
            f"header and the lines that you agree with into {file}, and name that file in params.yaml:"
        ),
        Code([f"audit: {{corrections: {file}}}    # at tasks.{name}", f"dvc repro report@{name}"]),
        Table("", ["kind", "what it is", "correction", "labels"], rows, numbers_from=3),
        *figures([picture] if picture.is_file() else []),
    ]


def _weak_warning(reader: Reader) -> list[Block]:
    """Warn against correcting labels by a model that is often wrong itself."""
    metrics = read_metrics(reader)
    value = as_number(metrics.get("oof", {}).get(str(metrics.get("headline", {}).get("name"))))
    classes = reader.json(reader.paths.audit / "summary.json").get("classes")
    n_classes = len(classes) if isinstance(classes, list) and classes else 2
    chance = 1 / n_classes if reader.task.kind == "classification" else 0.0
    if value is None or (value - chance) / (1 - chance if chance < 1 else 1) >= WEAK:
        return []
    return [
        Text(
            f"This model is weak: it scores {score(value)} out of fold. Don't correct labels by it: most of the "
            "contradictions below are probably its own mistakes.",
            warn=True,
        )
    ]
