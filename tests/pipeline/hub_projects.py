"""Small repositories laid out as the published ones of the four class projects."""

import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from data.sources.hub_server import HubRepo

BRAIN = "Simezu/brain-tumour-MRI-scan"
OCT = "MaybeRichard/OCT-retina-classification-2017"
CHEST = "trpakov/chest-xray-classification"
REPOSITORY = {"brain_tumor": BRAIN, "brain_tumor_binary": BRAIN, "retina_oct": OCT, "chest_xray": CHEST}

SIDE = 48  # pixels


def picture(*seed: int, mode: str = "L") -> bytes:
    """A JPEG of coarse noise, like none of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def brain() -> HubRepo:
    """Folders of 8 training and 4 test images a class; Training/1-notumor/copy.jpg is a test image too."""
    classes = ("1-notumor", "2-glioma", "3-meningioma", "4-pituitary")
    files = {
        f"{split}/{name}/{prefix}_{number:04d}.jpg": picture(1, part, order, number, mode="L" if order else "RGB")
        for part, (split, prefix, count) in enumerate((("Training", "Tr", 8), ("Testing", "Te", 4)))
        for order, name in enumerate(classes)
        for number in range(count)
    }
    files["Training/1-notumor/copy.jpg"] = files["Testing/1-notumor/Te_0000.jpg"]
    return HubRepo({"main": {"README.md": b"---\nlicense: mit\n---\n", **files}})


def oct_archive() -> HubRepo:
    """A wrapped archive: two images each of 5 training, 1 validation and 2 test patients a class.

    A test patient with drusen, 4000, is in training with CNV.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for order, name in enumerate(("CNV", "DME", "DRUSEN", "NORMAL")):
            patients = {"train": range(5), "val": range(5, 6), "test": range(6, 8)}
            for split, numbers in patients.items():
                for number in numbers:
                    patient = 4000 if (name, number) in {("CNV", 0), ("DRUSEN", 7)} else 1000 * order + number + 5000
                    for image in (1, 2):
                        path = f"OCT2017/{split}/{name}/{name}-{patient}-{image}.jpeg"
                        packed.writestr(path, picture(2, order, number, image))
        packed.writestr("__MACOSX/OCT2017/train/CNV/._CNV-1-1.jpeg", b"junk")
    return HubRepo({"main": {"README.md": b"", "OCT2017.zip": buffer.getvalue()}})


def chest() -> HubRepo:
    """A script on main and, in refs/convert/parquet, tables whose classes are out of alphabetical order.

    Two images each of persons 1 to 6 are for training with 8 normal ones, one each of persons 7 to 10 for
    validation with 4, one each of persons 11 to 13 for test with 3.
    """
    sick = {"train": [(each, image) for each in range(1, 7) for image in (0, 1)]}
    sick |= {"validation": [(each, 0) for each in range(7, 11)], "test": [(each, 0) for each in range(11, 14)]}
    well = {"train": 8, "validation": 4, "test": 3}
    tables = {}
    for part, split in enumerate(well):
        rows = [(picture(3, *each), f"person{each[0]}_virus_{each[1]}.jpeg", 0) for each in sick[split]]
        rows += [(picture(4, part, each), f"IM-{part}{each:03d}-0001.jpeg", 1) for each in range(well[split])]
        tables[f"full/{split}/0000.parquet"] = _table(rows)
    main = {"README.md": b"", "chest-xray-classification.py": b"", "thumbnail.jpg": picture(5)}
    return HubRepo({"main": main, "refs/convert/parquet": tables})


def _table(rows: list[tuple[bytes, str, int]]) -> bytes:
    """Parquet as the Hub converts a script's images: bytes, path and label, features in the metadata."""
    table = pa.table(
        {
            "image": pa.array([{"bytes": content, "path": path} for content, path, _ in rows]),
            "labels": pa.array([label for *_, label in rows]),
        }
    )
    label = {"names": ["PNEUMONIA", "NORMAL"], "_type": "ClassLabel"}
    features = {"info": {"features": {"image": {"_type": "Image"}, "labels": label}}}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), buffer)
    return buffer.getvalue()
