"""The settings of prediction: test-time views, tiles, and how boxes and probabilities of several models become one."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tropho.config.model_config import STRIDE
from tropho.config.types import AtLeastOne, NotNegative, Section, Share
from tropho.orientation import SYMMETRIES

SCALE_LIMITS = 0.25, 4.0
TILE_OVERLAP = 64
"""Pixels; small tiles share less."""

_VIEW = re.compile(rf"({'|'.join(SYMMETRIES)})(?:@([0-9]+(?:\.[0-9]+)?))?")


def parse_view(view: str) -> tuple[str, float]:
    """A view `SYMMETRY` or `SYMMETRY@SCALE` -> its symmetry and scale; ValueError where it is neither."""
    found = _VIEW.fullmatch(view)
    if found is None:
        names = ", ".join(f"'{name}'" for name in SYMMETRIES)
        raise ValueError(f"a view is one of {names}, alone or with a scale, such as 'hflip@1.25'")
    scale = float(found[2] or 1.0)
    if not SCALE_LIMITS[0] <= scale <= SCALE_LIMITS[1]:
        raise ValueError(f"the scale of a view must be {SCALE_LIMITS[0]} to {SCALE_LIMITS[1]}")
    return found[1], scale


def _check_view(view: str) -> str:
    parse_view(view)
    return view


def _check_distinct(views: list[str]) -> list[str]:
    if len({parse_view(view) for view in views}) < len(views):
        raise ValueError("a view is named twice")
    return views


View = Annotated[str, AfterValidator(_check_view)]


class PredictConfig(Section):
    """How trained models look at an image; shared by evaluate, submit and predict."""

    tta: Annotated[list[View], Field(min_length=1), AfterValidator(_check_distinct)]
    batch_size: AtLeastOne
    tile_size: Annotated[int, Field(ge=STRIDE, le=16_384, multiple_of=STRIDE)] | None
    ensemble_method: Literal["wbf", "nms"]
    wbf_iou_threshold: Share | dict[str, Share]
    member_weights: Literal["equal", "fitted"] | dict[str, NotNegative]
    negative_members: Annotated[list[str], Field(min_length=1)] | None

    @property
    def tile_overlap(self) -> int:
        """Return the pixels that neighbouring tiles share; an object of this size is complete in one of them."""
        return min(TILE_OVERLAP, (self.tile_size or TILE_OVERLAP) - STRIDE)

    @property
    def scaled(self) -> bool:
        """Whether a view is of another size than the packed image."""
        return any(parse_view(view)[1] != 1.0 for view in self.tta)

    def weight_of(self, member: str) -> float:
        """How much a member counts unless that is fitted."""
        return self.member_weights[member] if isinstance(self.member_weights, dict) else 1.0

    def overlap_of(self, label: str) -> float:
        """From which overlap boxes of a class are one; 1 for a class that has none, such as the negative one."""
        return (
            self.wbf_iou_threshold.get(label, 1.0)
            if isinstance(self.wbf_iou_threshold, dict)
            else self.wbf_iou_threshold
        )

    def says_negative(self, member: str) -> bool:
        """Whether a member's P(negative) counts."""
        return self.negative_members is None or member in self.negative_members

    def faults(self, classes: list[str] | None, members: list[str], boxless: list[str]) -> str | None:
        """What is wrong with values by class or by member, for a task that has these; None if nothing is.

        `boxless` are those of the members that find no boxes.
        """
        if isinstance(self.wbf_iou_threshold, dict) and sorted(self.wbf_iou_threshold) != sorted(classes or []):
            return "predict.wbf_iou_threshold by class needs audit.classes, and a value for each of them and no other"
        if isinstance(self.member_weights, dict) and (
            set(self.member_weights) != set(members) or not any(self.member_weights.values())
        ):
            return (
                f"predict.member_weights needs a value for each of {', '.join(members)} and no other, not all of them 0"
            )
        unknown = [name for name in self.negative_members or [] if name not in members]
        if unknown:
            return f"predict.negative_members: there is no member '{unknown[0]}'; members are {', '.join(members)}"
        if not any(self.weight_of(name) for name in members if name not in boxless):
            return "predict.member_weights leaves no member that finds boxes; give one of them more than 0"
        if not any(self.weight_of(name) for name in members if self.says_negative(name)):
            return (
                "predict.member_weights are 0 for all that predict.negative_members names; give one of them more than 0"
            )
        return None
