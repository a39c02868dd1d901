"""Training and inference speed of the detectors, in images a second, each variant against a baseline.

    python benchmarks/model_speed.py --threads 2 --rounds 3
    python benchmarks/model_speed.py --threads 1 --cpu    # on a shared machine

The baseline is the defaults of params.yaml: FCOS on a ResNet-18, P3 to P5 of width 128, head depth 2.
Every round runs each variant once, in turn, so that other work on the machine strikes them alike; the best
round counts. Images are noise of 256 x 320 pixels, 15 boxes in each: speed does not depend on what they show.
The peer is torchvision's own FCOS class on the very same pyramid, with its own heads, matching and transform.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

from tropho.config.load import load_params, task_settings, with_overrides
from tropho.config.model_config import ModelConfig
from tropho.models import build_model
from tropho.models.backbone import FeaturePyramid

BATCH, HEIGHT, WIDTH, BOXES, CLASSES = 4, 256, 320, 15, 3

VARIANTS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "levels 3-7": {"fpn_levels": [3, 4, 5, 6, 7]},
    "levels 2-5": {"fpn_levels": [2, 3, 4, 5]},
    "levels 3-4": {"fpn_levels": [3, 4]},
    "head depth 1": {"num_head_convs": 1},
    "head depth 4": {"num_head_convs": 4},
    "width 64": {"fpn_channels": 64},
    "width 96": {"fpn_channels": 96},
    "group norm": {"norm": "group"},
}

Step = Callable[[], None]
Clock = Callable[[], float]


class Peer(nn.Module):
    """torchvision's FCOS on our pyramid, fed with the same batches."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        pyramid = FeaturePyramid(model)
        pyramid.out_channels = model.fpn_channels
        sizes = tuple((2**level,) for level in model.fpn_levels)
        anchors = AnchorGenerator(sizes, ((1.0,),) * len(sizes))
        self.detector = FCOS(
            _Named(pyramid, model.fpn_channels),
            CLASSES,
            min_size=HEIGHT,
            max_size=WIDTH,
            anchor_generator=anchors,
        )
        for head in (self.detector.head.classification_head, self.detector.head.regression_head):
            head.conv = head.conv[: 3 * model.num_head_convs]

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Losses when training, else detections."""
        return self.detector(list(images / 255), targets)


class _Named(nn.Module):
    def __init__(self, pyramid: nn.Module, width: int) -> None:
        super().__init__()
        self.pyramid, self.out_channels = pyramid, width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps by name."""
        return {str(index): level for index, level in enumerate(self.pyramid(images))}


def batch() -> tuple[Tensor, list[dict[str, Tensor]]]:
    images = torch.randint(0, 256, (BATCH, 3, HEIGHT, WIDTH), dtype=torch.uint8)
    targets = []
    for _ in range(BATCH):
        corner = torch.rand(BOXES, 2) * torch.tensor([WIDTH - 50.0, HEIGHT - 50.0])
        boxes = torch.cat([corner, corner + 10 + 40 * torch.rand(BOXES, 2)], dim=1)
        targets.append({"boxes": boxes, "labels": torch.randint(0, CLASSES, (BOXES,))})
    return images, targets


def steps(network: nn.Module) -> tuple[Step, Step]:
    """A training step and an inference step on one batch."""
    network.to(memory_format=torch.channels_last)
    images, targets = batch()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)

    def train() -> None:
        network.train()
        loss = sum(network(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()

    @torch.inference_mode()
    def infer() -> None:
        network.eval()
        network(images)

    return train, infer


def rate(step: Step, clock: Clock) -> float:
    """Images a second of one step."""
    start = clock()
    step()
    return BATCH / (clock() - start)


def work(step: Step) -> float:
    """Multiply-adds of one step in billions an image: what speed would follow on an ideal machine."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 2e9 / BATCH


def measure(networks: dict[str, nn.Module], rounds: int, clock: Clock) -> dict[str, tuple[float, float, float]]:
    """By variant: images a second in training and inference, and the work of a training step."""
    every = {name: steps(network) for name, network in networks.items()}
    best = dict.fromkeys(every, (0.0, 0.0))
    for turn in range(rounds + 1):
        for name, (train, infer) in every.items():
            now = rate(train, clock), rate(infer, clock)
            if turn:  # the first turn warms up
                best[name] = max(best[name][0], now[0]), max(best[name][1], now[1])
    return {name: (*best[name], work(every[name][0])) for name in every}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=["torchvision", *VARIANTS], help="these beside the baseline")
    parser.add_argument("--cpu", action="store_true", help="count this process's CPU seconds, not the clock's")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    root = Path(__file__).resolve().parent.parent
    base = task_settings("smear_demo", load_params(root / "params.yaml"))
    chosen = {name: v for name, v in VARIANTS.items() if options.only is None or name in ("baseline", *options.only)}
    networks: dict[str, nn.Module] = {}
    for name, changes in chosen.items():
        model = with_overrides(base, {f"model.{key}": value for key, value in changes.items()}).model
        networks[name] = build_model(model, "detection", CLASSES, WIDTH)
    if options.only is None or "torchvision" in options.only:
        networks["torchvision"] = Peer(base.model)
    best = measure(networks, options.rounds, time.process_time if options.cpu else time.perf_counter)
    print(f"{'variant':<18}{'train img/s':>12}{'x':>7}{'infer img/s':>13}{'x':>7}{'train GMAC/img':>16}")
    for name, (train, infer, gmac) in best.items():
        first = best["baseline"]
        print(f"{name:<18}{train:>12.2f}{train / first[0]:>7.2f}{infer:>13.2f}{infer / first[1]:>7.2f}{gmac:>16.2f}")


if __name__ == "__main__":
    main()
