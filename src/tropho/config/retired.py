"""Table of retired settings: the present name of each, or why it is gone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tropho.config.task_config import SECTIONS
from tropho.errors import UsageError

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
    values = " and ".join(f"{as_yaml(old)} is {as_yaml(new)}" for old, new in retired.values.items())
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
        dotted = dotted_key(section, str(key))
        if is_retired(dotted, value):
            yield dotted, f"{where}.{key}"
        yield from _find(value, f"{where}.{key}", section_of(str(key)))


def dotted_key(section: str | None, key: str) -> str:
    """Return a setting's section and key; in presets and members (section None) keys are dotted already."""
    return key if section is None else f"{section}.{key}"


def section_of(key: str) -> str | None:
    """Return the section that a key opens, if any."""
    return key if key in SECTIONS else None


def as_yaml(value: object) -> str:
    """Write a value as YAML spells it; of text and numbers, as it is."""
    return str(value).lower() if isinstance(value, bool) else str(value)
