"""Say in sentences how a model was trained, from its settings."""

from typing import Any

from tropho.config.model_config import TORCHVISION

Settings = dict[str, Any]

LOSSES = {
    "fcos": "focal loss of the classes, generalised IoU loss of the boxes and binary cross-entropy of the centre-ness",
    "torchvision_fcos": "focal loss of the classes, generalised IoU loss of the boxes and cross-entropy of centre-ness",
    "torchvision_retinanet": "focal loss of the classes and L1 loss of the box offsets",
    "torchvision_faster_rcnn": "cross-entropy and smooth L1 loss, of the region proposals and of the final boxes",
    "negative_classifier": "binary cross-entropy of whether an image holds an object",
}
DETR_LOSS = "loss of a one-to-one matching of queries and objects: classes, L1 of the boxes and generalised IoU"
SCHEDULES = {
    "constant": "stays at its peak",
    "cosine": "falls to 0 along a cosine",
    "one_cycle": "rises over the first 30 % of the steps and then falls nearly to 0 (one cycle)",
    "step": "is multiplied by {decay_rate:g} every {decay_epochs} epochs",
    "exponential": "is multiplied by {decay_rate:g} after every epoch",
    "plateau": "is multiplied by {decay_rate:g} after {decay_epochs} validations without progress",
}
START = {True: "published weights ({source})", False: "random weights ({init} initialisation)"}


def training_sentences(kind: str, model: Settings, train: Settings) -> list[str]:
    """Describe initial weights, loss, optimiser, schedule, regularisation and the choice of the epoch.

    Args:
        kind: of the task.
        model: settings of the section `model`.
        train: of the section `train`.
    """
    regularisation = _regularisation(kind, model, train)
    return [
        _start(model, train),
        _loss(kind, model, train),
        *_optimisation(train),
        *([f"Also: {regularisation}."] if regularisation else []),
        _choice(train),
    ]


def _start(model: Settings, train: Settings) -> str:
    source = "COCO" if model["name"] in TORCHVISION or "detr" in model["name"] else "ImageNet"
    start = START[bool(model["pretrained"])].format(source=source, init=model["init"])
    start = f"weights trained before ({model['weights']})" if model["weights"] else start
    frozen = train["freeze_backbone_epochs"]
    return f"Start: {start}{f'; the backbone is held fixed for {frozen} epochs' if frozen else ''}."


def _loss(kind: str, model: Settings, train: Settings) -> str:
    if kind == "detection":
        return f"Loss: {LOSSES.get(model['name'], DETR_LOSS)}."
    smoothing = f", label smoothing {train['label_smoothing']:g}" if train["label_smoothing"] else ""
    weights = ", each class weighted by its inverse frequency" if train["class_weights"] == "balanced" else ""
    return f"Loss: cross-entropy{smoothing}{weights}."


def _optimisation(train: Settings) -> list[str]:
    """Describe the optimiser and the schedule."""
    name = f"SGD with momentum {train['momentum']:g}" if train["optimizer"] == "sgd" else "AdamW"
    decay = f"weight decay {train['weight_decay']:g} on weights alone" if train["weight_decay"] else "no weight decay"
    layers = f"; each stage of the backbone learns at {train['layer_decay']:g} of the rate above it"
    size = f"{train['batch_size']} images a step{layers if train['layer_decay'] != 1 else ''}"
    peak, how = f"{train['lr']:g} at its peak", SCHEDULES[train["schedule"]].format(**train)
    has_own = train["schedule"] == "one_cycle" or not train["warmup_epochs"]
    warm_up = "" if has_own else f" after {train['warmup_epochs']:g} epochs of linear warm-up"
    return [
        f"Optimiser: {name}, {decay}, {size}.",
        f"Schedule: {train['epochs']} epochs; the learning rate, {peak}, {how}{warm_up}.",
    ]


def _regularisation(kind: str, model: Settings, train: Settings) -> str:
    parts = [
        f"dropout {model['dropout']:g}" if model["dropout"] and kind == "classification" else "",
        f"gradients are clipped to a norm of {train['clip_grad_norm']:g}" if train["clip_grad_norm"] else "",
        f"moving average of the weights with decay {train['ema_decay']:g}" if train["ema_decay"] else "",
        "every class is drawn equally often" if train["sampler"] == "balanced" else "",
        f"precision {train['precision']}" if train["precision"] not in {"float32", "auto"} else "",
    ]
    return "; ".join(filter(None, parts))


def _choice(train: Settings) -> str:
    patience = train["early_stopping_patience"]
    stop = f" Training stops early after {patience} validations without a better score." if patience else ""
    return (
        f"Each fold keeps the weights of the epoch with the best validation score; the seed is {train['seed']}.{stop}"
    )
