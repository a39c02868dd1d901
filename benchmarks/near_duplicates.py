"""How many changed copies the audit's search for near-duplicates finds, and which images it joins wrongly.

    python benchmarks/near_duplicates.py FOLDER [--images 300] [--seed 0] [--pairs pairs.png]

Of as many images as asked for, a copy is made: turned by up to 15 degrees, sheared by up to 10 along each axis, lighter
or darker by up to a quarter, its corners black or mirrored, and saved as JPEG of quality 70 to 95. Another copy has
each of these changes alone. "Found" is the share of copies that are joined with their own image among all of the
folder's images; "wrongly" is the share of copies that are joined with an image in which neither the copy's own image
nor one that is joined with it is seen. "Joined" is the share of the folder's own images (equal pixels counted once)
that are joined with one another: where all are known to be different, each of them is a false join; where not, look at
the pairs, which --pairs draws, the least alike first.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from tropho.data.audit.inspect_images import thumbnail
from tropho.data.audit.near_duplicates import find_near_duplicates
from tropho.errors import DataError
from tropho.images.decode import read_image

CHANGES = {
    "turned": {"turn": 15.0},
    "sheared": {"shear": 10.0},
    "lighter or darker": {"light": 0.25},
    "all of these": {"turn": 15.0, "shear": 10.0, "light": 0.25},
}


def changed(
    grey: np.ndarray, rng: np.random.Generator, turn: float = 0.0, shear: float = 0.0, light: float = 0.0
) -> np.ndarray:
    """Copy a grey picture with changes up to those named: degrees, degrees, share of the brightness."""
    angle = np.deg2rad(rng.uniform(-turn, turn))
    along, across = np.tan(np.deg2rad(rng.uniform(-shear, shear, 2)))
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turned @ np.array([[1, along], [across, 1]])
    height, width = grey.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    border = (cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101)[rng.integers(2)]
    affine = np.column_stack([linear, centre - linear @ centre])
    moved = cv2.warpAffine(grey, affine, (width, height), borderMode=border)
    lit = np.clip(moved * rng.uniform(1 - light, 1 + light), 0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))])[1]
    return cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)


def read_folder(folder: Path) -> dict[Path, np.ndarray]:
    """Read every image below a folder in grey; of those with equal pixels the first."""
    pictures: dict[Path, np.ndarray] = {}
    seen = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            grey = cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY)
        except DataError:
            continue
        if (key := (grey.shape, grey.tobytes())) not in seen:
            seen.add(key)
            pictures[path] = grey
    return pictures


def draw_pairs(pictures: list[np.ndarray], pairs: list[tuple[int, int, float]], to: Path, most: int = 60) -> None:
    """Draw pairs side by side, six in a row, the least alike first."""
    tiles = []
    for first, second, likeness in sorted(pairs, key=lambda pair: pair[2])[:most]:
        tile = np.hstack([cv2.resize(pictures[each], (110, 110)) for each in (first, second)])
        tiles.append(cv2.putText(tile, f"{likeness:.3f}", (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255))
    tiles += [np.zeros((110, 220), np.uint8)] * (-len(tiles) % 6)
    if tiles:
        cv2.imwrite(str(to), np.vstack([np.hstack(tiles[start : start + 6]) for start in range(0, len(tiles), 6)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=Path)
    arguments = parser.parse_args()
    pictures = list(read_folder(arguments.folder).values())
    thumbs = [thumbnail(each) for each in pictures]
    rng = np.random.default_rng(arguments.seed)
    chosen = rng.choice(len(pictures), min(arguments.images, len(pictures)), replace=False)
    began = time.perf_counter()
    own = find_near_duplicates(np.stack(thumbs))
    seconds = time.perf_counter() - began
    friends: dict[int, set[int]] = {number: {number} for number in range(len(thumbs))}
    for first, second, _ in own:
        friends[first].add(second)
        friends[second].add(first)
    joined = len({each for first, second, _ in own for each in (first, second)})
    print(f"{len(pictures):,} images, {seconds:.1f} s: joined {joined / len(pictures):.2%} in {len(own):,} pairs")
    if arguments.pairs:
        draw_pairs(pictures, own, arguments.pairs)
    print("| copies | found | wrongly |\n|---|---|---|")
    for name, most in CHANGES.items():
        copies = [thumbnail(changed(pictures[number], rng, **most)) for number in chosen]
        # Copies come first, so that each is held against every image of the folder.
        pairs = [pair for pair in find_near_duplicates(np.stack(copies + thumbs)) if pair[0] < len(copies) <= pair[1]]
        hits: dict[int, set[int]] = {}
        for copy, image, _ in pairs:
            hits.setdefault(copy, set()).add(image - len(copies))
        found = np.mean([number in hits.get(copy, ()) for copy, number in enumerate(chosen)])
        wrong = np.mean([not hits.get(copy, set()) <= friends[number] for copy, number in enumerate(chosen)])
        print(f"| {name} | {found:.1%} | {wrong:.1%} |")


if __name__ == "__main__":
    main()
