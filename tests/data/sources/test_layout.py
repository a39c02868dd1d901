"""Which files of a published data set are images and labels."""

import pytest

from tropho.data.sources.archives import is_annotation
from tropho.data.sources.huggingface import suffix_of


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "PPM"])
def test_suffix_of_reads_first_bytes(picture, kind):
    expected = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2", "PPM": ".ppm"}.get(kind, f".{kind.lower()}")
    assert suffix_of(picture(1, kind)) == expected
    assert suffix_of(b"no image") is None


def test_is_annotation_accepts_yolo_class_list():
    assert is_annotation("set/data.yaml")
    assert not is_annotation("set/.pre-commit-config.yaml")
