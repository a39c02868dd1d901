"""Retired settings: the present name of each, or why it is gone; refused, and rewritten by `tropho new-names`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tropho.config.task_config import SECTIONS
from tropho.errors import UsageError
from tropho.files import write_text, yaml_fault

CONSTANT = "is a constant now; remove it"
READ_BY_CONTENT = "is gone: images are read by their content, whatever their ending; remove it"
STEPS_ARE_FITTED = "is gone: evaluate.fit_postprocess, true or false, says whether to fit post-processing; remove it"
PASTED_BESIDE_OBJECTS = "is gone: objects are pasted only into images that have some; remove it"


@dataclass(frozen=True)
class Retired:
    """Present name of a retired setting, or of retired values.

    `key` is the present name in the same section; None if there is none, for the reason `because`.
    `values` are the changed values, old -> new.
    """

    key: str | None = None
    values: dict[Any, Any] = field(default_factory=dict)
    because: str = CONSTANT


CONSTANTS = (
    *(
        "audit.double_iou",
        "audit.duplicate_box_iou",
        "audit.min_box",
        "audit.missing_labels_alpha",
        "audit.protocol_level",
    ),
    *("augment.crop_objects", "augment.previews", "model.slope", "train.channels_last", "tune.prune"),
    *("predict.tile_overlap", "evaluate.iou", "submit.decimals", "report.title"),
)

RETIRED: dict[str, Retired] = {
    **dict.fromkeys(CONSTANTS, Retired()),
    "audit.extension_mismatch": Retired(because=READ_BY_CONTENT),
    "audit.merge_doubles": Retired("merge_duplicate_boxes"),
    "audit.mistyped": Retired(because=READ_BY_CONTENT),
    "audit.near_duplicate_bits": Retired(because="is gone: images are aligned and compared; remove it"),
    "audit.protocol": Retired("missing_labels"),
    "audit.same_slide": Retired("cluster_slides", {"detect": True, "none": False}),
    "audit.sizes": Retired("image_sizes_csv"),
    "split.drop_test_duplicates": Retired("test_overlap", {True: "drop_duplicates", False: "keep"}),
    "split.folds": Retired("n_folds"),
    "split.holdout": Retired("test_fraction"),
    "split.validation": Retired("published_val", {"merged": "merge", "published": "keep"}),
    "augment.copy_paste": Retired("copy_paste_prob"),
    "augment.copy_paste_negative_prob": Retired(because=PASTED_BESIDE_OBJECTS),
    "augment.copy_paste_negatives": Retired(because=PASTED_BESIDE_OBJECTS),
    "augment.crop": Retired("crop_size"),
    "augment.encoding": Retired("cache_format"),
    "augment.grey": Retired("grayscale"),
    "augment.mosaic": Retired("mosaic_prob"),
    "augment.scales": Retired("zoom_range"),
    "augment.size": Retired("image_size"),
    "model.anchors": Retired("fit_levels", {"fitted": True, "fixed": False}),
    "model.fpn_width": Retired("fpn_channels"),
    "model.head_depth": Retired("num_head_convs"),
    "model.hidden": Retired("hidden_units"),
    "model.name": Retired("name", {"presence": "negative_classifier", "rt_detr": "hf_detr"}),
    "model.nms_iou": Retired("nms_iou_threshold"),
    "model.ranges": Retired("regression_ranges"),
    "model.score_min": Retired("score_threshold"),
    "model.skip": Retired("residual"),
    "train.clip_norm": Retired("clip_grad_norm"),
    "train.ema": Retired("ema_decay"),
    "train.folds": Retired("n_folds"),
    "train.freeze_epochs": Retired("freeze_backbone_epochs"),
    "train.gamma": Retired("decay_rate"),
    "train.log_layers": Retired("log_layer_stats"),
    "train.members": Retired("ensemble"),
    "train.patience": Retired("early_stopping_patience"),
    "train.stage_lr": Retired("layer_decay"),
    "train.step_epochs": Retired("decay_epochs"),
    "train.validate_every": Retired("val_interval"),
    "train.workers": Retired("num_workers"),
    "tune.images": Retired("max_train_images"),
    "tune.seed": Retired(because="is train.seed now; remove it"),
    "predict.member_weights": Retired(
        "member_weights", {"fitted": "equal"}, "set evaluate.fit_postprocess: true to fit"
    ),
    "predict.fusion": Retired("ensemble_method"),
    "predict.merge_iou": Retired("wbf_iou_threshold"),
    "predict.negative_from": Retired("negative_members"),
    "predict.tile": Retired("tile_size"),
    "predict.weights": Retired("member_weights"),
    "evaluate.fusion_trials": Retired(because=STEPS_ARE_FITTED),
    "evaluate.gallery": Retired("gallery_images"),
    "evaluate.heat_maps": Retired(because="is a third of evaluate.gallery_images now; remove it"),
    "evaluate.postprocess_trials": Retired(because=STEPS_ARE_FITTED),
    "evaluate.sensitivity": Retired("min_recall"),
    "evaluate.suspects": Retired(because="is evaluate.gallery_images now; remove it"),
    "evaluate.test": Retired("score_test"),
    "evaluate.threshold": Retired(
        because="is gone: evaluate.min_recall is the rule where it is set, else evaluate.beta; remove it"
    ),
}
"""By old section and key."""


def sentence(dotted: str, where: str) -> str:
    """Give the present name of a retired setting in a sentence; `where` is its place in params.yaml."""
    retired, (section, _, key) = RETIRED[dotted], dotted.partition(".")
    if retired.key is None:
        return f"{where} {retired.because}."
    values = " and ".join(f"{_as_yaml(old)} is {_as_yaml(new)}" for old, new in retired.values.items())
    new = f"{section}.{retired.key}"
    also = f" ({retired.because})" if retired.because != CONSTANT else ""
    change = (
        f"has new values: {values}{also}" if retired.key == key else f"is now {new}{f' ({values})' if values else ''}"
    )
    return f"{where} {change}; `tropho new-names params.yaml` rewrites the file."


def refuse_retired(tree: Any, where: str) -> None:
    """Raise UsageError with the present name of the first retired setting in a part of params.yaml.

    `tree` is the part's content, such as an entry of `tasks`, and `where` its place, such as "tasks.malaria".
    """
    for dotted, place in _find(tree, where):
        raise UsageError(sentence(dotted, place))


def is_retired(dotted: str, value: Any) -> bool:
    """Return whether a setting is retired, or this value of it."""
    retired = RETIRED.get(dotted)
    if retired is None:
        return False
    return retired.key != dotted.partition(".")[2] or (isinstance(value, str) and value in retired.values)


def _find(tree: Any, where: str, section: str | None = None) -> Iterator[tuple[str, str]]:
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        dotted = _dotted_key(section, str(key))
        if is_retired(dotted, value):
            yield dotted, f"{where}.{key}"
        yield from _find(value, f"{where}.{key}", _section_of(str(key)))


def _dotted_key(section: str | None, key: str) -> str:
    """Return a setting's section and key; in presets and members (section None) keys are dotted already."""
    return key if section is None else f"{section}.{key}"


