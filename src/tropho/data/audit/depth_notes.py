"""What the audit says of images with more than 8 bits a channel."""

import numpy as np
import pandas as pd

from tropho.data.audit.inspect_images import ImageInfo
from tropho.images.decode import Decoding

_MOST = 65_535  # of 16 bits


def depth_notes(images: pd.DataFrame, looks: dict[str, ImageInfo], decoding: Decoding) -> list[str]:
    """Sentences on the range that such images are scaled by and on what is left of their grey levels."""
    deep = {path: look for path, look in looks.items() if look.depth}
    if decoding.value_range is None or not deep:
        return []
    low, high = decoding.value_range
    kinds = {look.depth for look in deep.values()}
    sixteen = kinds == {"integer"} and low >= 0 and high <= _MOST
    name = "16-bit" if sixteen else " and ".join(sorted(kinds)).replace("integer", "32-bit or signed")
    training = set(images.loc[(images["status"] == "ok") & (images["subset"] != "test"), "path"])
    shades = [look.shades for path, look in deep.items() if path in training and look.shades is not None]
    left = int(np.any(shades, axis=0).sum()) if shades else 0
    if low == high:
        return [f"All {name} training images hold the one value {low:g}: there is nothing to be told from them."]
    share = f"use {100 * (high - low) / _MOST:.1f} % of their range" if sixteen else "use a part of their range"
    note = f"{name[0].upper()}{name[1:]} images {share} ({low:g} to {high:g}); they are scaled by it"
    notes = [f"{note}, to {left} distinct grey levels." if 0 < left < 256 else f"{note}."]
    readable = sum(not look.fault for look in looks.values())
    if len(deep) < readable:
        rest = readable - len(deep)
        notes.append(f"{len(deep):,} images have more than 8 bits and are scaled; {rest:,} have 8 and are not.")
    return notes
