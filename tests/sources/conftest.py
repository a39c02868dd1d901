"""Small pictures, and a hub on loopback that the real client talks to."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sources.hub_server import LoopbackHub


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """picture(7) -> bytes of a small JPEG that differs from picture(8); kind="PNG" and others likewise."""

    def draw(seed: int, kind: str = "JPEG") -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (6, 8), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        return buffer.getvalue()

    return draw


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    """A running hub that HF_ENDPOINT points to, with an empty cache and no token."""
    with LoopbackHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub_cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the code under test would have slept; it does not."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept
