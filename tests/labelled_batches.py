"""Small models of each kind, and a batch of noise with labels for them."""

import torch

SMALL = {"augment.image_size": 64, "model.backbone": "resnet18", "model.pretrained": False, "model.dropout": 0.0}
DETECTOR = {"model.fpn_channels": 16, "model.fpn_levels": [3, 4], "model.num_head_convs": 1, "model.norm": "group"}
CASES = {
    "lenet": ("cells_demo", {"model.name": "lenet", "model.norm": "none"}),
    "mlp": ("cells_demo", {"model.name": "mlp", "model.norm": "layer", "model.hidden_units": [8]}),
    "resnet": ("cells_demo", {"model.name": "resnet", "model.norm": "group"}),
    "fcos": ("smear_demo", {**DETECTOR, "model.name": "fcos"}),
    "negative_classifier": ("smear_demo", {"model.name": "negative_classifier", "model.norm": "group"}),
    "retinanet": ("smear_demo", {"model.name": "torchvision_retinanet", "model.norm": "frozen"}),
}


def labelled(task, batch_size=5):
    """A batch of noise; images have 0 to 3 boxes, or labels of two classes with unequal weights."""
    rng = torch.Generator().manual_seed(3)
    images = torch.randint(0, 255, (batch_size, 3, 64, 64), dtype=torch.uint8, generator=rng)
    batch = {"images": images, "index": torch.arange(batch_size)}
    if task.settings.kind == "classification":
        weight = 1.0 + torch.arange(batch_size) % 3
        return {**batch, "targets": {"label": torch.arange(batch_size) % 2, "weight": weight}}
    targets = []
    for number in range(batch_size):
        low = 30 * torch.rand(number % 4, 2, generator=rng)
        high = low + 10 + 20 * torch.rand(number % 4, 2, generator=rng)
        boxes = {"boxes": torch.cat([low, high], dim=1), "labels": torch.arange(number % 4) % 2}
        targets.append({**boxes, "ignore": torch.tensor([number == 4, False]), "regions": torch.zeros(0, 4)})
    return {**batch, "targets": targets, "sizes": torch.full((batch_size, 2), 64)}
