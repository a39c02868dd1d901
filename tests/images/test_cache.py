"""A pack gives back what was put in, at one size, and is made anew only when its input differs."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tropho.errors import DataError
from tropho.images.cache import ImageCache, resize_as_cached, resize_long_side, write_cache
from tropho.images.decode import image_size, read_image


def folder_of_images(folder: Path, sizes: list[tuple[int, int]]) -> pd.DataFrame:
    """Smooth pictures of these (width, height), as files below `folder` and as their table."""
    rows = []
    for number, (width, height) in enumerate(sizes):
        y, x = np.mgrid[0:height, 0:width]
        image = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 40 * number % 256)], 2)
        path = Path("images") / f"{number}.png"
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(image.astype(np.uint8)).save(folder / path)
        rows.append((f"id_{number}.png", str(path)))
    return pd.DataFrame(rows, columns=["image_id", "path"])


SIZES = [(80, 60), (60, 80), (32, 32), (10, 4), (500, 1)]


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_a_grey_pack_keeps_brightness_and_no_colour(tmp_path: Path, encoding: str) -> None:
    images = folder_of_images(tmp_path, SIZES[:2])
    tint = np.zeros((60, 80, 3), np.uint8)
    tint[:, :40] = 90, 30, 200
    Image.fromarray(tint).save(tmp_path / images["path"][0])
    write_cache(images, tmp_path, tmp_path / "pack", 40, encoding, grayscale=True)
    packed = ImageCache(tmp_path / "pack")["id_0.png"].astype(int)
    assert np.ptp(packed, axis=2).max() == 0
    luma = round(0.299 * 90 + 0.587 * 30 + 0.114 * 200)
    assert np.abs(packed[:, :18] - luma).max() <= 4
    assert np.abs(packed[:, 22:]).max() <= 4


def test_dropping_colours_makes_another_pack(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path, SIZES[:1])
    for grey in (False, True):
        write_cache(images, tmp_path, tmp_path / "pack", 32, grayscale=grey)
        flat = np.ptp(ImageCache(tmp_path / "pack")["id_0.png"].astype(int), axis=2).max() == 0
        assert flat == grey


@pytest.mark.parametrize(("encoding", "tolerance"), [("raw", 0), ("png", 0), ("jpeg", 12)])
def test_packed_image_is_the_resized_file(tmp_path: Path, encoding: str, tolerance: int) -> None:
    images = folder_of_images(tmp_path, SIZES)
    write_cache(images, tmp_path, tmp_path / "pack", 32, encoding)
    pack = ImageCache(tmp_path / "pack")
    assert len(pack) == len(SIZES)
    assert pack.image_ids == list(images["image_id"])
    for image_id, path, size in zip(images["image_id"], images["path"], SIZES, strict=True):
        image = resize_as_cached(read_image(tmp_path / path, 32), 32)
        packed = pack[image_id]
        assert packed.dtype == np.uint8
        assert packed.flags["C_CONTIGUOUS"]
        assert packed.flags["WRITEABLE"]
        assert np.abs(packed.astype(int) - image).max() <= tolerance
        assert max(packed.shape) == 32
        assert pack.size_of(image_id) == packed.shape[1::-1]
        assert pack.original_size(image_id) == size
        scale = pack.scale(image_id)
        assert scale == (packed.shape[1] / size[0], packed.shape[0] / size[1])


def test_writing_into_an_image_leaves_the_pack_alone(tmp_path: Path) -> None:
    write_cache(folder_of_images(tmp_path, SIZES[:1]), tmp_path, tmp_path / "pack", 32)
    pack = ImageCache(tmp_path / "pack")
    before = pack["id_0.png"].copy()
    pack["id_0.png"][:] = 0
    assert np.array_equal(pack["id_0.png"], before)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(16, 64))
def test_long_side_is_exact_and_aspect_kept(width: int, height: int, size: int) -> None:
    resized = resize_long_side(np.full((height, width, 3), 7, np.uint8), size)
    assert max(resized.shape[:2]) == size
    assert (resized == 7).all()
    shorter = min(width, height) * size / max(width, height)
    assert abs(min(resized.shape[:2]) - max(1, shorter)) <= 0.5 + 1e-9


def test_pack_pickles_by_path_and_answers_membership(tmp_path: Path) -> None:
    write_cache(folder_of_images(tmp_path, SIZES), tmp_path, tmp_path / "pack", 32)
    pack = ImageCache(tmp_path / "pack")
    content = pickle.dumps(pack)
    assert len(content) < 1000  # the mapped bytes do not travel
    again = pickle.loads(content)
    assert np.array_equal(again["id_1.png"], pack["id_1.png"])
    assert "id_1.png" in again
    assert "other.png" not in again
    with pytest.raises(DataError, match=r"other\.png"):
        again["other.png"]


def inode(pack: Path) -> int:
    return (pack / "images.bin").stat().st_ino


def test_equal_input_is_not_packed_again(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path, SIZES)
    pack = tmp_path / "pack"
    write_cache(images, tmp_path, pack, 32)
    first = inode(pack)
    write_cache(images, tmp_path, pack, 32)
    assert inode(pack) == first
    moved = tmp_path / "elsewhere"
    (tmp_path / "images").rename(tmp_path / "pictures")
    images["path"] = images["path"].str.replace("images", "pictures")
    write_cache(images, tmp_path, pack, 32)  # content counts, not where it lies
    assert inode(pack) == first
    assert not moved.exists()


@pytest.mark.parametrize("change", ["size", "encoding", "content", "subset", "order"])
def test_other_input_is_packed_again(tmp_path: Path, change: str) -> None:
    images = folder_of_images(tmp_path, SIZES)
    pack = tmp_path / "pack"
    write_cache(images, tmp_path, pack, 32)
    first = inode(pack)
    if change == "content":
        Image.new("RGB", (80, 60), "red").save(tmp_path / "images" / "0.png")
    if change == "subset":
        images = images.iloc[1:]
    if change == "order":
        images = images.iloc[::-1]
    write_cache(images, tmp_path, pack, 24 if change == "size" else 32, "png" if change == "encoding" else "raw")
    assert inode(pack) != first
    assert ImageCache(pack).image_ids == list(images["image_id"])


@pytest.mark.fault("a damaged image pack", "packs again")
@pytest.mark.parametrize("file", ["images.bin", "index.parquet", "cache.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone"])
def test_a_damaged_pack_is_noticed_and_packed_again(tmp_path: Path, file: str, harm: str) -> None:
    images = folder_of_images(tmp_path, SIZES)
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    path = tmp_path / "pack" / file
    whole = path.read_bytes()
    flipped = whole[:-9] + bytes([whole[-9] ^ 0x40]) + whole[-8:]
    path.unlink()
    if harm != "gone":
        path.write_bytes({"flip": flipped, "cut": whole[: len(whole) // 2], "empty": b""}[harm])
    with pytest.raises(DataError, match=r"is damaged|no image cache|is not there"):
        ImageCache(tmp_path / "pack").check()
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    assert path.read_bytes() == whole
    ImageCache(tmp_path / "pack").check()


def test_known_hashes_are_trusted_and_missing_ones_computed(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path, SIZES[:2]).assign(sha256=["0" * 64, None])
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    first = inode(tmp_path / "pack")
    Image.new("RGB", (80, 60), "red").save(tmp_path / "images" / "0.png")
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    assert inode(tmp_path / "pack") == first
    Image.new("RGB", (80, 60), "red").save(tmp_path / "images" / "1.png")
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    assert inode(tmp_path / "pack") != first


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path, SIZES * 5)
    for name in ("a", "b"):
        write_cache(images, tmp_path, tmp_path / name, 32, "jpeg")
    for file in ("images.bin", "index.parquet", "cache.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_unreadable_image_is_named_and_leaves_the_old_pack(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path, SIZES)
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    whole = (tmp_path / "images" / "3.png").read_bytes()
    (tmp_path / "images" / "3.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"3\.png"):
        write_cache(images, tmp_path, tmp_path / "pack", 16)
    assert ImageCache(tmp_path / "pack").size_of("id_0.png") == (32, 24)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "pack"]


def test_missing_file_double_id_and_missing_pack_are_refused(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path, SIZES)
    with pytest.raises(DataError, match="stands for two images"):
        write_cache(pd.concat([images, images]), tmp_path, tmp_path / "pack", 32)
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png"):
        write_cache(images, tmp_path, tmp_path / "pack", 32)
    with pytest.raises(DataError, match="holds no image cache"):
        ImageCache(tmp_path / "pack")


def test_empty_table_gives_an_empty_pack(tmp_path: Path) -> None:
    write_cache(folder_of_images(tmp_path, []), tmp_path, tmp_path / "pack", 32)
    assert len(ImageCache(tmp_path / "pack")) == 0


def test_jpeg_is_reduced_while_decoding_yet_keeps_its_original_size(tmp_path: Path) -> None:
    y, x = np.mgrid[0:300, 0:400]
    image = np.stack([x * 255 // 400, y * 255 // 300, (x + y) // 4], 2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, shown standing
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=95, exif=exif)
    packed = resize_as_cached(read_image(tmp_path / "a.jpg", 40), 40)
    assert image_size(tmp_path / "a.jpg") == (300, 400)
    assert packed.shape == (40, 30, 3)
    upright = resize_long_side(np.ascontiguousarray(np.rot90(image, -1)), 40)
    assert np.abs(packed.astype(int) - upright).mean() < 2


def test_a_shrunk_pack_is_the_pack_at_a_smaller_size(tmp_path):
    images = folder_of_images(tmp_path, [(61, 30), (20, 50)])
    write_cache(images, tmp_path, tmp_path / "pack", 40)
    whole, small = ImageCache(tmp_path / "pack"), ImageCache(tmp_path / "pack", 24)
    assert (whole.size, small.size) == (40, 24)
    for image_id in whole.image_ids:
        height, width = small[image_id].shape[:2]
        assert max(height, width) == 24
        assert small.size_of(image_id) == (width, height)
        original = whole.original_size(image_id)
        assert small.scale(image_id) == (width / original[0], height / original[1])
        np.testing.assert_array_equal(small[image_id], resize_long_side(whole[image_id], 24))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(small))[image_id], small[image_id])
    with pytest.raises(ValueError, match="can't be shrunk to 41"):
        ImageCache(tmp_path / "pack", 41)