def _section_of(key: str) -> str | None:
    """Return the section that a key opens, if any."""
    return key if key in SECTIONS else None


def _as_yaml(value: object) -> str:
    """Write a value as YAML spells it; of text and numbers, as it is."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Pair(NamedTuple):
    """A pair of a YAML mapping."""

    place: str  # such as "tasks.malaria.train.ema"
    dotted: str  # section and key
    is_dotted: bool  # whether its key holds both, as in presets
    mapping: yaml.MappingNode
    number: int  # among the pairs of the mapping


def rewrite_file(path: Path) -> list[str]:
    """Rewrite the retired settings of a file in place.

    Returns: a line for each changed setting; empty if the file stays as it is.

    Raises:
        UsageError: the file is missing or no YAML, or holds a setting under both names.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path} is not here; name a params.yaml, or a file with an entry of one.") from None
    try:
        new, changes = rewrite(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {yaml_fault(error)}; correct it there.") from None
    if changes:
        write_text(path, new)
    return changes


def rewrite(text: str) -> tuple[str, list[str]]:
    """Rewrite the retired settings of YAML text, one after the other; returns the new text and a line for each."""
    changes: list[str] = []
    while setting := next(_retired_settings(yaml.compose(text, yaml.SafeLoader), "", None), None):
        retired = RETIRED[setting.dotted]
        if retired.key is None:
            text = _without(setting, text)
            changes.append(f"{setting.place}: removed, since it {retired.because.removesuffix('; remove it')}")
        else:
            text, change = _renamed(setting, text)
            changes.append(f"{setting.place} -> {change}")
    return text, changes


def _retired_settings(node: yaml.Node | None, where: str, section: str | None) -> Iterator[_Pair]:
    for number, (key, value) in enumerate(node.value if isinstance(node, yaml.MappingNode) else ()):
        dotted = _dotted_key(section, key.value)
        if is_retired(dotted, value.value):
            assert isinstance(node, yaml.MappingNode)
            yield _Pair(f"{where}{key.value}", dotted, section is None, node, number)
        yield from _retired_settings(value, f"{where}{key.value}.", _section_of(key.value))


def _renamed(setting: _Pair, text: str) -> tuple[str, str]:
    """Rename a key, and its values; returns the text, and the new key with the new value if that changed."""
    key, value = setting.mapping.value[setting.number]
    retired, section = RETIRED[setting.dotted], setting.dotted.partition(".")[0]
    new = change = f"{section}.{retired.key}" if setting.is_dotted else str(retired.key)
    if new != key.value and new in [other.value for other, _ in setting.mapping.value]:
        line = key.start_mark.line + 1
        raise UsageError(f"Line {line}: '{key.value}' is now '{new}', which stands there too; remove one of them.")
    written = text[key.end_mark.index : value.end_mark.index]
    for scalar in reversed(list(_scalars(value))):
        for old, put in retired.values.items():
            if scalar.value.lower() == str(old).lower():
                start, end = (mark.index - key.end_mark.index for mark in (scalar.start_mark, scalar.end_mark))
                written = written[:start] + _as_yaml(put) + written[end:]
                change = change if change != new else f"{new}: {_as_yaml(put)}"
    return text[: key.start_mark.index] + new + written + text[value.end_mark.index :], change


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from _scalars(item[1] if isinstance(node, yaml.MappingNode) else item)


def _without(setting: _Pair, text: str) -> str:
    """Remove a pair from its mapping, with its comment if it has lines of its own."""
    mapping, number = setting.mapping, setting.number
    pairs = mapping.value
    start, end = pairs[number][0].start_mark.index, pairs[number][1].end_mark.index
    if len(pairs) == 1 and mapping.flow_style:
        return f"{text[: mapping.start_mark.index]}{{}}{text[mapping.end_mark.index :]}"
    if len(pairs) == 1:  # the section's key ends the line before, with a colon and maybe a comment
        return f"{text[: text.rindex(':', 0, start) + 1]} {{}}{text[_line_end(text, end) :]}"
    if not mapping.flow_style:
        return text[: text.rfind("\n", 0, start) + 1] + text[_line_end(text, end) + 1 :]
    if number == len(pairs) - 1:  # with the comma before
        return text[: pairs[number - 1][1].end_mark.index] + text[end:]
    return text[:start] + text[pairs[number + 1][0].start_mark.index :]


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end
