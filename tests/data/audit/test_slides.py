"""Slides slides by content: in photos whose slides are known, and not where there are none."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import pair_confusion_matrix

from smear_generator.smear import Photo, photos
from tropho.data.audit import slides as slides_module
from tropho.data.audit.run_audit import AuditResult, audit, figures
from tropho.data.audit.slide_features import COLOURED, PARTS, signature
from tropho.data.audit.slides import MIN_IMAGES, Slides, cluster_slides, fit_threshold
from tropho.data.split import split
from tropho.images.decode import read_image


def pixels_of(photo: Photo) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(photo.jpeg)))


def find(signatures: np.ndarray, strata: list[str] | np.ndarray) -> Slides:
    names = [f"{number:04d}" for number in range(len(signatures))]
    return cluster_slides(names, signatures, np.array(strata))


def scores(slides: Slides, truth: list[int] | np.ndarray) -> tuple[float, float, float]:
    """Precision and recall of pairs, and the adjusted Rand index."""
    (_, false), (missed, true) = pair_confusion_matrix(truth, slides.groups)
    return true / (true + false), true / (true + missed), adjusted_rand_score(truth, slides.groups)


def made_up(rng: np.random.Generator, slides: int, each: int, apart: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Signatures (N, D) of photos that differ by 1 within a slide and by `apart` between slides, and their slides."""
    truth = np.repeat(np.arange(slides), each)
    middles = rng.normal(0, apart, (slides, len(PARTS)))
    return middles[truth] + rng.normal(0, 1, (len(truth), len(PARTS))), truth


def test_cluster_slides_of_generated_photos(smears):
    drawn, _ = smears
    slides = find(np.array([signature(pixels_of(each)) for each in drawn]), [f"{each.camera.width}" for each in drawn])
    precision, recall, index = scores(slides, [each.slide for each in drawn])
    assert slides.reason == ""
    assert precision > 0.65
    assert recall > 0.55
    assert index > 0.6
    assert slides.sizes[0] <= 20  # of 3 to 10 photos a slide: no group swallows the data


def test_cluster_slides_groups_nothing_without_slides(rng):
    for _ in range(3):
        tilted = rng.normal(size=(120, len(PARTS))) @ rng.normal(size=(len(PARTS), len(PARTS)))
        slides = find(tilted, ["a"] * 120)
        assert slides.count == 0
        assert slides.reason
        assert len(set(slides.groups)) == 120


def test_cluster_slides_does_not_cut_one_slide(rng):
    assert find(made_up(rng, 1, 120)[0], ["a"] * 120).count == 0


def test_cluster_slides_needs_colour(rng):
    signatures, _ = made_up(rng, 20, 8)
    slides = find(np.where(COLOURED, 0.0, signatures), ["a"] * 160)
    assert "colour" in slides.reason
    assert find(signatures, ["a"] * 160).count == 20


