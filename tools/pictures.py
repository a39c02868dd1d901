"""Take the pictures of docs/pictures/ by a headless Chromium: `python tools/pictures.py [NAME...]` (`make pictures`).

They show the finished demo, so run `make demo` and `make docs` first. Each is a JPEG of at most 150 kB.
"""

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
TASK = "smear_demo"
SIZE = 1280, 800
"""Pixels of the window."""
MAX_BYTES = 150_000
PATIENCE = 120
"""Seconds that a page may take."""


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Yield a headless Chromium."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        sys.exit("Chromium and chromedriver are not installed (apt-get install chromium chromium-driver).")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    page = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False},
        )
        yield page
    finally:
        page.quit()


@contextlib.contextmanager
def server(*command: str) -> Iterator[str]:
    """Run a program that serves a page on a port of its own, and yield the address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryFile("w+") as said:
        words = [*command, "--port", str(port)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=said, stderr=said, start_new_session=True)
        try:
            wait_for(lambda: process.poll() is not None or urllib.request.urlopen(address))
            if process.poll() is not None:
                said.seek(0)
                sys.exit(f"{command[0]} ended: {said.read().strip().splitlines()[-1]}")
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # also the processes that it has started
            process.wait()


def wait_for(find: Callable[[], Any]) -> Any:
    """Return the first true result of a function, within PATIENCE; its errors count as false."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            if found := find():
                return found
        time.sleep(0.2)
    sys.exit(f"Nothing came within {PATIENCE} s.")


def text_in(page: Any, css: str, text: str) -> bool:
    """Say whether an element of the page has a text."""
    return any(text in element.text for element in page.find_elements(By.CSS_SELECTOR, css))


def save(page: Any, name: str) -> None:
    """Store what the window shows, at the best quality that MAX_BYTES allows."""
    time.sleep(1.5)  # until pictures are drawn and nothing moves
    image = Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB")
    for quality in range(90, 30, -5):
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality, optimize=True, progressive=True)
        if content.tell() <= MAX_BYTES:
            break
    (PICTURES / f"{name}.jpg").write_bytes(content.getvalue())
    print(f"docs/pictures/{name}.jpg: {content.tell() // 1000} kB")


def report(page: Any) -> None:
    """The report's first screen, and the photos with their slider."""
    page.get((ROOT / "reports" / TASK / "index.html").as_uri())
    save(page, "report")
    slider = page.find_element(By.CSS_SELECTOR, "input[type=range]")
    page.execute_script("scrollTo({top: arguments[0].getBoundingClientRect().top - 60, behavior: 'instant'})", slider)
    save(page, "slider")


def app(page: Any) -> None:
    """The app with a photo, and its page of label issues."""
    photo = next((ROOT / "data" / "raw" / TASK / "images").glob("*.jpg"))
    with server("tropho", "app", TASK) as address:
        page.get(address)
        wait_for(lambda: page.find_element(By.CSS_SELECTOR, "input[type=file]")).send_keys(str(photo))
        wait_for(lambda: text_in(page, "#sentence", "Trophozoite") or text_in(page, "#sentence", "nothing"))
        save(page, "app")
        page.get(f"{address}label-issues")
        wait_for(lambda: text_in(page, "#progress", "decided"))
        save(page, "review")


def mlflow(page: Any) -> None:
    """MLflow's curves of the runs."""
    store = f"sqlite:///{ROOT / 'mlflow.db'}"
    with server("mlflow", "ui", "--backend-store-uri", store) as address:
        page.get(address)
        link = wait_for(lambda: page.find_element(By.XPATH, f"//a[.='{TASK}']"))
        page.get(f"{link.get_attribute('href')}/runs?workflowType=machine_learning&compareRunsMode=CHART")
        wait_for(lambda: page.find_element(By.CSS_SELECTOR, "button[aria-label=Close]")).click()  # its assistant
        wait_for(lambda: page.find_element(By.CSS_SELECTOR, ".js-plotly-plot"))
        save(page, "mlflow")


def docs(page: Any) -> None:
    """This documentation."""
    page.get((ROOT / "site" / "tutorial.html").as_uri())
    save(page, "docs")


PAGES = {"report": report, "app": app, "mlflow": mlflow, "docs": docs}


def main(names: list[str]) -> None:
    """Take the pictures of these names, or all."""
    needed = [ROOT / "reports" / TASK / "index.html", ROOT / "site" / "index.html", ROOT / "mlflow.db"]
    if missing := [path for path in needed if not path.exists()]:
        sys.exit(f"{missing[0].relative_to(ROOT)} is not there; run `make demo` and `make docs` first.")
    PICTURES.mkdir(exist_ok=True)
    os.environ.update({"NO_PROXY": "127.0.0.1", "MLFLOW_DISABLE_TELEMETRY": "true"})
    with browser() as page:
        for name in names or PAGES:
            PAGES[name](page)


if __name__ == "__main__":
    main(sys.argv[1:])
