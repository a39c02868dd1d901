"""Boxes found in overlapping tiles of an image made those of the image: none twice, none cut, none lost.

Boxes of one tile never meet: the detector has settled those. Boxes of one class in different tiles do:

1. A box is *cut* at the sides where it ends at a border inside the image. There the object may go on.
2. Of boxes that are whole and overlap, the most confident stays.
3. Cut boxes *agree* if they overlap as far as both could see, as the parts of an object larger than the overlap do.
4. A tile that holds all that was seen of a cut object knows better: a box of it that covers most of the cut one takes
   its place, if it is whole, or is the larger of the two and they don't agree.
5. Cut boxes that agree become the box around them. What is left of cut boxes stays as it is.
"""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

EDGE = 4.0
"""Pixels. A box that ends this near a border ends at it: the finest level's positions are as far apart."""

EDGE_SHARE = 0.1
"""The same for large boxes, as a share of their side along that axis: detectors err in proportion."""

SAME = 0.5
"""Boxes of different tiles that overlap more are of the same object."""


@dataclass(frozen=True)
class _Parts:
    """Boxes of all tiles of an image: xyxy in its pixels, float64 (n, 4), and for each its tile."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    tile: Tensor
    windows: Tensor
    cut: Tensor
    """(n, 4) bool: which of its sides, left, top, right, bottom, are cut."""

    @property
    def is_cut(self) -> Tensor:
        """(n,) bool: at any side."""
        return self.cut.any(dim=1)


def merge_tile_boxes(
    found: list[dict[str, Tensor]], windows: Tensor, size: tuple[int, int], most: int
) -> dict[str, Tensor]:
    """The detections of an image from those of its tiles.

    Args:
        found: one dict a tile: boxes (n, 4) xyxy in pixels of the tile, scores (n,) falling, labels (n,), presence ().
        windows: (tiles, 4) xyxy, where the tiles lie in the image.
        size: height and width of the image.
        most: boxes that are kept at most, the most confident.

    Returns:
        The same for the image; presence is the highest of the tiles'.
    """
    parts = _parts(found, windows.double(), size)
    first, second = _meeting(parts)
    whole = _best_whole(parts, first, second)
    agree = _overlap(_as_far_as_seen(parts, first, second), _as_far_as_seen(parts, second, first)) > SAME
    cut = parts.is_cut & ~_known_better(parts, first, second, whole, agree)
    seeds, joined = _join_cut(parts, first[agree], second[agree], cut)
    rows = torch.cat([whole.nonzero()[:, 0], seeds])
    boxes = torch.cat([parts.boxes[whole], joined])
    order = parts.scores[rows].argsort(descending=True, stable=True)[:most]
    return {
        "boxes": boxes[order].float(),
        "scores": parts.scores[rows[order]],
        "labels": parts.labels[rows[order]],
        "presence": torch.stack([each["presence"] for each in found]).max(),
    }


def _parts(found: list[dict[str, Tensor]], windows: Tensor, size: tuple[int, int]) -> _Parts:
    tile = torch.arange(len(found)).repeat_interleave(torch.tensor([len(each["scores"]) for each in found]))
    scores, labels, boxes = (torch.cat([each[name] for each in found]) for name in ("scores", "labels", "boxes"))
    boxes = boxes.double() + windows[tile, :2].repeat(1, 2)
    height, width = size
    inner = windows != windows.new_tensor([0, 0, width, height])
    cut = inner[tile] & (_room(boxes, windows[tile]) <= _slack(boxes))
    return _Parts(boxes, scores, labels, tile, windows, cut)


def _best_whole(parts: _Parts, first: Tensor, second: Tensor) -> Tensor:
    """(n,) bool: whole boxes that no better one of another tile is the same as.

    `first` and `second`, here and below, are the rows of the pairs that meet.
    """
    whole = ~parts.is_cut
    same = _overlap(parts.boxes[first], parts.boxes[second]) > SAME
    rivals = _by_first(first, second, same & whole[first])
    stays = whole.tolist()
    for row in _best_first(parts.scores):
        if stays[row]:
            for other in rivals[row]:
                stays[other] = False
    return torch.tensor(stays, dtype=torch.bool)


def _known_better(parts: _Parts, first: Tensor, second: Tensor, whole: Tensor, agree: Tensor) -> Tensor:
    """(n,) bool: cut boxes that a box of another tile takes the place of.

    `whole` (n,) bool says which whole boxes stay, `agree` of each pair whether it agrees.
    """
    one, other, cut = parts.boxes[first], parts.boxes[second], parts.is_cut
    held = (_room(other, parts.windows[parts.tile[first]]) >= -_slack(other)).all(dim=1)
    covered = _shared(one, other) > SAME * _area(other)
    sees_more = whole[first] | (cut[first] & ~agree & (_area(one) > _area(other)))
    better = torch.zeros(len(cut), dtype=torch.bool)
    better[second[cut[second] & held & covered & sees_more]] = True
    return better


def _join_cut(parts: _Parts, first: Tensor, second: Tensor, cut: Tensor) -> tuple[Tensor, Tensor]:
    """Those of the boxes `cut` (n,) bool made one whose pairs are given: the row of the best of each, and its box.

    Returns:
        Rows (m,) and boxes (m, 4).
    """
    partners = _by_first(first, second, cut[first] & cut[second])
    tile, waiting = parts.tile.tolist(), cut.tolist()
    seeds, boxes = [], [parts.boxes[:0]]
    for seed in _best_first(parts.scores):
        if not waiting[seed]:
            continue
        group, tiles = [seed], {tile[seed]}
        for row in group:  # grows as it is walked; of each tile it takes the best
            for other in partners[row]:
                if waiting[other] and tile[other] not in tiles:
                    group.append(other)
                    tiles.add(tile[other])
        for row in group:
            waiting[row] = False
        members = parts.boxes[group]
        seeds.append(seed)
        boxes.append(torch.cat([members[:, :2].amin(dim=0), members[:, 2:].amax(dim=0)])[None])
    return torch.tensor(seeds, dtype=torch.int64), torch.cat(boxes)


def _meeting(parts: _Parts) -> tuple[Tensor, Tensor]:
    """All (row, row) of boxes of one class in different tiles that overlap, each pair both ways round."""
    near = _shared(parts.windows[:, None], parts.windows[None]) > 0
    firsts, seconds = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
    for a, b in near.triu(diagonal=1).nonzero().tolist():
        mine, theirs = (
            ((parts.tile == each) & (_shared(parts.boxes, parts.windows[rival]) > 0)).nonzero()[:, 0]
            for each, rival in ((a, b), (b, a))
        )
        meet = _shared(parts.boxes[mine][:, None], parts.boxes[theirs][None]) > 0
        meet &= parts.labels[mine][:, None] == parts.labels[theirs][None]
        left, right = meet.nonzero(as_tuple=True)
        firsts += [mine[left], theirs[right]]
        seconds += [theirs[right], mine[left]]
    return torch.cat(firsts), torch.cat(seconds)


def _by_first(first: Tensor, second: Tensor, kept: Tensor) -> dict[int, list[int]]:
    """The second rows of the pairs kept, by the first; those of one tile best first."""
    rows = defaultdict(list)
    for one, other in zip(first[kept].tolist(), second[kept].tolist(), strict=True):
        rows[one].append(other)
    return rows


def _best_first(scores: Tensor) -> list[int]:
    order: list[int] = scores.argsort(descending=True, stable=True).tolist()
    return order


def _as_far_as_seen(parts: _Parts, rows: Tensor, by: Tensor) -> Tensor:
    """Boxes of `rows`, ended where those of `by` are cut and could see no further."""
    mine, theirs = parts.boxes[rows], parts.boxes[by]
    nearer = torch.cat([torch.maximum(mine[:, :2], theirs[:, :2]), torch.minimum(mine[:, 2:], theirs[:, 2:])], dim=1)
    return torch.where(parts.cut[by], nearer, mine)


def _room(boxes: Tensor, windows: Tensor) -> Tensor:
    """(n, 4) pixels from each side of a box out to its window's."""
    return torch.cat([boxes[:, :2] - windows[:, :2], windows[:, 2:] - boxes[:, 2:]], dim=1)


def _slack(boxes: Tensor) -> Tensor:
    """(n, 4) pixels within which a side lies at a border."""
    return (EDGE_SHARE * (boxes[:, 2:] - boxes[:, :2])).clamp(min=EDGE).repeat(1, 2)


def _shared(one: Tensor, other: Tensor) -> Tensor:
    """Area that boxes (..., 4) have in common."""
    sides = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])
    return sides.clamp(min=0).prod(dim=-1)


def _overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union, row by row."""
    shared = _shared(one, other)
    return shared / (_area(one) + _area(other) - shared)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
