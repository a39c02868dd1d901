"""Describe a network layer by layer: names, kinds, output shapes and numbers of parameters."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tropho.errors import DataError
from tropho.images.cache import ImageCache
from tropho.inference.trained_folds import WEIGHTS, read_config
from tropho.report.blocks import Layer
from tropho.report.reader import Reader, texts
from tropho.tasks.base import Task

STAGES = "layer1"
"""A child of this name makes a module a ResNet, whose stages are shown one by one."""
MAX_DEPTH = 2
"""Names with this many parts are not opened, unless a ResNet's."""
MERGED = (nn.ReLU, nn.Dropout, nn.Identity, nn.Flatten, nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
"""Kinds that get no line of their own; their parameters count with the layer before them."""


def network_layers(reader: Reader) -> list[Layer]:
    """List the layers of the network that was trained; empty without a trained model, or if it can't be built here."""
    folder = next(iter(sorted(path.parent for path in reader.paths.models.glob(f"fold*/{WEIGHTS}"))), None)
    if folder is None:
        return []
    try:
        task, _ = read_config(folder)
        cache = ImageCache(reader.paths.augmented / "cache")
        size = task.settings.augment.image_size
        cache = ImageCache(cache.path, size) if size < cache.size else cache
        batch = task.collate([task.sample(cache[cache.image_ids[0]])])
        layers = trace(task, batch)
    except Exception as error:  # whatever a library raises: the page is worth more than its drawing
        if not isinstance(error, DataError):
            reader.faults.append(f"The network can't be drawn ({' '.join(str(error).split())[:120]}).")
        return []
    first = Layer("image", "resized, red, green and blue", [tuple(batch["images"].shape[1:])])
    return [replace(layer, name=_name(layer.name)) for layer in [first, *layers]]


def trace(task: Task, batch: dict[str, Any]) -> list[Layer]:
    """Run a network with random weights on a batch of one image, and list its layers in the order of their outputs.

    Args:
        task: builds the network.
        batch: result of `Task.collate`.
    """
    with torch.random.fork_rng(devices=[]):
        model = task.build_model().eval()
    layers: dict[str, Layer] = {}
    hooks = []
    for name, module in _parts(model, "", 0):

        def note(module: nn.Module, _: Any, output: Any, name: str = name) -> None:
            layer = layers.setdefault(name, Layer(name, _kind(module)))
            layer.shapes += [shape for shape in _shapes(output) if shape not in layer.shapes]

        hooks.append(module.register_forward_hook(note))
    with torch.inference_mode():
        task.predict(model, batch)
    for hook in hooks:
        hook.remove()
    modules = dict(model.named_modules())
    kept: list[Layer] = []
    for layer in layers.values():
        own = sum(parameter.numel() for parameter in modules[layer.name].parameters())
        if isinstance(modules[layer.name], MERGED) and kept:
            kept[-1].parameters += own
        else:
            layer.parameters = own
            kept.append(layer)
    return kept


def _parts(module: nn.Module, prefix: str, depth: int) -> Iterator[tuple[str, nn.Module]]:
    """List the modules that are shown, with dotted names; a module that is opened is not among them."""
    for name, child in module.named_children():
        dotted = f"{prefix}{name}"
        children = dict(child.named_children())
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):  # never called itself
            yield from _parts(child, f"{dotted}.", depth)
        elif children and (depth + 1 < MAX_DEPTH or STAGES in children):
            yield from _parts(child, f"{dotted}.", depth + 1)
        else:
            yield dotted, child


def _shapes(output: Any) -> list[tuple[int, ...]]:
    """Shapes without the batch of all tensors in an output."""
    if isinstance(output, Tensor):
        return [tuple(output.shape[1:])] if output.ndim > 1 else []
    values = output.values() if isinstance(output, dict) else output if isinstance(output, (list, tuple)) else ()
    return [shape for value in values for shape in _shapes(value)]


def _kind(module: nn.Module) -> str:
    """Name what a module is: a layer with its kernel, or the repeated block of a stage."""
    kinds: dict[str, str] = texts("layer_kinds")
    children, name = list(module.children()), type(module).__name__
    if isinstance(module, nn.Sequential) and children:  # a stage, a tower, an output layer behind dropout
        first = type(children[0]).__name__
        same = sum(type(child).__name__ == first for child in children)
        if same == len(children) and same > 1:
            return f"{same} × {kinds.get(first, first)}"
        if any(isinstance(child, nn.Linear) for child in children):
            return kinds["Linear"]
        convolutions = sum(isinstance(child, nn.Conv2d) for child in children)
        if convolutions:
            return f"{convolutions} × {kinds['Conv2d']}"
    kernel = getattr(module, "kernel_size", None)
    side = kernel[0] if isinstance(kernel, tuple) else kernel
    stride = getattr(module, "stride", 1)
    stride = stride[0] if isinstance(stride, tuple) else stride
    words = kinds.get(name, name)
    words += f" {side} × {side}" if side else ""
    return words + (f", stride {stride}" if side and stride != 1 else "")


def _name(dotted: str) -> str:
    for pattern, instead in texts("layer_names").items():
        dotted = re.sub(pattern, instead, dotted)
    return dotted.replace(".", " ").replace("_", " ")
