"""Kinds of problem: classification and detection, behind the protocol of base.py."""

from tropho.config.model_config import NEGATIVE_CLASSIFIER
from tropho.config.task_config import TaskConfig
from tropho.tasks.base import Task


def build_task(settings: TaskConfig, classes: list[str]) -> Task:
    """The task object for these settings; `classes` come from the audit, in order."""
    if settings.model.name == NEGATIVE_CLASSIFIER:
        from tropho.tasks.negative_task import NegativeTask

        return NegativeTask(settings, classes)
    if settings.kind == "detection":
        from tropho.tasks.detection_task import DetectionTask

        return DetectionTask(settings, classes)
    from tropho.tasks.classification_task import ClassificationTask

    return ClassificationTask(settings, classes)
