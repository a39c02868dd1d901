"""Small pictures, and servers on loopback that the real clients talk to."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.sources.kaggle_server import LoopbackKaggle


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
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackKaggle]:
    """A running Kaggle that the client takes for the one on this machine, with an empty cache and no credentials."""
    from kagglesdk import kaggle_env

    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "KAGGLE_CONFIG_DIR", "KAGGLEHUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    with LoopbackKaggle() as server:
        # no variable of the client's names a port, and LOCALHOST stands for port 80
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, server.url)
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the code under test would have slept; it does not."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept
