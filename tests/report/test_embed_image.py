"""Tests of embedded images."""

import io
import logging

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stage_outputs import draw_chart, draw_photo
from tropho.report.embed_image import embed_image


def test_embed_image_distinguishes_charts_from_photos(tmp_path):
    draw_chart(tmp_path / "chart.png")
    draw_photo(tmp_path / "photo.png", (1700, 1000))
    chart, photo = (embed_image(tmp_path / f"{name}.png", "", "") for name in ("chart", "photo"))
    assert chart.chart
    assert chart.src.startswith("data:image/png")
    assert not photo.chart
    assert photo.src.startswith("data:image/jpeg")
    assert (photo.width, photo.height) == (1600, 941)


def test_embed_image_keeps_size_of_charts_in_inches():
    stream, marks = io.BytesIO(), PngInfo()
    marks.add_text("Software", "Matplotlib version3")
    Image.new("RGB", (288, 144), "white").save(stream, "PNG", dpi=(144, 144), pnginfo=marks)
    chart = embed_image(stream.getvalue(), "", "")
    assert (chart.width, chart.height) == (192, 96)


def test_embed_image_skips_broken_files(tmp_path, caplog):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    with caplog.at_level(logging.WARNING):
        assert embed_image(tmp_path / "broken.png", "", "") is None
    assert "left out of the report" in caplog.text
