"""Start a training from the weights of another, whose classes may differ."""

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tropho.config.model_config import Checkpoint
from tropho.errors import DataError
from tropho.files import reading
from tropho.inference.trained_folds import StartWeights
from tropho.tasks import build_task
from tropho.tasks.base import Task

COUNTER = "num_batches_tracked"  # a buffer of batch norms, which frozen ones lack
MAX_NAMED = 4  # layers that an error names


def load_start_weights(model: nn.Module, start: StartWeights, task: Task) -> str:
    """Copy weights into a model of the same architecture, and return a line for the log on what was loaded.

    Outputs for classes that the other model knows by the same name are copied; those for others keep their new weights.

    Raises:
        DataError: a layer is missing, or has another shape for a reason other than its classes.
    """
    with reading(start.path):
        given = load_file(start.path)
    own = model.state_dict()
    heads = _outputs_a_class(own, task)
    unknown = [name for name in given if name not in own and not name.endswith(COUNTER)]
    wrong = [name for name in own if not name.endswith(COUNTER) and not _fits(name, own, given, heads, start, task)]
    if unknown or wrong:
        raise DataError(
            f"{start.path} is of another architecture than {_architecture(task)} is here: "
            f"{_named(wrong, 'missing or of another shape')}{' and ' if wrong and unknown else ''}"
            f"{_named(unknown, 'not in this network')}; set the section model as it was for those weights."
        )
    known = start.classes or []
    pairs = [(idx, known.index(name)) for idx, name in enumerate(task.classes) if name in known]  # both know by name
    with torch.no_grad():
        for name, value in own.items():
            if name in heads and start.classes != task.classes:
                _copy_classes(name, value, given[name], heads[name], len(task.classes), pairs)
            elif name in given:
                value.copy_(given[name])
    same = [task.classes[idx] for idx, _ in pairs]
    others = [name for name in task.classes if heads and name not in same]
    text = f"starts from {start.path} (SHA-256 {start.sha256[:12]})"
    return f"{text}; outputs for {', '.join(others)} start anew" if others else text


def _architecture(task: Task) -> str:
    """Name the setting that chooses the network, with its value."""
    model = task.settings.model
    if isinstance(model.checkpoint, Checkpoint):
        return f"model.checkpoint '{model.checkpoint.name}'"
    return f"model.name '{model.name}'"


def _outputs_a_class(own: dict[str, Tensor], task: Task) -> dict[str, int]:
    """Return how many rows of each layer belong to a class: those by which it grows with one class more."""
    classes = [f"class {number}" for number in range(len(task.classes) + 1)]
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        larger = build_task(task.settings, classes).build_model().state_dict()
    return {name: len(larger[name]) - len(own[name]) for name in own if larger[name].shape != own[name].shape}


def _fits(
    name: str, own: dict[str, Tensor], given: dict[str, Tensor], heads: dict[str, int], start: StartWeights, task: Task
) -> bool:
    """Tell whether a layer is there, and of the right shape for its number of classes."""
    if name not in given:
        return False
    shape, expected = given[name].shape, list(own[name].shape)
    if name in heads and start.classes is not None:
        expected[0] += heads[name] * (len(start.classes) - len(task.classes))
    elif name in heads:
        expected[0] = shape[0] if len(shape) else 0
    return list(shape) == expected


def _copy_classes(
    name: str, own: Tensor, given: Tensor, n_rows: int, n_classes: int, pairs: list[tuple[int, int]]
) -> None:
    """Copy the rows of shared classes (index here and there), in place, and those of no class, such as the background.

    `own` has `n_rows` rows for each of `n_classes`, and maybe others; `given` has the same for its classes.
    """
    if not pairs:
        return
    n_others = len(own) - n_rows * n_classes
    n_given = (len(given) - n_others) // n_rows
    if "box_predictor" in name:  # torchvision's: the background first, then class by class
        own[:n_others] = given[:n_others]
        for idx, given_idx in pairs:
            first, given_first = n_others + n_rows * idx, n_others + n_rows * given_idx
            own[first : first + n_rows] = given[given_first : given_first + n_rows]
        return
    for row in range(n_rows):  # anchor by anchor, then what is of no class
        for idx, given_idx in pairs:
            own[row * n_classes + idx] = given[row * n_given + given_idx]
    own[n_rows * n_classes :] = given[n_rows * n_given :]


def _named(layers: list[str], fault: str) -> str:
    """Name the first layers that have a fault; "" without any."""
    names = list(dict.fromkeys(layer.rpartition(".")[0] or layer for layer in layers))
    rest = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{rest} ({fault})" if names else ""
