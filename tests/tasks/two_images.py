"""Two images of 200 x 100 pixels, outputs of a detector for them, and their ground truth."""

import pandas as pd
import torch

from tropho.data.task_data import GroundTruth
from tropho.tables import BOX, BOXES, IMAGES, conform, empty


class Sizes:
    """Two images of 200 x 100 pixels, packed at half the size."""

    def original_size(self, image_id):
        return 200, 100

    def scale(self, image_id):
        return 0.5, 0.5


def output(boxes, scores, labels, presence):
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor(scores, dtype=torch.float32),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "presence": torch.tensor(presence),
    }


def truth_of(image_ids, boxes):
    images = pd.DataFrame({"image_id": image_ids}).reindex(columns=list(IMAGES))
    rows = pd.DataFrame(boxes, columns=["image_id", "label", *BOX]) if boxes else empty(BOXES)
    return GroundTruth(images.astype(IMAGES), conform(rows, BOXES))
