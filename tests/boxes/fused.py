"""Boxes of several models in lists, fused."""

import numpy as np

from tropho.boxes.box_fusion import fuse_boxes


def fused_boxes(models, iou=0.55, weights=None, conf_type="avg"):
    """Fused boxes, scores and labels of models, (boxes, scores, labels) each, for one image."""
    boxes = np.concatenate([np.reshape(np.asarray(each[0], float), (-1, 4)) for each in models])
    scores = np.concatenate([np.asarray(each[1], float) for each in models])
    labels = np.concatenate([np.asarray(each[2], np.int64) for each in models])
    model_of = np.repeat(np.arange(len(models)), [len(each[1]) for each in models])
    weight = np.ones(len(models)) if weights is None else np.array(weights)
    return fuse_boxes(boxes, scores, labels, model_of, weight, iou, conf_type)
