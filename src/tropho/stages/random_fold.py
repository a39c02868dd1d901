"""A fold that ignores groups, beside those that keep them whole."""

from dataclasses import replace

import numpy as np

from tropho.files import fingerprint
from tropho.stages.inputs import Inputs
from tropho.tasks.base import Task


def dealt_at_random(inputs: Inputs, task: Task, seed: int) -> Inputs:
    """The same training images in two folds: 0, as many as the first grouped fold has, is random; 1 is the rest.

    Each class has its share of fold 0 (a systematic sample of the shuffled images, sorted by `Task.strata`); groups
    count for nothing.
    """
    images = sorted(inputs.fold_of)
    count = len(inputs.folds[min(inputs.folds)])
    rng = np.random.default_rng(seed)
    shuffled = [images[place] for place in rng.permutation(len(images))]
    by_stratum = np.argsort(task.strata(inputs.truth.of(shuffled)), kind="stable")
    drawn = by_stratum[((np.arange(count) + rng.random()) * len(images) / count).astype(np.int64)]
    validation = {shuffled[place] for place in drawn}
    folds = {0: sorted(validation), 1: [image_id for image_id in images if image_id not in validation]}
    return replace(inputs, folds=folds, data_hash=fingerprint([inputs.data_hash, folds]))
