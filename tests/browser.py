"""Chromium for tests that need a browser."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


def find_chromium() -> tuple[str, str]:
    """Return the paths of Chromium and its driver; skip the test without them, or fail if REQUIRE_BROWSER is set."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    missing = "Chromium and chromedriver are not installed (apt-get install chromium chromium-driver)"
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(missing)
    pytest.skip(missing)


def open_browser() -> Iterator[Any]:
    """Yield a headless Chromium that logs its requests."""
    browser, driver = find_chromium()
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    # A container has no user name spaces for the sandbox, and little shared memory.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1500"):
        options.add_argument(argument)
    page = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield page
    finally:
        page.quit()
