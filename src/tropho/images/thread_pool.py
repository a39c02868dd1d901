"""Work on many images in threads, within bounded memory."""

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
"""Of all images that are being decoded, at about 10 bytes a pixel; a larger image waits for all others."""


def usable_cpus() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results in the order of `items`, from a thread for each core; few results wait at once."""
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
    """Limits the pixels that threads decode at once."""

    def __init__(self, megapixels: float = MEGAPIXELS_AT_ONCE) -> None:
        self._all = self._left = megapixels * 1e6
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, size: tuple[int, int]) -> Iterator[None]:
        """Wait until an image of this width and height fits into the budget, and reserve it."""
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
