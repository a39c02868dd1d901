"""Work on many images at once, by as many threads as memory allows."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MEGAPIXELS_AT_ONCE = 200
"""Of all images under way; decoding takes about 10 bytes a pixel. A larger image has the memory to itself."""


def usable_cpus() -> int:
    """Count the CPU cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in the order of `items`, by a thread for each core that may be used; decoders and OpenCV release the GIL.

    Few results wait at once, since a decoded photo can take hundreds of megabytes.
    """
    workers = usable_cpus()
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class PixelBudget:
    """Lets threads decode only as many pixels at once as there is room for."""

    def __init__(self, megapixels: float = MEGAPIXELS_AT_ONCE) -> None:
        self._all = self._left = megapixels * 1e6
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, size: tuple[int, int]) -> Iterator[None]:
        """Wait until there is room for an image of this width and height, and hold it."""
        pixels = min(float(size[0] * size[1]), self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= pixels)
            self._left -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._left += pixels
                self._changed.notify_all()
