"""What looking at an image tile by tile costs, against the whole image.

    python benchmarks/tile_speed.py --size 1024 --threads 2
    python benchmarks/tile_speed.py --threads 1 --cpu    # on a shared machine

The detector is smear_demo's with random weights, made to report 300 boxes a look, so that merging has much to do. Every
round looks at the image each way once, in turn; the best round counts. `pixels` is what the model sees over what the
image has, `merging` what is spent outside the model.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from tropho.boxes.tiles import predict_tiled, tile_windows
from tropho.config.load import load_params, task_settings, with_overrides
from tropho.models import build_model

TILES = ((544, 64), (512, 64), (512, 128), (256, 64))
"""Side and overlap, pixels."""

Clock = Callable[[], float]


class Timed(nn.Module):
    """A model, and the seconds spent in it."""

    def __init__(self, model: nn.Module, clock: Clock) -> None:
        super().__init__()
        self.model, self.clock, self.seconds = model, clock, 0.0

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        """As the model."""
        start = self.clock()
        found = self.model(images)
        self.seconds += self.clock() - start
        return found


def detector() -> nn.Module:
    base = task_settings("smear_demo", load_params(Path(__file__).resolve().parent.parent / "params.yaml"))
    settings = with_overrides(base, {"model.score_threshold": 0.0, "model.max_detections": 300})
    model = build_model(settings.model, "detection", 2, settings.augment.image_size).eval()
    nn.init.normal_(model.head.class_logits.weight, std=0.5)
    return model.to(memory_format=torch.channels_last)


@torch.inference_mode()
def look(model: nn.Module, image: Tensor, tile: int, overlap: int, batch: int, clock: Clock) -> tuple[float, float]:
    """Seconds in all, and in the model."""
    timed = Timed(model, clock)
    start = clock()
    predict_tiled(timed, image, tile, overlap, batch, 300)
    return clock() - start, timed.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="pixels of the square image, a multiple of 32")
    parser.add_argument("--batch", type=int, default=4, help="tiles a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="count this process's CPU seconds, not the clock's")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    clock: Clock = time.process_time if options.cpu else time.perf_counter
    size = options.size
    image = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    model, ways = detector(), [(size, 0), *(each for each in TILES if each[0] < size)]
    best = dict.fromkeys(ways, (float("inf"), 0.0))
    for turn in range(options.rounds + 1):
        for way in ways:
            now = look(model, image, *way, options.batch, clock)
            if turn:  # the first turn warms up
                best[way] = min(best[way], now)
    print(f"{'tile':>6}{'overlap':>9}{'looks':>7}{'pixels':>8}{'seconds':>9}{'x':>6}{'merging':>9}")
    for (tile, overlap), (seconds, inside) in best.items():
        looks = len(tile_windows(size, size, tile, overlap))
        ratio = seconds / best[ways[0]][0]
        pixels = looks * tile**2 / size**2
        row = f"{tile:>6}{overlap:>9}{looks:>7}{pixels:>8.2f}{seconds:>9.2f}{ratio:>6.2f}"
        print(f"{row}{seconds - inside:>9.3f}")


if __name__ == "__main__":
    main()
