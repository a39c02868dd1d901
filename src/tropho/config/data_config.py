"""The sections `download`, `audit` and `split` of params.yaml."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tropho.config.types import AtLeastOne, Positive, Section, Seed, Share
from tropho.errors import suggestion


class DownloadConfig(Section):
    """The source of the data."""

    source: Literal["local", "generator", "zindi", "huggingface", "kaggle"]
    path: str | None
    repo: str | None
    revision: str | None
    config: str | None
    scene: Literal["smear", "cells"]
    images: AtLeastOne
    test_images: AtLeastOne
    seed: Seed
    difficulty: Share

    def faults(self) -> Iterator[str]:
        needed = {"local": "path", "huggingface": "repo", "kaggle": "repo"}.get(self.source)
        if needed and getattr(self, needed) is None:
            yield f"source '{self.source}' needs the key '{needed}'"

    @property
    def is_competition(self) -> bool:
        """Whether the images are of a competition, on Zindi or Kaggle, that takes submissions."""
        return self.source == "zindi" or (self.source == "kaggle" and "/" not in str(self.repo))


COLUMN_ROLES = (
    *("image", "label", "subset", "xmin", "ymin", "xmax", "ymax", "x", "y", "width", "height", "xcenter", "ycenter"),
    *("bbox", "bbox_xywh", "bbox_xyxy", "bbox_cxcywh", "image_width", "image_height"),
)
"""Roles of a table's columns; the keys of audit.columns."""


class AuditConfig(Section):
    """How labels are read, and which faults are looked for."""

    format: Literal["boxes_csv", "coco", "voc", "yolo", "kitti", "image_folder", "label_csv"]
    columns: dict[str, str]
    classes: list[str] | None
    class_map: dict[str, str | None]
    negative: str | None
    train: list[str] | None
    test: list[str] | None
    sample: str | None
    group_pattern: str | None
    max_megapixels: Positive
    merge_duplicate_boxes: bool
    missing_labels: Literal["detect", "list", "none"]
    cluster_slides: bool
    corrections: str | None
    image_sizes_csv: str | None

    @field_validator("classes")
    @classmethod
    def _are_names(cls, names: list[str] | None) -> list[str] | None:
        if names == []:
            raise ValueError("it names no class; null takes those that the labels have")
        for name in names or []:
            if not name.strip():
                raise ValueError("a class has an empty name; leave it out")
            if names and names.count(name) > 1:
                raise ValueError(f"it names '{name}' twice; leave one out")
        return names

    def faults(self) -> Iterator[str]:
        if self.negative is not None and not self.negative.strip():
            yield "negative is an empty name; null says that there is no such class"
        if self.negative in (self.classes or []):
            yield f"negative '{self.negative}' says that an image shows none of the classes; leave it out of classes"

    @field_validator("columns")
    @classmethod
    def _are_known(cls, columns: dict[str, str]) -> dict[str, str]:
        for role in columns:
            if role not in COLUMN_ROLES:
                raise ValueError(f"'{role}' is not a known key{suggestion(role, COLUMN_ROLES)}")
        return columns

    @field_validator("corrections", "image_sizes_csv")
    @classmethod
    def _is_watched(cls, path: str | None) -> str | None:
        if path is not None and not (path.startswith("corrections/") and path.endswith(".csv")):
            raise ValueError("it must be a CSV file in corrections/, the folder whose changes rerun the audit")
        return path


class SplitConfig(Section):
    """Folds, and the test set where none is published."""

    published_val: Literal["merge", "keep"]
    n_folds: Annotated[int, Field(ge=2, le=1000)]
    test_fraction: Share
    grouped: bool
    test_overlap: Literal["keep", "drop_duplicates", "drop_groups"]
    seed: Seed
