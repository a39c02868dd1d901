"""Edges of decoding: depths, transparency, orientations, names of what is wrong."""

import cv2
import numpy as np
import pytest
from PIL import Image

from images.test_decode import wide, write_tiff
from tropho.errors import DataError
from tropho.images.bit_depth import DeepPixels, _jpeg2000_bits
from tropho.images.cache import ImageCache, write_cache
from tropho.images.decode import DECODING, Decoding, ImageReader, image_size, read_deep, read_image

MARKER = b"\xff\x4f\xff\x51"


@pytest.mark.parametrize("decoding", [DECODING, Decoding(5.0, (-1.0, 2.5)), Decoding(0.5)])
def test_what_is_recorded_is_read_back(decoding):
    assert Decoding.recorded(decoding.record()) == decoding
    assert Decoding.recorded({}) == DECODING


def test_a_reader_reads_below_its_folder(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (7, 5), (1, 2, 3)).save(tmp_path / "a" / "b.png")
    reader = ImageReader(tmp_path)
    assert reader.size("a/b.png") == (7, 5)
    assert reader.read("a/b.png").tolist() == [[[1, 2, 3]] * 7] * 5


def test_transparent_grey_is_black(tmp_path):
    Image.fromarray(np.array([[[200, 0], [200, 255]]], np.uint8), "LA").save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 200]


def test_a_damaged_file_is_refused_in_the_decoder_s_words(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.png can't be read as an image: image file is truncated"):
        read_image(tmp_path / "a.png")


def test_bits_of_jpeg2000_are_those_of_its_header(tmp_path):
    path = tmp_path / "a.j2k"
    for before in (b"", b"box"):
        for depth, bits in ((7, 8), (8, 9), (15, 16), (0x80 | 8, 9)):
            path.write_bytes(before + MARKER + bytes(38) + bytes([depth]))
            assert _jpeg2000_bits(path) == bits
    path.write_bytes(b"none" * 20)
    assert _jpeg2000_bits(path) == 8


def test_plain_pixmaps_are_deep_above_255(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_text("P3 1 1 255 10 20 30\n")
    assert read_deep(path) is None
    assert read_image(path).tolist() == [[[10, 20, 30]]]
    path.write_text("P3 1 1 256 256 20 30\n")
    deep = read_deep(path)
    assert deep is not None
    assert deep.values.tolist() == [[[256, 20, 30]]]


def test_colours_in_floats_keep_their_fractions(tmp_path):
    values = np.array([[[0.25, 0.5, 0.75], [0.0, 1.0, 0.125]]], np.float32)
    write_tiff(tmp_path / "a.tif", values)
    deep = read_deep(tmp_path / "a.tif")
    assert deep.values.tolist() == values.tolist()
    assert deep.range == (0.0, 1.0)
    assert read_image(tmp_path / "a.tif", decoding=Decoding(value_range=(0.0, 1.0))).tolist() == [
        [[64, 128, 191], [0, 255, 32]]
    ]


def test_colours_of_sixteen_bits_with_transparency(tmp_path):
    values = np.zeros((2, 3, 4), np.uint16)
    values[..., 0], values[..., 1], values[..., 2] = 60000, 30000, 10000  # blue, green, red
    values[0, :, 3], values[1, :, 3] = 65535, 13107  # one fifth
    cv2.imwrite(str(tmp_path / "a.png"), values)
    deep = read_deep(tmp_path / "a.png")
    assert deep.values[0, 0].tolist() == [10000, 30000, 60000]
    np.testing.assert_allclose(deep.alpha, [[1] * 3, [0.2] * 3], atol=1e-6)
    read = read_image(tmp_path / "a.png", decoding=Decoding(value_range=(0.0, 60000.0)))
    assert read[0, 0].tolist() == [42, 128, 255]
    assert np.abs(read[1, 2].astype(int) - [8, 26, 51]).max() <= 1


@pytest.mark.parametrize(("orientation", "size"), [(1, (60, 40)), (4, (60, 40)), (5, (40, 60)), (8, (40, 60))])
def test_sizes_of_odd_tiffs_are_upright(tmp_path, orientation, size):
    write_tiff(tmp_path / "a.tif", wide("float64"), orientation)
    assert image_size(tmp_path / "a.tif") == size


def test_signed_bytes_are_deep_and_plain_ones_are_not(tmp_path):
    write_tiff(tmp_path / "a.tif", np.array([[-100, 0, 100]], np.int8))
    deep = read_deep(tmp_path / "a.tif")
    assert deep.values.tolist() == [[-100, 0, 100]]
    assert deep.values.dtype == np.int32
    write_tiff(tmp_path / "b.tif", np.array([[0, 100, 200]], np.uint8))
    assert read_deep(tmp_path / "b.tif") is None


def test_tall_images_are_scaled_whole():
    values = np.arange(600, dtype=np.int32)[:, None].repeat(2, 1)
    rgb = DeepPixels(values).to_rgb((0.0, 599.0))
    assert rgb.shape == (600, 2, 3)
    assert rgb[:, 0, 0].tolist() == np.round(np.arange(600) / 599 * 255).astype(int).tolist()
    assert [rows for rows, _ in DeepPixels(values).blocks()] == [slice(0, 256), slice(256, 512), slice(512, 768)]
    faded = DeepPixels(values, np.full(values.shape, 0.5, np.float32)).to_rgb((0.0, 599.0))
    assert faded[599, 1].tolist() == [128, 128, 128]


def test_a_missing_file_is_told_in_plain_words(tmp_path, rng):
    import pandas as pd

    images = pd.DataFrame({"image_id": ["a"], "path": ["a.png"]})
    with pytest.raises(DataError, match=r"a\.png can't be read: No such file or directory\.$"):
        write_cache(images, tmp_path, tmp_path / "pack", 32)
    Image.fromarray(rng.integers(0, 256, (20, 32, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    write_cache(images, tmp_path, tmp_path / "pack", 32)
    same = ImageCache(tmp_path / "pack", 32)
    assert np.array_equal(same["a"], ImageCache(tmp_path / "pack")["a"])
    assert ImageCache(tmp_path / "pack", 1).size_of("a") == (1, 1)
