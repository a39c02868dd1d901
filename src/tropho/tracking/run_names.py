"""Names of training runs and their table in MLflow's page: the settings that set runs apart, and their score."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tropho.tracking.runs import training_runs

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient

VIEW = "tropho"
"""Key of the view of the trainings in the address of MLflow's page."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
NOTE = "mlflow.note.content"
KIND = {
    "mlflow.experimentKind": "custom_model_development",  # the model-training view, where MLflow's page reads the tag
    "mlflow.experiment.primaryMetric.name": "score",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}
"""Tags of every experiment."""
MEMBERS = "train.ensemble"
BASE_NAME = "base"
MAX_SHOWN, MAX_VALUE, MAX_COLUMNS = 4, 30, 15  # settings in a name, characters of a value, settings in the table
_BY_US = re.compile(r"^train |\(-?\d+\.\d{4}\)$")  # other names are the user's


@dataclass(frozen=True)
class Training:
    """What names a training: its settings as text by dotted key, its score, and hashes of its data and code."""

    settings: Mapping[str, str]
    score: float
    data: str = ""
    code: str = ""


def with_score(name: str, score: float | None) -> str:
    """Append a score to a name: "fold0 (0.8123)"; None leaves the name as it is."""
    return name if score is None else f"{name} ({score:.4f})"


def describe_values(values: Mapping[str, Any]) -> str:
    """List settings by the last part of their key: {"train.lr": 0.01, "train.epochs": 4} -> "epochs 4, lr 0.01"."""
    keys = sorted(values, key=lambda key: _short_key(key, values))
    shown = [f"{_short_key(key, values)} {short_value(values[key])}" for key in keys[:MAX_SHOWN]]
    return ", ".join(shown) + (f", {len(keys) - MAX_SHOWN} more" if len(keys) > MAX_SHOWN else "")


def name_trainings(trainings: list[Training]) -> tuple[list[str], list[str]]:
    """Name trainings, oldest first, by the settings in which each differs from most of them.

    Of equal settings the name has the data, or else the code, where that differs.

    Returns:
        Names in the same order, and the dotted keys of all settings that differ, the most varied first.
    """
    settings = [_with_members(training.settings) for training in trainings]
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for key, value in (item for each in settings for item in each.items()):
        values[key][value] += 1
    differing = sorted((key for key in values if len(values[key]) > 1), key=lambda key: (-len(values[key]), key))
    usual = {key: values[key].most_common(1)[0][0] for key in differing}  # the oldest of equally common values
    names = []
    for each in settings:
        changes = {key: each[key] for key in differing if each.get(key, usual[key]) != usual[key]}
        names.append(describe_values(changes) or BASE_NAME)
    for what in ("data", "code"):
        kinds = [getattr(training, what)[:7] or "unknown" for training in trainings]
        count = Counter(name for name, _ in set(zip(names, kinds, strict=True)))
        names = [f"{name}, {what} {kind}" if count[name] > 1 else name for name, kind in zip(names, kinds, strict=True)]
    return [with_score(name, each.score) for name, each in zip(names, trainings, strict=True)], differing


def name_runs(client: "MlflowClient", experiment_id: str, description: str) -> None:
    """Name an experiment's training runs, and keep a view of them by score with the settings that differ.

    Runs and descriptions that a user has named or written otherwise stay.

    Args:
        client: of the store.
        experiment_id: of the task.
        description: of the task; shown above its runs.
    """
    runs = sorted(training_runs(client, experiment_id), key=lambda run: (run.info.start_time, run.info.run_id))
    names, differing = name_trainings([_training(run) for run in runs])
    for run, name in zip(runs, names, strict=True):
        if run.info.run_name != name and _BY_US.search(run.info.run_name or "train "):
            client.update_run(run.info.run_id, name=name)
    created = min((run.info.start_time for run in runs), default=0)
    tags = {VIEW_TAG: view(differing, created), NOTE: experiment_note(experiment_id, description)}
    old = client.get_experiment(experiment_id).tags
    if f"viewStateShareKey={VIEW}" not in old.get(NOTE, f"viewStateShareKey={VIEW}"):
        del tags[NOTE]
    for key, value in tags.items():
        if old.get(key) != value:
            client.set_experiment_tag(experiment_id, key, value)


def page_of(experiment_id: str) -> str:
    """Get the part of MLflow's address that shows an experiment's trainings by score, in the model-training view."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def experiment_note(experiment_id: str, description: str) -> str:
    """Describe an experiment in Markdown, with a link to its trainings on the first line, which MLflow always shows."""
    return f"{description} [Trainings by score, with the settings that differ]({page_of(experiment_id)})"


def view(differing: Iterable[str], created: int) -> str:
    """Write a view of MLflow's table of runs: trainings by score, with score and the settings that differ as columns.

    Args:
        differing: dotted keys.
        created: milliseconds since 1970.
    """
    settings = [f"params.`{key}`" for key in differing if key != MEMBERS][:MAX_COLUMNS]
    name, score = "attributes.`Run Name`", "metrics.`score`"
    state = {
        "searchFilter": "tags.stage = 'train'",
        "orderByKey": score,
        "orderByAsc": False,
        "selectedColumns": [score, *settings],
        "columnOrder": [name, score, *settings],
        "columnWidths": {name: 320, score: 100},
    }
    named = {"name": "Trainings by score", "createdAt": created, "updatedAt": created, "state": json.dumps(state)}
    return json.dumps(named)


def _training(run: "MlflowEntity") -> Training:
    tags, params, score = run.data.tags, run.data.params, run.data.metrics["score"]
    return Training(params, score, tags.get("validated_on", ""), tags.get("git_commit", ""))


def _with_members(settings: Mapping[str, str]) -> dict[str, str]:
    """Replace the settings of ensemble members by the list of their names."""
    members = [key.removeprefix(f"{MEMBERS}.") for key in settings if key.startswith(f"{MEMBERS}.")]
    kept = {key: value for key, value in settings.items() if not key.startswith(f"{MEMBERS}.")}
    return {**kept, MEMBERS: " and ".join(sorted(members)) or "none"}


def _short_key(key: str, among: Iterable[str]) -> str:
    """Shorten a dotted key to its last part, or its last two where another ends alike or the part is `name`."""
    parts = key.split(".")
    is_clear = parts[-1] != "name" and sum(other.split(".")[-1] == parts[-1] for other in among) == 1
    return parts[-1] if is_clear else parts[-2] if parts[-1] == "name" and len(parts) > 1 else key


def short_value(value: Any) -> str:
    """Shorten a number to four digits, such as 0.0003162, and a text to MAX_VALUE characters."""
    try:
        return f"{float(value):.4g}" if not isinstance(value, bool) else str(value)
    except (TypeError, ValueError):
        text = str(value)
        return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"
