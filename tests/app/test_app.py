"""The app in a browser, on exported models, where torch can't be imported."""

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from app.test_review import write_issues
from browser import open_browser
from trained_models import write_models
from tropho.commands.export_task import export_task
from tropho.paths import Paths
from without_torch import TROPHO_WITHOUT_TORCH

pytest.importorskip("gradio")
CAMERA = "SecretCamera"
CLASSES = ["Trophozoite", "WBC"]
PATIENCE = 120
"""Seconds that the app may take for an answer on a busy machine."""


def wait_for(find):
    """Return the first true result of a function, within PATIENCE."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if found := find():
                return found
        except Exception as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"nothing came within {PATIENCE} s") from locals().get("last")


@pytest.fixture(scope="module")
def served(settings, tmp_path_factory):
    """Paths and address of an app of an untrained detector; its temporary files are below paths.root / "tmp"."""
    paths = Paths(tmp_path_factory.mktemp("app"), "smear_demo")
    changes = {"model.fpn_channels": 8, "augment.image_size": 64, "audit.negative": None}
    chosen = settings("smear_demo", **changes)
    write_models(chosen, paths, CLASSES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tropho.commands.export_task.load_task", lambda task, path: chosen)
        export_task("smear_demo", "onnx", paths.root)
    write_issues(paths)
    (paths.root / "tmp").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*TROPHO_WITHOUT_TORCH, "app", "smear_demo", "--onnx", "--port", str(port)],
        cwd=paths.root,
        env=os.environ | {"TMPDIR": str(paths.root / "tmp"), "NO_PROXY": "127.0.0.1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        assert process.stderr is not None
        line = next((line for line in process.stderr if "The app is at" in line), "")
        assert line == f"The app is at {url}/; stop it with Ctrl-C.\n"
        yield paths, url
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert list((paths.root / "tmp").iterdir()) == []
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def page():
    """A browser."""
    yield from open_browser()


@pytest.fixture(scope="module")
def photos(tmp_path_factory, rng_of=np.random.default_rng):
    """Two JPEG files with EXIF data."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(2):
        image = Image.fromarray(rng_of(number).integers(0, 256, (48, 64, 3), dtype=np.uint8))
        exif = image.getexif()
        exif[0x0110] = CAMERA
        image.save(folder / f"photo{number}.jpg", exif=exif)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text file that is named as a photo."""
    file = tmp_path_factory.mktemp("text") / "text.jpg"
    file.write_text("no image")
    return file


def stored_exif(folder):
    """Files below a folder that hold the camera's name."""
    return [file for file in folder.rglob("*") if file.is_file() and CAMERA.encode() in file.read_bytes()]


def test_one_photo(served, page, photos):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    paths, url = served
    page.get(url)
    wait_for(lambda: page.find_element(By.CSS_SELECTOR, "input[type=file]")).send_keys(str(photos[0]))
    sentence = wait_for(lambda: page.find_element(By.ID, "sentence").text)
    assert sentence == "Nothing found. Estimate: no white cell to count parasites against."
    number = page.find_element(By.CSS_SELECTOR, "#confidence input[type=number]")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("0.01", Keys.TAB)
    found = wait_for(lambda: re.match(r"(\d+) Trophozoite, (\d+) WBC", page.find_element(By.ID, "sentence").text))
    cells = wait_for(lambda: page.find_element(By.ID, "counts").get_attribute("textContent").split())
    assert cells[-4:] == ["Trophozoite", found[1], "WBC", found[2]]
    picture = page.find_element(By.CSS_SELECTOR, "#found img").get_attribute("src")
    with urllib.request.urlopen(picture) as answer, Image.open(io.BytesIO(answer.read())) as drawn:
        assert drawn.width >= 640
        assert not drawn.getexif()
    assert stored_exif(paths.root / "tmp") == []
    asked = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [each["params"]["request"]["url"] for each in asked if each["method"] == "Network.requestWillBeSent"]
    assert [each for each in requests if not each.startswith((url, "data:", "blob:", "chrome"))] == []


def test_a_file_that_is_no_photo(served, page, text):
    from selenium.webdriver.common.by import By

    paths, url = served
    page.get(url)
    wait_for(lambda: page.find_element(By.CSS_SELECTOR, "input[type=file]")).send_keys(str(text))
    sentence = wait_for(lambda: page.find_element(By.ID, "sentence").text)
    assert sentence.startswith("text.jpg can't be read as an image")
    assert "Error" not in page.find_element(By.TAG_NAME, "body").text
    assert list((paths.root / "tmp").rglob("text.jpg")) == []


