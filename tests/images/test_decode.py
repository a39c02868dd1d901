"""Whatever way an image is stored, it comes out as the same upright uint8 RGB, or as a DataError."""

import contextlib
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tropho.errors import DataError
from tropho.images.decode import Decoding, image_size, read_deep, read_image


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """A smooth RGB gradient, which JPEG keeps well."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], 2).astype(np.uint8)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_formats_give_the_stored_pixels(tmp_path: Path, ending: str) -> None:
    image = picture()
    path = tmp_path / f"a.{ending}"
    Image.fromarray(image).save(path, **({"lossless": True} if ending == "webp" else {}))
    read = read_image(path)
    assert read.dtype == np.uint8
    assert read.flags["C_CONTIGUOUS"]
    assert read.flags["WRITEABLE"]
    assert np.array_equal(read, image)
    assert image_size(path) == (60, 40)


def test_ending_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(read_image(tmp_path / "a.jpg"), picture())


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "I;16"])
def test_grey_in_any_mode_reads_like_its_rgb_copy(tmp_path: Path, mode: str, rng: np.random.Generator) -> None:
    grey = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    if mode == "1":
        grey = np.where(grey > 127, 255, 0).astype(np.uint8)
    if mode == "I;16":
        Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey.png")
    else:
        Image.fromarray(grey).convert(mode, dither=Image.Dither.NONE).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(grey[:, :, None], 3, 2)).save(tmp_path / "rgb.png")
    with Image.open(tmp_path / "grey.png") as stored:
        assert stored.mode == mode
    assert np.array_equal(read_image(tmp_path / "grey.png"), read_image(tmp_path / "rgb.png"))


def test_sixteen_bit_tiff_is_scaled_not_clipped(tmp_path: Path) -> None:
    for order in ("<u2", ">u2"):
        wide = np.array([[0, 255, 256, 0x8000, 0xFFFF]], dtype=order)
        mode = "I;16" if order == "<u2" else "I;16B"
        Image.frombytes(mode, (5, 1), wide.tobytes()).save(tmp_path / "wide.tif")
        assert read_image(tmp_path / "wide.tif")[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_transparency_is_laid_over_black(tmp_path: Path) -> None:
    rgba = np.full((2, 3, 4), 200, np.uint8)
    rgba[0, :, 3] = 0  # whatever colour hides under full transparency does not show
    rgba[1, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert (read[0] == 0).all()
    assert (read[1] == 200).all()


def test_transparent_palette_entry_is_black(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="L").convert("P")
    image.putpalette([250, 0, 0, 0, 250, 0])
    image.save(tmp_path / "a.png", transparency=0)
    assert read_image(tmp_path / "a.png").tolist() == [[[0, 0, 0], [0, 250, 0]]]


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    colour = np.empty((16, 16, 3), np.uint8)
    colour[:] = (200, 120, 40)
    Image.fromarray(colour).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - colour).max() <= 4


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera that is held that way stores the picture: the inverse of the turn that a viewer makes."""
    swapped = (1, 0, *range(2, upright.ndim))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(swapped),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(swapped),
        8: np.rot90(upright, -1),
    }[orientation]
    return np.ascontiguousarray(stored)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_upright(tmp_path: Path, orientation: int, ending: str, mode: str) -> None:
    if (mode, ending) == ("RGBA", "jpg"):
        pytest.skip("JPEG has no transparency")
    upright = np.asarray(Image.fromarray(picture()).convert(mode))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    options = {"quality": 95, "subsampling": 0} if (ending, mode) == ("jpg", "RGB") else {}
    Image.fromarray(turned(upright, orientation)).save(path, exif=exif, **options)
    assert image_size(path) == (60, 40)
    right = np.asarray(Image.fromarray(upright).convert("RGB")).astype(int)
    assert np.abs(read_image(path).astype(int) - right).max() <= (16 if ending == "jpg" else 0)


def wide(dtype: str) -> np.ndarray:
    """A smooth gradient of values that need more than 8 bits."""
    y, x = np.mgrid[0:40, 0:60]
    return (1000 + 8 * x + 3 * y).astype(dtype)


def write_tiff(path: Path, values: np.ndarray, orientation: int = 1) -> None:
    """Write (h, w) or (h, w, channels) of any type as one uncompressed strip."""
    height, width = values.shape[:2]
    channels = values.size // (height * width)
    begin = 8 + 4 * channels  # after the header, the bits of each channel and their formats
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 1 if channels == 1 else 2), (273, 4, 1, begin), (274, 3, 1, orientation)]
    tags += [(277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, values.nbytes)]
    tags += [(339, 3, channels, 8 + 2 * channels)]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    if channels == 1:  # a single value stands in the tag itself
        tags = [(tag, form, n, {258: 8 * values.itemsize, 339: kind}.get(tag, value)) for tag, form, n, value in tags]
    parts = [b"II*\0", struct.pack("<I", begin + values.nbytes)]
    parts += [struct.pack("<H", 8 * values.itemsize) * channels, struct.pack("<H", kind) * channels]
    parts += [values.astype(values.dtype.newbyteorder("<")).tobytes(), struct.pack("<H", len(tags))]
    parts += [struct.pack("<HHII", *tag) for tag in tags]
    path.write_bytes(b"".join([*parts, bytes(4)]))


