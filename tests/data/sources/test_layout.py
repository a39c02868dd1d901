"""Where images of published data sets are put."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.data.sources.image_layout import SPLITS, arrange, is_annotation, suffix_of
from tropho.errors import DataError

PARTS = st.sampled_from(["train", "Testing", "val", "CNV", "DME", "set", "v1"])
PATHS = st.lists(st.tuples(st.lists(PARTS, max_size=4), st.sampled_from(["1.jpg", "2.jpg"])), max_size=8)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("Training/1-notumor/Tr_1.jpg", "Training/1-notumor/Tr_1.jpg"),
        ("OCT2017/train/CNV/1.jpg", "train/CNV/1.jpg"),
        ("train/train/CNV/1.jpg", "train/CNV/1.jpg"),
        ("data/images/CNV/1.jpg", "CNV/1.jpg"),
        ("train/1.jpg", "train/1.jpg"),
    ],
)
def test_arrange_drops_wrapping_folders(path, place):
    assert arrange([path]) == {path: place}


def test_arrange_skips_images_outside_splits():
    assert arrange(["logo.png", "docs/figure.png", "x/train/a/1.jpg"]) == {"x/train/a/1.jpg": "train/a/1.jpg"}


def test_arrange_refuses_duplicate_places():
    with pytest.raises(DataError, match=r"are both train/a/1\.jpg"):
        arrange(["one/train/a/1.jpg", "two/train/a/1.jpg"])


@given(PATHS)
def test_arrange_gives_unique_places(paths):
    listed = sorted({"/".join([*folders, name]) for folders, name in paths})
    try:
        places = arrange(listed)
    except DataError:
        return
    assert len(set(places.values())) == len(places)
    assert all(path.endswith(place) and "/" in place for path, place in places.items())
    if any(place.split("/")[0].lower() in SPLITS for place in places.values()):
        assert all(place.split("/")[0].lower() in SPLITS for place in places.values())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "PPM"])
def test_suffix_of_reads_first_bytes(picture, kind):
    expected = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2", "PPM": ".ppm"}.get(kind, f".{kind.lower()}")
    assert suffix_of(picture(1, kind)) == expected
    assert suffix_of(b"no image") is None


def test_is_annotation_accepts_yolo_class_list():
    assert is_annotation("set/data.yaml")
    assert not is_annotation("set/.pre-commit-config.yaml")
