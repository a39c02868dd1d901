"""Kinds of problem: classification and detection, behind the protocol of base.py."""

from tropho.config.model_config import PRESENCE
from tropho.config.task_config import TaskSettings
from tropho.tasks.base import Task


def build_task(settings: TaskSettings, classes: list[str]) -> Task:
    """The task object for these settings; `classes` come from the audit, in order."""
    if settings.model.name == PRESENCE:
        from tropho.tasks.negative_task import PresenceTask

        return PresenceTask(settings, classes)
    if settings.kind == "detection":
        from tropho.tasks.detection_task import DetectionTask

        return DetectionTask(settings, classes)
    from tropho.tasks.classification_task import ClassificationTask

    return ClassificationTask(settings, classes)
