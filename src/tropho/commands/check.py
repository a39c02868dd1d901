"""Check a task before it is trained, and estimate what the training costs."""

from collections.abc import Iterator
from pathlib import Path

from tropho.commands.active_tasks import with_activation
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import read_task_data
from tropho.errors import DataError
from tropho.paths import Paths
from tropho.training.preflight import describe_cost, duration, measure_cost, preflight
from tropho.training.training_plan import plan_models


def check_task(settings: TaskConfig, root: Path) -> Iterator[str]:
    """Check every model of a task; yield a line a finding, then what its training costs.

    Raises:
        DataError: the task's data is not prepared, or a check found a fault.
    """
    paths = Paths(root, settings.name)
    if not paths.augmented.exists():
        raise DataError(f"The images of {paths.task} are not prepared; run `dvc repro augment@{paths.task}` first.")
    models = plan_models(settings, read_task_data(paths), paths)
    seconds, n_faults, n_warnings = 0.0, 0, 0
    for model in models:
        picture = paths.check / f"{model.name}.png"
        for finding in preflight(model.settings, model.data, model.folds[0], paths.raw, picture):
            n_faults += finding.state == "fault"
            n_warnings += finding.state == "warning"
            yield f"{model.name}  {finding}"
        yield f"{model.name}  picture: {picture.relative_to(root)}"
        cost = measure_cost(model.task, model.data, model.folds[0])
        yield f"{model.name}  cost: {describe_cost(cost, model.settings.train, len(model.folds))}"
        seconds += len(model.folds) * cost.seconds
    if len(models) > 1:
        yield f"all {len(models)} models take about {duration(seconds)}"
    if not n_faults:
        also = "; a warning need not be corrected" if n_warnings else ""
        done = f"{settings.name} has no fault and can be trained{also}; run `dvc repro report@{settings.name}`."
        yield with_activation(done, [], root)
    if n_faults:
        raise DataError(f"{settings.name} has {n_faults} fault(s), listed above; correct them before a long training.")