def test_many_photos(served, page, photos, text):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    paths, url = served
    page.get(url)
    wait_for(lambda: page.find_element(By.XPATH, "//button[@role='tab'][contains(., 'Many')]")).click()
    chosen = wait_for(lambda: page.find_element(By.CSS_SELECTOR, "input[type=file][multiple]"))
    page.find_element(By.ID, "predict").click()
    wait_for(lambda: page.find_element(By.ID, "batch").text == "Choose 1 to 200 photos; there are none yet.")
    chosen.send_keys("\n".join(map(str, [*photos, text])))
    wait_for(lambda: "photo1" in page.find_element(By.TAG_NAME, "body").text)
    page.find_element(By.ID, "predict").click()
    none = "2 of 3 images predicted. In all: 0 Trophozoite, 0 WBC."
    wait_for(lambda: page.find_element(By.ID, "batch").text.startswith(none))
    assert "text.jpg can't be read" in page.find_element(By.ID, "lines").get_attribute("textContent")
    found = wait_for(lambda: page.find_elements(By.CSS_SELECTOR, "a[download]"))
    links = [each.get_attribute("href") for each in found]
    tables = [link for link in links if link and link.endswith("_counts.csv")]
    with urllib.request.urlopen(tables[0]) as answer:
        assert list(pd.read_csv(answer)["image_id"]) == ["photo0.jpg", "photo1.jpg"]
    number = page.find_elements(By.CSS_SELECTOR, "#confidence input[type=number]")[-1]
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("0.01", Keys.TAB)
    page.find_element(By.ID, "predict").click()
    wait_for(lambda: re.match(r"2 of 3 .* In all: [1-9]\d* Tropho", page.find_element(By.ID, "batch").text))
    assert "Error" not in page.find_element(By.TAG_NAME, "body").text
    assert stored_exif(paths.root / "tmp") == []


def test_review(served, page):
    from selenium.webdriver.common.by import By

    paths, url = served

    def decide(button, then):
        page.find_element(By.ID, button).click()
        wait_for(lambda: then in page.find_element(By.ID, "progress").text)

    page.get(f"{url}/label-issues")
    wait_for(lambda: "swap" in page.find_element(By.ID, "issue").text)
    assert page.find_element(By.ID, "progress").text == "0 of 3 decided."
    decide("accept", "1 of 3 decided")
    decide("reject", "2 of 3 decided")
    decide("accept", "3 of 3 decided")
    assert page.find_element(By.ID, "issue").text == "All label issues are decided."
    decide("undo", "2 of 3 decided")
    accepted, rejected = (pd.read_csv(paths.root / "corrections" / f"smear_demo{end}.csv") for end in ("", "_rejected"))
    assert list(accepted["action"]) == ["relabel"]
    assert list(rejected["action"]) == ["add"]


@pytest.mark.parametrize("name", ["params.yaml", "data/raw/smear_demo/a.png", "exports/smear_demo/ensemble.json"])
def test_no_file_of_the_project_is_served(served, name):
    paths, url = served
    (paths.root / "params.yaml").write_text("secret: 1\n")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}/gradio_api/file={paths.root / name}")
    assert refused.value.code in (403, 404)


def test_no_file_is_read_that_was_not_uploaded(served, photos):
    _, url = served
    with urllib.request.urlopen(f"{url}/config") as answer:
        config = json.load(answer)
    kinds = {each["id"]: each["type"] for each in config["components"]}
    takes = {each["id"]: [kinds[key] for key in each["inputs"]] for each in config["dependencies"]}
    body = {
        "data": [{"path": str(photos[0]), "meta": {"_type": "gradio.FileData"}}, False, 0.5],
        "fn_index": next(number for number, inputs in takes.items() if inputs[:2] == ["image", "checkbox"]),
        "session_hash": "other",
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/gradio_api/queue/join", json.dumps(body).encode(), headers)
    urllib.request.urlopen(request).close()
    with urllib.request.urlopen(f"{url}/gradio_api/queue/data?session_hash=other") as events:
        done = next(line for line in events if b"process_completed" in line)
    assert json.loads(done.removeprefix(b"data: "))["success"] is False
    assert photos[0].exists()


def test_another_name_of_this_machine_is_refused(served):
    _, url = served
    server = http.client.HTTPConnection(url.removeprefix("http://"))
    server.request("GET", "/", headers={"Host": "attacker.example"})
    assert server.getresponse().status == 400
    server.close()


def test_a_large_file_is_refused(served):
    _, url = served
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = start + bytes(101 * 2**20) + b"\r\n--x--\r\n"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{url}/gradio_api/upload", body, headers))
    assert refused.value.code == 413
