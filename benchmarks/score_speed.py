"""Time `tropho score` on a truth file against itself, as a whole process, imports included.

python benchmarks/score_speed.py ../shared/data/lacuna/Train.csv
"""

import statistics
import subprocess
import sys
import time


def seconds(truth: str) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-c", "from tropho.cli import main; main()", "score", truth, truth]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    times = [seconds(sys.argv[1]) for _ in range(6)][1:]  # the first warms the disk cache
    print(f"tropho score: median {statistics.median(times):.2f} s, worst {max(times):.2f} s of {len(times)}")
