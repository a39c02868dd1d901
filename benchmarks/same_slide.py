"""How well `audit.cluster_slides: true` finds the slides of photos whose slides are known.

    python benchmarks/same_slide.py [NIH_FOLDER]

Draws 200 photos with each of three seeds at three difficulties; NIH_FOLDER holds cells named by slide
(C33P1thinF_IMG_..._cell_102.png). Precision and recall are of pairs of images; ARI is the adjusted Rand index.
"""

import io
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import pair_confusion_matrix

from smear_generator.smear import photos
from tropho.data.audit.slide_features import signature
from tropho.data.audit.slides import Slides, cluster_slides
from tropho.images.decode import read_image

SLIDE = r"(C[0-9]+[A-Z0-9]*?)_?[Tt]hin"


def slides_of(names: list[str], pictures: list[np.ndarray]) -> Slides:
    sizes = np.array(["{}x{}".format(*picture.shape) for picture in pictures])
    signatures = np.array([signature(picture) for picture in pictures])
    return cluster_slides(names, signatures, sizes)


def show(name: str, found: Slides, truth: list[int] | list[str]) -> None:
    (_, false), (missed, true) = pair_confusion_matrix(truth, found.groups)
    precision = f"{true / (true + false):.2f}" if true + false else "-"
    scores = f"{precision} | {true / (true + missed):.2f} | {adjusted_rand_score(truth, found.groups):.2f}"
    print(f"| {name} | {len(set(truth))} | {found.count} | {found.sizes.max(initial=0)} | {scores} | {found.reason} |")


def main() -> None:
    print("| photos | slides | groups | largest | precision | recall | ARI | why none |\n" + "|---" * 8 + "|")
    for difficulty in (0.2, 0.5, 0.8):
        for seed in (7, 11, 12):
            drawn = list(photos(seed, 200, "train", difficulty))
            pictures = [np.array(Image.open(io.BytesIO(photo.jpeg))) for photo in drawn]
            found = slides_of([photo.image_id for photo in drawn], pictures)
            show(f"difficulty {difficulty}, seed {seed}", found, [photo.slide for photo in drawn])
    for folder in sys.argv[1:]:
        cells = sorted(
            (path, match[1]) for path in Path(folder).rglob("*.png") if (match := re.search(SLIDE, path.name))
        )
        found = slides_of([path.name for path, _ in cells], [read_image(path) for path, _ in cells])
        show(folder, found, [slide for _, slide in cells])


if __name__ == "__main__":
    main()
