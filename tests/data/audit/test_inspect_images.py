"""Files looked at once: what they hold and what is wrong with them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tropho.data.audit.inspect_images import inspect_images
from tropho.data.audit.slide_features import signature
from tropho.images.decode import Decoding


@pytest.fixture
def picture(rng) -> Image.Image:
    return Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))


def test_inspect_images_of_a_readable_file(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    info = inspect_images(tmp_path, ["a.png"])["a.png"]
    assert (info.width, info.height, info.mode, info.format) == (60, 40, "RGB", "PNG")
    assert not info.fault
    assert not info.mistyped
    assert len(info.sha256) == 64


def test_inspect_images_names_faults(tmp_path, picture):
    picture.save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    names = ["torn.jpg", "empty.png", "text.jpg", "dangling.jpg"]
    infos = inspect_images(tmp_path, names)
    assert all(infos[name].fault for name in names)
    assert not any(str(tmp_path) in info.fault for info in infos.values())


def test_inspect_images_reads_mistyped_files(tmp_path, picture):
    picture.save(tmp_path / "a.jpg", format="PNG")
    info = inspect_images(tmp_path, ["a.jpg"])["a.jpg"]
    assert info.mistyped
    assert not info.fault


def test_pixel_hash_is_equal_in_grey_and_rgb(tmp_path, picture):
    grey = picture.convert("L")
    grey.save(tmp_path / "grey.png")
    grey.convert("RGB").save(tmp_path / "rgb.png")
    infos = inspect_images(tmp_path, ["grey.png", "rgb.png"])
    assert infos["grey.png"].pixels == infos["rgb.png"].pixels
    assert infos["grey.png"].sha256 != infos["rgb.png"].sha256
    assert (infos["grey.png"].mode, infos["rgb.png"].mode) == ("L", "RGB")


def test_pixel_hash_depends_on_the_transparency_of_deep_images(tmp_path, rng):
    values = rng.integers(0, 65535, (20, 30, 4), dtype=np.uint16)
    other, again = values.copy(), values.copy()
    other[5, 5, 3] ^= 1
    for name, image in (("a.png", values), ("b.png", other), ("c.png", again), ("opaque.png", values[:, :, :3])):
        cv2.imwrite(str(tmp_path / name), image)
    decoding = Decoding(value_range=(0.0, 65535.0))
    infos = inspect_images(tmp_path, ["a.png", "b.png", "c.png", "opaque.png"], decoding=decoding)
    assert infos["a.png"].pixels == infos["c.png"].pixels
    assert len({info.pixels for info in infos.values()}) == 3


def test_pixel_hash_depends_on_shape(tmp_path):
    for name, size in (("wide.png", (60, 40)), ("tall.png", (40, 60))):
        Image.new("L", size, 7).save(tmp_path / name)
    infos = inspect_images(tmp_path, ["wide.png", "tall.png"])
    assert infos["wide.png"].pixels != infos["tall.png"].pixels


def test_inspect_images_reads_device(tmp_path, picture):
    tags = Image.Exif()
    tags.update({0x010F: "Maker", 0x0110: "One"})
    picture.save(tmp_path / "a.jpg", exif=tags)
    picture.save(tmp_path / "none.jpg")
    infos = inspect_images(tmp_path, ["a.jpg", "none.jpg"])
    assert (infos["a.jpg"].device, infos["none.jpg"].device) == ("Maker One", "")


def test_inspect_images_computes_signatures_when_asked(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    assert inspect_images(tmp_path, ["a.png"])["a.png"].signature is None
    signed = inspect_images(tmp_path, ["a.png"], with_signature=True)["a.png"].signature
    assert np.array_equal(signed, signature(np.array(picture)))
