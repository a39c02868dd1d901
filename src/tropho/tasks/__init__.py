"""Kinds of problem: classification and detection, behind the protocol of base.py."""

from tropho.model_settings import PRESENCE
from tropho.settings import TaskSettings
from tropho.tasks.base import Task


def build_task(settings: TaskSettings, classes: list[str]) -> Task:
    """The task object for these settings; `classes` come from the audit, in order."""
    if settings.model.name == PRESENCE:
        from tropho.tasks.presence import PresenceTask

        return PresenceTask(settings, classes)
    if settings.kind == "detection":
        from tropho.tasks.detection import DetectionTask

        return DetectionTask(settings, classes)
    from tropho.tasks.classification import ClassificationTask

    return ClassificationTask(settings, classes)
