"""Checkpoints of transformers' detectors: from the Hub or a folder to a network for other classes."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tropho.config.model_config import Checkpoint, ModelConfig
from tropho.errors import ExternalError, UsageError
from tropho.files import fingerprint, sha256_of
from tropho.hub import HubRepo
from tropho.models.heads import PRIOR

if TYPE_CHECKING:
    from transformers import PretrainedConfig

NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^\s@]+))?")
CONFIGS = ["config.json", "preprocessor_config.json"]
SAFETENSORS = ["model.safetensors", "model.safetensors.index.json", "model-*.safetensors"]
PICKLES = ["pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin"]
"""Read with torch's `weights_only`, where a checkpoint has no safetensors."""

SET: dict[str, Any] = {
    "freeze_backbone_batch_norms": False,  # model.norm decides
    "anchor_image_size": None,  # images have any size
    "eval_size": None,
    "use_pretrained_backbone": False,  # all weights come from the checkpoint
    "initializer_bias_prior_prob": PRIOR,
}
"""What Tropho sets in a network's configuration where it has the key."""
MAX_NAMED = 4  # layers that an error names of each kind


def resolve_checkpoint(model: ModelConfig, classes: list[str]) -> ModelConfig:
    """Replace `model.checkpoint` by a record of what it names now, so that a trained model needs it no more.

    Raises:
        UsageError: transformers is not installed, has not this architecture, or the name is no checkpoint's.
        ExternalError: the Hub can't be reached or refuses, or a file of the checkpoint is damaged.
    """
    if isinstance(model.checkpoint, Checkpoint):
        return model
    name = str(model.checkpoint)
    _require_transformers()
    folder, revision = _open(name)
    config = _read_config(folder, name)
    config.id2label = dict(enumerate(classes))
    config.label2id = {label: number for number, label in enumerate(classes)}
    mean, std = _read_normalization(folder, name)
    record = Checkpoint(
        name=name,
        revision=revision,
        network=json.loads(config.to_json_string()),
        mean=mean,
        std=std,
    )
    return model.model_copy(update={"checkpoint": record})


def build_network(model: ModelConfig, num_classes: int) -> Any:
    """Build the network of a resolved checkpoint for other classes.

    Layers whose shape depends on the number of classes start from new weights by torch's global seed. With
    `pretrained` all others are the checkpoint's, else they are new as well.

    Raises:
        UsageError, ExternalError: as `resolve_checkpoint`; the weights are not those of the network.
    """
    _require_transformers()
    from transformers import AutoConfig

    checkpoint = model.checkpoint
    assert isinstance(checkpoint, Checkpoint)
    config = _adapted(AutoConfig.for_model(**checkpoint.network))
    network = _from_config(config, num_classes)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)  # transformers starts some of them near 0
    if model.pretrained:
        published = _load_published(checkpoint)
        of_classes = _class_layers(config, num_classes)
        weights = {key: value for key, value in published.items() if key not in of_classes}
        network.load_state_dict(weights, strict=False)
    return network


def _require_transformers() -> None:
    """Import transformers and keep it from printing: what goes wrong is said in one sentence."""
    try:
        from transformers import logging
    except ImportError as error:
        raise UsageError("model.name hf_detr needs transformers; run `pip install -e '.[detr]'`.") from error
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()


def _open(name: str, weights: bool = False) -> tuple[Path, str]:
    """Return the folder of a checkpoint's files and its revision: the Hub's commit, or a hash of a folder's files."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        patterns = [*CONFIGS, *(SAFETENSORS if any(folder.glob(SAFETENSORS[0][:5] + "*.safetensors")) else PICKLES)]
        files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
        return folder, fingerprint([[path.name, sha256_of(path)] for path in files])
    match = NAME.fullmatch(name)
    if match is None:
        raise UsageError(
            f"model.checkpoint '{name}' is neither a folder nor a name on the Hub; write owner/name, or "
            "owner/name@revision."
        )
    repo = HubRepo(match["repo"], match["revision"], "model")
    folder = repo.download(CONFIGS)
    if weights:
        repo.download(SAFETENSORS)
        if not any(folder.glob("*.safetensors")):
            repo.download(PICKLES)
    return folder, repo.commit


def _read_config(folder: Path, name: str) -> "PretrainedConfig":
    from transformers import MODEL_FOR_OBJECT_DETECTION_MAPPING, AutoConfig, __version__

    with _reading("config.json", name):
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if type(config) not in MODEL_FOR_OBJECT_DETECTION_MAPPING:
        raise UsageError(
            f"The checkpoint '{name}' is a {config.model_type}, which is no detector in transformers {__version__}; "
            "set model.checkpoint to a detector."
        )
    return config


def _read_normalization(folder: Path, name: str) -> tuple[list[float], list[float]]:
    """Read mean and deviation of the pixels, in 0..1, that a checkpoint's preprocessing subtracts and divides by."""
    from transformers import AutoImageProcessor

    with _reading("preprocessor_config.json", name):
        processor: Any = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    full = 255.0 * (processor.rescale_factor if processor.do_rescale else 1.0)  # white, before it is normalised
    if not processor.do_normalize:
        return [0.0] * 3, [1.0 / full] * 3
    return [value / full for value in processor.image_mean], [value / full for value in processor.image_std]


