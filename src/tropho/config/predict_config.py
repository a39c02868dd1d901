"""The sections `predict` and `evaluate` of params.yaml: views, tiles, fusion of several models, and measurement."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tropho.config.model_config import STRIDE
from tropho.config.types import AtLeastOne, NotNegative, Pictures, Positive, Section, Share
from tropho.orientation import SYMMETRIES

SCALE_LIMITS = 0.25, 4.0
TILE_OVERLAP = 64  # pixels; small tiles share less

_VIEW = re.compile(rf"({'|'.join(SYMMETRIES)})(?:@([0-9]+(?:\.[0-9]+)?))?")


def parse_view(view: str) -> tuple[str, float]:
    """Split a view `SYMMETRY` or `SYMMETRY@SCALE` into symmetry and scale; ValueError if it is neither."""
    match = _VIEW.fullmatch(view)
    if match is None:
        names = ", ".join(f"'{name}'" for name in SYMMETRIES)
        raise ValueError(f"a view is one of {names}, alone or with a scale, such as 'hflip@1.25'")
    scale = float(match[2] or 1.0)
    if not SCALE_LIMITS[0] <= scale <= SCALE_LIMITS[1]:
        raise ValueError(f"the scale of a view must be {SCALE_LIMITS[0]} to {SCALE_LIMITS[1]}")
    return match[1], scale


def _check_view(view: str) -> str:
    parse_view(view)
    return view


def _check_views(views: list[str]) -> list[str]:
    if len({parse_view(view) for view in views}) < len(views):
        raise ValueError("a view is named twice")
    return views


class PredictConfig(Section):
    """How trained models look at an image; shared by evaluate, submit and predict."""

    tta: Annotated[list[Annotated[str, AfterValidator(_check_view)]], Field(min_length=1), AfterValidator(_check_views)]
    batch_size: AtLeastOne
    tile_size: Annotated[int, Field(ge=STRIDE, le=16_384, multiple_of=STRIDE)] | None
    ensemble_method: Literal["wbf", "nms"]
    wbf_iou_threshold: Share | dict[str, Share]
    member_weights: Literal["equal"] | dict[str, NotNegative]
    negative_members: Annotated[list[str], Field(min_length=1)] | None

    @property
    def tile_overlap(self) -> int:
        """Return the pixels that neighbouring tiles share; an object of this size is complete in one of them."""
        return min(TILE_OVERLAP, (self.tile_size or TILE_OVERLAP) - STRIDE)

    @property
    def has_scaled_view(self) -> bool:
        """Return whether a view is of another size than the packed image."""
        return any(parse_view(view)[1] != 1.0 for view in self.tta)

    def weight_of(self, member: str) -> float:
        """Return the weight of a member as set."""
        return self.member_weights[member] if isinstance(self.member_weights, dict) else 1.0

    def overlap_of(self, label: str) -> float:
        """Return the IoU from which boxes of a class are fused; 1 for a class without one, such as the negative."""
        iou = self.wbf_iou_threshold
        return iou.get(label, 1.0) if isinstance(iou, dict) else iou

    def says_negative(self, member: str) -> bool:
        """Return whether a member's P(negative) counts."""
        return self.negative_members is None or member in self.negative_members

    def member_faults(self, classes: list[str] | None, members: list[str], boxless: list[str]) -> Iterator[str]:
        """Yield what is wrong with values by class or by member, the `boxless` without boxes."""
        weights = self.member_weights
        if isinstance(self.wbf_iou_threshold, dict) and sorted(self.wbf_iou_threshold) != sorted(classes or []):
            yield "predict.wbf_iou_threshold by class needs audit.classes, and a value for each of them and no other"
        if isinstance(weights, dict) and (set(weights) != set(members) or not any(weights.values())):
            names = ", ".join(members)
            yield f"predict.member_weights needs a value for each of {names} and no other, not all of them 0"
        for name in self.negative_members or []:
            if name not in members:
                yield f"predict.negative_members: there is no member '{name}'; members are {', '.join(members)}"
        if not any(self.weight_of(name) for name in members if name not in boxless):
            yield "predict.member_weights leaves no member that finds boxes; give one of them more than 0"
        if not any(self.weight_of(name) for name in members if self.says_negative(name)):
            yield "predict.member_weights are 0 for all predict.negative_members; give one of them more than 0"


class EvaluateConfig(Section):
    """What is measured."""

    score_test: bool
    beta: Positive
    min_recall: Annotated[float, Field(gt=0, le=1)] | None
    gallery_images: Pictures
    fit_postprocess: bool

    @property
    def threshold_description(self) -> str:
        """Describe the rule that chooses thresholds."""
        if self.min_recall is not None:
            return f"a recall of at least {self.min_recall:g}"
        return f"the best F{self.beta:g}"
