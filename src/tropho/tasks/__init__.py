"""Kinds of task: detection, the negative classifier and classification."""

from tropho.config.model_config import NEGATIVE_CLASSIFIER
from tropho.config.task_config import TaskConfig
from tropho.tasks.base import Task


def build_task(settings: TaskConfig, classes: list[str]) -> Task:
    """Build the task of these settings; `classes` are the audit's, in the order of class indices."""
    if settings.model.name == NEGATIVE_CLASSIFIER:
        from tropho.tasks.detection_task import NegativeTask

        return NegativeTask(settings, classes)
    if settings.kind == "detection":
        from tropho.tasks.detection_task import DetectionTask

        return DetectionTask(settings, classes)
    from tropho.tasks.classification_task import ClassificationTask

    return ClassificationTask(settings, classes)