def write_png(path: Path, values: np.ndarray, orientation: int) -> None:
    """Write 16 bits in colour, with the EXIF tag that OpenCV leaves out."""
    cv2.imwrite(str(path), values[..., ::-1])
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    content = path.read_bytes()
    path.write_bytes(content[:33] + chunk + content[33:])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["I;16.png", "I;16.tif", "F.tif", "signed.tif", "rgb16.png", "rgb16.tif"])
def test_more_than_eight_bits_are_scaled_by_the_range_given(tmp_path: Path, name: str, orientation: int) -> None:
    values = wide("float32" if name == "F.tif" else "int16" if name == "signed.tif" else "uint16")
    values = values - 1200 if name == "signed.tif" else values
    low, high = float(values.min()), float(values.max())
    path, stored = tmp_path / name, turned(values, orientation)
    if "rgb" in name:
        colour = np.dstack([stored, stored // 2 + 600, stored // 3 + 800])
        (write_png if path.suffix == ".png" else write_tiff)(path, colour, orientation)
    elif name == "signed.tif":
        write_tiff(path, stored, orientation)
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored).save(path, exif=exif)
    right = np.round((values.astype(float) - low) / (high - low) * 255)
    read = read_image(path, decoding=Decoding(value_range=(low, high)))
    assert read.shape == (40, 60, 3)
    assert np.abs(read[:, :, 0] - right).max() <= 1
    assert image_size(path) == (60, 40)
    if "rgb" in name:
        third = np.clip(np.round((values // 3 + 800 - low) / (high - low) * 255), 0, 255)
        assert np.abs(read[:, :, 2] - third).max() <= 1
    else:
        assert (read == read[:, :, :1]).all()


@pytest.mark.parametrize("ending", ["png", "tif", "ppm", "jp2"])
def test_colours_of_sixteen_bits_keep_their_depth(tmp_path: Path, ending: str) -> None:
    values = np.dstack([wide("uint16"), wide("uint16") + 100, wide("uint16") + 200])
    cv2.imwrite(str(tmp_path / f"a.{ending}"), values[..., ::-1])
    deep = read_deep(tmp_path / f"a.{ending}")
    assert deep is not None
    assert np.abs(deep.values - values.astype(int)).max() <= (60 if ending == "jp2" else 0)


@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("name", ["float64", "colour", "channels"])
def test_kinds_of_tiff_that_few_tools_write_are_read_whole_or_refused(tmp_path: Path, name: str, share: float) -> None:
    """64-bit floats and colours in floats are read; five channels are no picture."""
    values = wide("float64")
    if name != "float64":
        values = np.dstack([values] * (3 if name == "colour" else 5)).astype(np.float32)
    write_tiff(tmp_path / "a.tif", values)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * share)])
    decoding = Decoding(value_range=(float(values.min()), float(values.max())))
    if name == "channels" or share < 1:
        with pytest.raises(DataError, match=r"a\.tif can't be read"):
            read_image(tmp_path / "a.tif", decoding=decoding)
        return
    assert image_size(tmp_path / "a.tif") == (60, 40)
    read = read_image(tmp_path / "a.tif", decoding=decoding)
    assert read.shape == (40, 60, 3)
    assert (read.min(), read.max()) == (0, 255)
    with pytest.raises(DataError, match="8 or 16 bits"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(DataError, match="max_megapixels"):
        read_deep(tmp_path / "a.tif", 0.001)


def test_eight_bits_are_never_scaled(tmp_path: Path) -> None:
    for ending in ("png", "tif", "ppm", "jp2", "bmp", "webp"):
        Image.fromarray(picture()).save(tmp_path / f"a.{ending}")
        assert read_deep(tmp_path / f"a.{ending}") is None
        ranged = read_image(tmp_path / f"a.{ending}", decoding=Decoding(value_range=(3.0, 7.0)))
        assert np.array_equal(ranged, read_image(tmp_path / f"a.{ending}"))


def test_values_beyond_the_range_are_clipped_and_nan_is_black(tmp_path: Path) -> None:
    values = np.array([[np.nan, -np.inf, np.inf, -9, 0, 5, 10, 99]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    deep = read_deep(tmp_path / "a.tif")
    assert deep is not None
    assert deep.range == (-9, 99)
    read = read_image(tmp_path / "a.tif", decoding=Decoding(value_range=(0.0, 10.0)))
    assert read[0, :, 0].tolist() == [0, 0, 255, 0, 0, 128, 255, 255]
    constant = read_image(tmp_path / "a.tif", decoding=Decoding(value_range=(5.0, 5.0)))
    assert set(np.unique(constant)) <= {0, 255}


def test_transparency_of_sixteen_bits_is_black(tmp_path: Path) -> None:
    values = np.full((4, 4, 4), 60000, np.uint16)
    values[0, :, 3], values[1:, :, 3] = 0, 65535
    cv2.imwrite(str(tmp_path / "a.png"), values)
    read = read_image(tmp_path / "a.png", decoding=Decoding(value_range=(0.0, 60000.0)))
    assert (read[0] == 0).all()
    assert (read[1:] == 255).all()


def test_large_images_are_a_setting_away_and_refused_by_its_name(tmp_path: Path) -> None:
    Image.fromarray(picture(1000, 1200)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png has 1.2 megapixels, more than audit\.max_megapixels \(1\); raise it"):
        read_image(tmp_path / "a.png", decoding=Decoding(1.0))
    assert image_size(tmp_path / "a.png") == (1200, 1000)
    assert read_image(tmp_path / "a.png", decoding=Decoding(1.2)).shape == (1000, 1200, 3)


def test_damaged_exif_leaves_the_picture_readable(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert image_size(tmp_path / "a.jpg") == (60, 40)
    assert read_image(tmp_path / "a.jpg").shape == (40, 60, 3)


@pytest.mark.parametrize("reduced", [None, 32])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "WEBP", "TIFF", "GIF"])
def test_truncated_file_is_refused(tmp_path: Path, kind: str, share: float, reduced: int | None) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    stream = io.BytesIO()
    progressive = {"progressive": True} if kind == "progressive" else {}
    Image.fromarray(noise).save(stream, "JPEG" if progressive else kind, **progressive)
    whole = stream.getvalue()
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match="cut"):
        read_image(path, reduced)


@given(content=st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_arbitrary_bytes_raise_data_error_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a.jpg"
    path.write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(DataError):
            read(path)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP"]))
@settings(max_examples=80, deadline=None)
def test_flipped_bytes_never_raise_anything_but_data_error(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture(24, 24)).save(stream, kind)
    content = bytearray(stream.getvalue())
    generator = np.random.default_rng(seed)
    for place in generator.integers(0, len(content), 4):
        content[place] = generator.integers(0, 256)
    path = tmp_path_factory.mktemp("flipped") / "a"
    path.write_bytes(content)
    for read in (read_image, image_size):
        with contextlib.suppress(DataError):
            read(path)


def test_missing_file_folder_and_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("404 not found")
    with pytest.raises(DataError, match=r"nowhere\.jpg is missing"):
        read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match=r"nowhere\.jpg is missing"):
        image_size(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match=r"text\.jpg can't be read as an image: it is not a"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(DataError):
        read_image(tmp_path)


def test_thirty_two_bit_pixels_are_refused_with_a_remedy(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="8 or 16 bits"):
        read_image(tmp_path / "a.tif")


def test_decompression_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    header = b"P5 20000 20000 255\n"  # 400 MP claimed by 19 bytes
    (tmp_path / "bomb.pgm").write_bytes(header)
    with pytest.raises(DataError, match=r"bomb\.pgm has 400 megapixels"):
        read_image(tmp_path / "bomb.pgm")
    assert image_size(tmp_path / "bomb.pgm") == (20000, 20000)


@pytest.mark.parametrize(("asked", "side"), [(64, 64), (65, 128), (200, 256), (600, 512)])
def test_reduced_decoding_stays_above_the_side_asked_for(tmp_path: Path, asked: int, side: int) -> None:
    Image.fromarray(picture(256, 512)).save(tmp_path / "a.jpg", quality=95)
    reduced = read_image(tmp_path / "a.jpg", min_long_side=asked)
    assert reduced.shape == (side // 2, side, 3)
    whole = np.asarray(Image.fromarray(read_image(tmp_path / "a.jpg")).resize((side, side // 2), Image.Resampling.BOX))
    assert np.abs(reduced.astype(int) - whole).mean() < 1.0


@pytest.mark.real
def test_real_photo_shrinks_alike_by_either_way(real_data: Path) -> None:
    path = next((real_data / "lacuna" / "images").glob("*.jpg"))
    assert image_size(path) == (4032, 3016)
    whole = Image.fromarray(read_image(path)).resize((320, 239), Image.Resampling.BOX)
    reduced = Image.fromarray(read_image(path, min_long_side=320)).resize((320, 239), Image.Resampling.BOX)
    assert np.abs(np.asarray(whole).astype(int) - np.asarray(reduced)).mean() < 1.0


@pytest.mark.real
def test_real_scans_in_colour_files_read_like_those_in_grey_ones(real_data: Path) -> None:
    """The mode tells the class (most grey files are of tumours); once read, the channels must not tell the mode."""
    flat: dict[str, list[bool]] = {"L": [], "RGB": []}
    for path in sorted((real_data / "brain_mri").rglob("*.jpg"))[::12]:
        with Image.open(path) as stored:
            mode = stored.mode
        flat[mode].append(bool(np.ptp(read_image(path), axis=2).max() == 0))
    assert min(map(len, flat.values())) > 40
    assert all(flat["L"])
    assert np.mean(flat["RGB"]) > 0.95  # the others have marks drawn on them in colour
