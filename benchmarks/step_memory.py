"""Estimate the GPU memory of a training step of each member of a task's ensemble, on a CPU; see gpu.py for how.

    python benchmarks/step_memory.py malaria gpu                                     # task and preset
    python benchmarks/step_memory.py malaria gpu --set model.checkpoint=FOLDER       # without the Hub

Weights are new ones, so nothing is downloaded but the configuration of a checkpoint.
"""

import argparse

import pandas as pd
import yaml
from gpu import CARDS, ROOT, estimate_memory, print_row

from tropho.config.load import load_params, member_settings, task_settings, with_overrides
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth
from tropho.tables import BOXES, empty
from tropho.tasks import build_task

SHAPE = 0.75
"""Short side of a photo over its long one; crops are squares."""


def without_weights(settings: TaskConfig) -> TaskConfig:
    """The same network with new weights; levels that are fitted to boxes are those of the competition."""
    changes = {"model.pretrained": False, "model.fit_levels": False}
    if settings.model.fpn_levels is None:
        changes |= {"model.fpn_levels": [2, 3, 4]}
    settings = with_overrides(settings, changes)
    task = build_task(settings, settings.audit.classes or [])
    return task.fit_config(GroundTruth(pd.DataFrame(), empty(BOXES)), None)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("preset")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes a setting")
    asked = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in asked.set)}
    params = {**load_params(ROOT / "params.yaml"), "preset": asked.preset}
    print_row(["model", "trained at", "fixed, GiB", "an image, GiB", *(f"batch on {card} GB" for card in CARDS)])
    print_row(["---"] * (4 + len(CARDS)))
    for name, member in member_settings(with_overrides(task_settings(asked.task, params), changes)).items():
        augment = member.augment
        side = augment.crop_size or round(augment.image_size * SHAPE**0.5)  # of a square of as many pixels
        found = estimate_memory(without_weights(member), side)
        batches = [str(found.batch_size(card)) for card in CARDS]
        shown = f"{augment.crop_size or augment.image_size} px"
        print_row([f"{name} ({member.model.name})", shown, f"{found.fixed:.1f}", f"{found.image:.2f}", *batches])


if __name__ == "__main__":
    main()
