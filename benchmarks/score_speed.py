"""Time `tropho score` on a truth file against itself, as a whole process, imports included.

    python benchmarks/score_speed.py [Train.csv]

Without a file it makes one of the competition's size: 2,747 images, 22,842 boxes, 688 images without any.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RUNS = 5
POSITIVE, NEGATIVE, BOXES = 2059, 688, 22_842


def made_up(path: Path) -> Path:
    """Write a truth table of the competition's size."""
    rng = np.random.default_rng(0)
    rows = ["Image_ID,class,confidence,ymin,xmin,ymax,xmax"]
    corners, sizes = rng.integers(0, 3000, (BOXES, 2)), rng.integers(20, 120, (BOXES, 2))
    for (x, y), (width, height), image in zip(corners, sizes, rng.integers(0, POSITIVE, BOXES), strict=True):
        label = "WBC" if width > 90 else "Trophozoite"
        rows.append(f"id_{image}.jpg,{label},1.0,{y},{x},{y + height},{x + width}")
    rows += [f"id_{POSITIVE + number}.jpg,NEG,1.0,0,0,0,0" for number in range(NEGATIVE)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def seconds(truth: Path) -> float:
    """Seconds of one whole `tropho score` process."""
    start = time.perf_counter()
    command = [sys.executable, "-c", "from tropho.cli import main; main()", "score", str(truth), str(truth)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        table = Path(sys.argv[1]) if len(sys.argv) > 1 else made_up(Path(folder) / "Truth.csv")
        times = [seconds(table) for _ in range(RUNS + 1)][1:]  # the first warms the disk cache
    print(f"tropho score: median {statistics.median(times):.2f} s, worst {max(times):.2f} s of {RUNS} runs")