def test_cluster_slides_needs_enough_images(rng):
    assert "too few" in find(made_up(rng, 4, MIN_IMAGES // 4 - 1)[0], ["a"] * (MIN_IMAGES - 4)).reason
    assert find(np.zeros((0, len(PARTS))), []).sentence.startswith("No slides")
    different = find(made_up(rng, 10, 10)[0], [f"{number}" for number in range(100)])
    assert different.count == 0


def test_cluster_slides_drops_noisy_features(rng):
    signatures, truth = made_up(rng, 25, 6)
    noisy = np.isin(PARTS, ("light", "field", "texture"))
    signatures[:, noisy] = rng.normal(0, 4, (len(truth), noisy.sum()))
    assert scores(find(signatures, ["a"] * len(truth)), truth)[2] > 0.9


def test_cluster_slides_keeps_strata_apart(rng):
    signatures, truth = made_up(rng, 20, 10)
    strata = np.where(np.arange(len(truth)) % 2, "4032x3016 A", "4032x3016 B")
    slides = find(signatures, strata)
    assert slides.count == 40
    for number in range(slides.groups.max() + 1):
        assert len(set(strata[slides.groups == number])) == 1


def test_cluster_slides_keeps_chains_apart(rng):
    """Slides on a line, each as near to the next as its own photos nearly are: a group holds few of them."""
    truth = np.repeat(np.arange(60), 5)
    signatures = truth[:, None] * 0.8 + rng.normal(0, 1, (len(truth), len(PARTS)))
    slides = find(signatures, ["a"] * len(truth))
    assert slides.sizes.max(initial=0) <= 60


def test_cluster_slides_does_not_depend_on_order(rng):
    signatures, truth = made_up(rng, 20, 6)
    order = rng.permutation(len(truth))
    first, second = find(signatures, ["a"] * len(truth)), find(signatures[order], ["a"] * len(truth))
    assert adjusted_rand_score(first.groups[order], second.groups) == 1


def test_fit_threshold_of_two_normals(rng):
    """Normal(2, 0.5) for a tenth of the pairs, normal(6, 1) for the rest: 0.1 f1 = 0.9 f0 at 3.205."""
    chance = rng.normal(6, 1, 200_000)
    both = np.concatenate([rng.normal(2, 0.5, 20_000), rng.normal(6, 1, 180_000)])
    cut = fit_threshold(both, chance, len(both))
    assert cut.value == pytest.approx(3.205, abs=0.15)
    assert cut.gain == pytest.approx(20_000 * 0.992 - 180_000 * 0.0026, rel=0.03)
    assert cut.false_share == pytest.approx(0.023, abs=0.01)
    assert fit_threshold(np.empty(0), chance, 0).gain == 0


@pytest.mark.parametrize("seed", [20, 34])
def test_cluster_slides_with_one_agreeing_feature(seed):
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(20), 5)
    signatures = rng.normal(size=(100, len(PARTS)))
    for place, part in enumerate(PARTS):
        share = {"ground": 0.5, "stain": 0.97}.get(part, 0.0) if place != PARTS.index("stain") + 1 else 0.0
        own, shared = rng.normal(size=100), rng.normal(size=20)[slide]
        signatures[:, place] = np.sqrt(share) * shared + np.sqrt(1 - share) * own
    assert find(signatures, ["a"] * 100).reason


def test_cluster_slides_of_many_slides(rng, monkeypatch):
    monkeypatch.setattr(slides_module, "_MAX_PAIRS", 50_000)
    signatures, truth = made_up(rng, 40, 10)
    assert scores(find(signatures, ["a"] * len(truth)), truth)[2] > 0.9


@pytest.fixture(scope="module")
def smears(tmp_path_factory) -> tuple[list[Photo], object]:
    """A folder of photos in the competition's format, and the photos."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "images").mkdir()
    drawn = list(photos(11, 120, "train", 0.8))
    rows = ["Image_ID,class,confidence,ymin,xmin,ymax,xmax"]
    for photo in drawn:
        (folder / "images" / photo.image_id).write_bytes(photo.jpeg)
        boxes = [f"{box.label},1,{box.ymin},{box.xmin},{box.ymax},{box.xmax}" for box in photo.labelled]
        rows += [f"{photo.image_id},{text}" for text in boxes or ["NEG,1,0,0,0,0"]]
    (folder / "Train.csv").write_text("\n".join(rows) + "\n")
    (folder / "Test.csv").write_text("Image_ID\n")
    return drawn, folder


def test_audit_groups_slides_and_folds_keep_them(settings, smears, tmp_path):
    drawn, folder = smears
    result: AuditResult = audit(settings("smear_demo"), folder)
    slide = {photo.image_id: photo.slide for photo in drawn}
    images = result.images.set_index("image_id")
    assert adjusted_rand_score([slide[name] for name in images.index], images["group"]) > 0.6
    (note,) = result.issues.loc[result.issues["kind"] == "same_slide", "detail"]
    assert note in result.summary["notes"]
    assert result.slides.count == (images["group"].value_counts() > 1).sum()
    assert result.slides.sizes[0] == images["group"].value_counts().max()
    assert result.slides.threshold.value > 0
    splits = split(settings("smear_demo").split, result.images, result.boxes)
    assert (splits.groupby("group")["fold"].nunique() == 1).all()
    assert (splits.groupby("group")["subset"].nunique() == 1).all()
    figures(result, folder, tmp_path)
    for name in ("same_slide_distances.png", "same_slide_groups.png"):
        assert min(Image.open(tmp_path / name).size) > 300


@pytest.mark.real
def test_signature_of_a_real_photo(real_data):
    (path,) = (real_data / "lacuna" / "images").glob("*.jpg")
    pixels = read_image(path)
    own = signature(pixels)
    assert np.isfinite(own).all()
    features = pd.Series(own, index=range(len(PARTS)))
    darker = signature((pixels * 0.8).astype(np.uint8))
    assert np.abs(darker - features)[:6].max() < 0.03


@pytest.mark.real
def test_cluster_slides_of_real_grey_cells(real_data):
    paths = sorted((real_data / "nih_cells").rglob("*.png"))[::20]
    slides = find(np.array([signature(read_image(path)) for path in paths]), ["50x50"] * len(paths))
    assert slides.count == 0
    assert "colour" in slides.reason