def _adapted(config: Any) -> Any:
    for key, value in SET.items():
        if hasattr(config, key):
            setattr(config, key, value)
    return config


def _from_config(config: Any, num_classes: int) -> Any:
    from transformers import AutoModelForObjectDetection

    if config.num_labels != num_classes:
        config.num_labels = num_classes
    network: Any = AutoModelForObjectDetection.from_config(config, dtype=torch.float32)
    return _joined(network)


def _joined(network: Any) -> Any:
    """Let heads that stand at two places be one, as transformers means it even where a file holds both."""
    decoder = getattr(getattr(network, "model", None), "decoder", None)
    for name in ("class_embed", "bbox_embed"):
        if isinstance(getattr(network, name, None), nn.ModuleList) and getattr(decoder, name, None) is not None:
            setattr(network, name, getattr(decoder, name))
    return network


def _class_layers(config: Any, num_classes: int) -> set[str]:
    """Return the keys of the state dict whose shapes depend on the number of classes."""
    shapes = []
    for number in (num_classes, num_classes + 1):
        with torch.device("meta"):
            network = _from_config(type(config).from_dict(config.to_dict()), number)
        shapes.append({key: value.shape for key, value in network.state_dict().items()})
    return {key for key, shape in shapes[0].items() if shape != shapes[1][key]}


def _load_published(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Load the weights of a checkpoint as they were published, with all their classes; check that none is left over."""
    from transformers import AutoModelForObjectDetection

    at = checkpoint.name
    if not Path(at).expanduser().is_dir():
        at = f"{at.partition('@')[0]}@{checkpoint.revision}"
    folder, revision = _open(at, weights=True)
    if revision != checkpoint.revision:
        raise UsageError(f"The files of '{at}' have changed since this training began; run the stage again.")
    config = _adapted(_read_config(folder, at))
    try:
        network, info = AutoModelForObjectDetection.from_pretrained(
            folder,
            config=config,
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
            dtype=torch.float32,
            trust_remote_code=False,
            weights_only=True,
        )
    except Exception as error:  # safetensors and pickle raise types of their own
        raise ExternalError(
            f"The weights of the checkpoint '{at}' can't be read ({_reason(error)}); delete them and fetch them again."
        ) from error
    _check_complete(info, at)
    return dict(_joined(network).state_dict())


def _check_complete(info: dict[str, Any], name: str) -> None:
    """Raise ExternalError with the layers that a checkpoint lacks, has too many, or has in another shape."""
    missing, unknown = (
        sorted(key for key in info[kind] if not key.endswith("num_batches_tracked"))  # frozen norms count none
        for kind in ("missing_keys", "unexpected_keys")
    )
    misshapen = sorted(
        f"{key} {tuple(found)} instead of {tuple(needed)}" for key, found, needed in info["mismatched_keys"]
    )
    faults = {"lacks": missing, "has unknown": unknown, "has in another shape": misshapen}
    said = [f"{fault} {_listed(keys)}" for fault, keys in faults.items() if keys]
    if said:
        raise ExternalError(
            f"The checkpoint '{name}' is not one of its architecture: it {', and '.join(said)}; choose another one, or "
            "set model.pretrained to false."
        )


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(keys[:MAX_NAMED]) + more


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


@contextmanager
def _reading(file: str, name: str) -> Iterator[None]:
    """Turn the errors of reading a file of a checkpoint into ExternalError."""
    from transformers import __version__

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExternalError(
            f"transformers {__version__} can't read {file} of the checkpoint '{name}' ({_reason(error)}); set "
            "model.checkpoint to a detector that it knows."
        ) from error
