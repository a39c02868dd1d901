"""Counts and sentences of the audit from small tables."""

import numpy as np
import pandas as pd
import pytest

from data.audit.audit_inputs import boxes_of, images_of
from tropho.data.audit.audit_summary import depth_notes, summarise
from tropho.data.audit.inspect_images import ImageInfo
from tropho.images.decode import Decoding


def issues_of(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "action", "detail"])


@pytest.fixture
def summary_of(settings):
    """Function (images, boxes, issues, infos, doubles, pattern) -> the summary, with classes a and b."""

    def make(images, boxes=boxes_of(), issues=issues_of(), infos=None, doubles=(0, 0), pattern=None):  # noqa: B008
        audit = settings("smear_demo", **{"audit.group_pattern": pattern}).audit
        return summarise(images, boxes, issues, ["a", "b"], infos or {}, doubles, [], audit)

    return make


def test_summarise_detection(summary_of):
    images = images_of({}, {"status": "missing"}, {"subset": "test"}, {"subset": "test", "status": "unlabelled"}, {})
    boxes = boxes_of(("0", "a", False), ("0", "a", False), ("1", "b", False), ("4", "a", True), ("2", "a", True))
    summary = summary_of(images, boxes, doubles=(3, 2))
    assert {key: summary[key] for key in ("images", "usable", "missing", "boxes", "ignored_regions")} == {
        "images": 5, "usable": 3, "missing": 1, "boxes": 3, "ignored_regions": 2
    }  # fmt: skip
    assert not summary["test_labelled"]
    assert summary_of(images, boxes_of(("2", "a", False)))["test_labelled"]
    assert summary["subsets"]["train"] == {
        "images": 3, "usable": 2, "boxes": 3, "without_boxes": 0,
        "classes": {"a": {"images": 1, "boxes": 2}, "b": {"images": 1, "boxes": 1}},
    }  # fmt: skip
    assert summary["subsets"]["test"]["without_boxes"] == 1
    assert summary["notes"] == [
        "3 of 5 images can be used.",
        "1 of 5 images are missing.",
        "Images without a usable label: 1.",
        "Pairs of boxes that may be one object drawn twice, in 2 images: 3.",
    ]


@pytest.mark.parametrize(
    ("names", "count", "told"),
    [
        (("WBC", "WCB"), 1, True),
        (("trophozoite", "Trophozoit"), 1, True),
        (("WBC", "RBC"), 1, False),
        (("WBC", "WCB"), 2, False),
    ],
)
def test_summarise_points_to_a_class_that_may_be_misspelt(settings, names, count, told):
    """One box of 50 is rare, two are not; RBC is a name of its own."""
    frequent, rare = names
    boxes = boxes_of(*[("0", frequent, False)] * 50, *[("1", rare, False)] * count)
    audit = settings("smear_demo").audit
    notes = summarise(images_of({}, {}), boxes, issues_of(), sorted(names), {}, (0, 0), [], audit)["notes"]
    sentence = (
        f"Perhaps a spelling mistake: the class '{rare}' has {count} of the boxes, '{frequent}' 50. "
        f"If so, set audit.class_map: {{{rare}: {frequent}}}."
    )
    assert (sentence in notes) == told
    assert any("spelling" in note for note in notes) == told


def test_summarise_classification(summary_of):
    summary = summary_of(images_of({"label": "a"}, {"label": "a"}, {"label": "b", "subset": "test"}))
    assert summary["subsets"]["train"]["classes"] == {"a": {"images": 2, "boxes": 0}, "b": {"images": 0, "boxes": 0}}
    assert summary["test_labelled"]


def test_summarise_duplicates_across_subsets(summary_of):
    copies = [("train", "x"), ("test", "x"), ("train", "y"), ("validation", "y"), ("train", "y"), ("validation", "x")]
    images = images_of(*({"subset": subset, "duplicate": key} for subset, key in copies), {})
    issues = issues_of(
        ("duplicate_image", "grouped", "."), ("near_duplicate", "grouped", "."), ("near_duplicate", "grouped", "."),
        ("label_conflict", "listed", "."), ("label_conflict", "quarantined", "."),
    )  # fmt: skip
    summary = summary_of(images, issues=issues)
    assert summary["duplicates"] == {
        "exact": 1, "near": 2, "label_conflicts": 1, "sets": 2, "biggest_set": 3, "train_images_in_test": 2,
        "train_images_in_validation": 3,
    }  # fmt: skip
    assert summary["notes"][1:] == [
        "Exact copies of another image: 1.",
        "Near copies of another image: 2.",
        "Training images that are also in the published test set: 2.",
        "Training images that are also in the published validation set: 3.",
        "Copies whose label differs from the first one's: 1.",
    ]
    assert summary_of(images_of({}))["duplicates"]["biggest_set"] == 0


def test_summarise_quotes_the_first_of_some_issues(summary_of):
    kinds = ["zero_area", "outside", "too_small", "bad_row", "bad_annotation", "unknown_class", "correction"]
    issues = issues_of(*((kind, "x", f"{kind}.") for kind in [*kinds, "further_frames", "other_file", "other_file"]))
    summary = summary_of(images_of({}), issues=issues)
    assert summary["corrections"] == {"applied": 1, "quarantined": 0}
    assert summary["notes"] == [
        "1 of 1 images can be used.",
        "Rows of labels that can't be used: 3.",
        "Boxes dropped, since they have no area inside their image: 3.",
        "Other file (the first of 2): other_file.",
        "Further frames: further_frames.",
    ]


@pytest.mark.parametrize(("count", "rest"), [(20, None), (22, {"2 other sizes": 2})])
def test_summarise_the_commonest_sizes(summary_of, count, rest):
    sizes = summary_of(images_of({"width": 9, "height": 9}, *({"width": n, "height": 9} for n in range(count))))[
        "sizes"
    ]
    assert next(iter(sizes.items())) == ("9x9", 2)
    assert len(sizes) == 20 + bool(rest)
    assert not rest or {key: sizes[key] for key in rest} == rest


@pytest.mark.parametrize(
    ("size", "others", "warned"), [(20, 1, False), (21, 1, True), (40, 160, False), (41, 159, True)]
)
def test_summarise_warns_of_big_groups(summary_of, size, others, warned):
    images = images_of(*[{"group": "g"}] * size, *[{}] * others)
    summary = summary_of(images)
    assert (summary["groups"]["biggest"], summary["groups"]["biggest_name"]) == (size, "g")
    assert any("The biggest group, g, has" in note for note in summary["notes"]) == warned
    assert summary_of(images_of())["groups"] == {"count": 0}


def test_summarise_warns_of_ids_without_a_match(summary_of):
    images = images_of(*({"image_id": name, "label": name[0]} for name in ("a1", "a2", "b1", "bx")))
    summary = summary_of(images, pattern="([ab][0-9])")
    assert summary["groups"]["not_matched"] == 1
    assert "matches 100% of a and 50.0% of b images. 1 have no group, such as 'bx'" in summary["notes"][-1]
    assert summary_of(images[:3], pattern="([ab][0-9])")["groups"]["not_matched_example"] is None
    one = images_of(*({"image_id": f"a{n}", "label": "a"} for n in range(2000)), {"image_id": "ax", "label": "a"})
    assert "matches 99.9% images" in summary_of(one, pattern="(a[0-9])")["notes"][-1]


@pytest.mark.parametrize(("grey", "warned"), [(10, False), (11, True)])
def test_summarise_warns_of_colour_modes(summary_of, grey, warned):
    """Of 100 images of each class, some of class a are grey: guessing by the mode is right in 100 + grey of 200."""
    images = images_of(*[{"label": "a"}] * 100, *[{"label": "b"}] * 100)
    infos = {f"{n}": ImageInfo(f"{n}", "", mode="L" if n < grey else "RGB") for n in range(200)}
    summary = summary_of(images, infos=infos)
    assert summary["colour_mode_tells"] == {"accuracy_from_mode": (100 + grey) / 200, "accuracy_from_nothing": 0.5}
    notes = [note for note in summary["notes"] if "The colour mode" in note]
    assert [note.split(". ")[1][:43] for note in notes] == ["With augment.grayscale: true, colours are d"] * warned
    assert summary["colour_modes"]["a"]["L"] == grey / 100
    infos |= {"0": ImageInfo("0", "", "torn")}
    assert summary_of(images, infos=infos)["colour_modes"]["a"]["L"] == round((grey - 1) / 99, 4)
    boxed = summary_of(images.assign(label=None), infos=infos)
    assert list(boxed["colour_modes"]) == ["all"]
    assert "colour_mode_tells" not in boxed
    assert "colour_mode_tells" not in summary_of(images, infos={"1": infos["1"]})


DEEP = np.zeros(256, bool)


DEEP[:3] = True


@pytest.mark.parametrize(
    ("span", "depth", "shades", "words"),
    [
        ((0, 65535), "integer", 3, "(0 to 65535, 100.0 % of 16 bits); this leaves the training images 3 distinct"),
        ((100, 6653.5), "integer", 256, "(100 to 6653.5, 10.0 % of 16 bits); this leaves the training images 256"),
        ((-1, 10), "integer", 1, "by their range (-1 to 10); this"),
        ((0, 65536), "integer", 1, "by their range (0 to 65536); this"),
        ((0, 1), "floating-point", 1, "by their range (0 to 1); this"),
        (None, "integer", 3, None),
        ((0, 9), "", 3, None),
    ],
)
def test_depth_notes(span, depth, shades, words):
    levels = np.arange(256) < shades
    infos = {
        "0": ImageInfo("0", "", depth=depth, shades=levels),
        "1": ImageInfo("1", "", depth=depth, shades=np.ones(256, bool)),
    }
    notes = depth_notes(images_of({}, {"subset": "test"}), infos, Decoding(100, span))
    assert len(notes) == bool(words)
    assert not words or words in notes[0]


def test_depth_notes_beside_other_images():
    infos = {
        "0": ImageInfo("0", "", depth="integer", shades=DEEP),
        "1": ImageInfo("1", ""),
        "2": ImageInfo("2", "", "torn"),
    }
    (note,) = depth_notes(images_of({}, {}, {}), infos, Decoding(100, (0, 65535)))
    assert note.startswith("1 images of more than 8 bits are scaled")
    assert note.endswith("; 1 of 8 bits are not scaled.")
    (note,) = depth_notes(images_of({"status": "missing"}, {}), {"0": infos["0"]}, Decoding(100, (0, 65535)))
    assert note.endswith("leaves the training images 0 distinct grey levels.")
