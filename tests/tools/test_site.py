"""The documentation site: built strictly, complete, and readable without a network."""

import importlib.util
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from browser import open_browser
from conftest import ROOT

pytest.importorskip("material")
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
"""Attributes by tags that a browser loads by itself."""


class Links(HTMLParser):
    """The addresses on a page: those that a browser loads, and those that a reader follows."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.followed = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        address = dict(attrs).get(LOADED.get(tag, "href"))
        if address:
            (self.loaded if tag in LOADED else self.followed).append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_every_page_is_in_it(site):
    names = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index", "corrections"}
    assert names <= {path.stem for path in site.glob("*.html")}


def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        for address in Links(page.read_text(encoding="utf-8")).loaded:
            assert not re.match(r"(https?:)?//", address), page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet.name


def test_links_lead_to_files_of_the_site(site):
    for page in site.glob("*.html"):
        if page.name == "404.html":  # its links are from the root of a server
            continue
        links = Links(page.read_text(encoding="utf-8"))
        for address in [*links.loaded, *links.followed]:
            name = address.partition("#")[0]
            if name and not re.match(r"https?:|data:|mailto:", name):
                assert (page.parent / name).exists(), f"{page.name}: {address}"


@pytest.fixture(scope="module")
def chromium():
    yield from open_browser()


def test_settings_are_found_from_the_disk(site, chromium):
    chromium.get((site / "index.html").as_uri())
    chromium.find_element("css selector", "input.md-search__input").send_keys("early_stopping_patience")
    end, found = time.monotonic() + 60, []
    while time.monotonic() < end and not found:
        found = chromium.find_elements("css selector", ".md-search-result__link[href*='settings.html']")
    assert found
    sent = [json.loads(entry["message"])["message"]["params"] for entry in chromium.get_log("performance")]
    assert {each["request"]["url"].split(":")[0] for each in sent if "request" in each} <= {"file", "data"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "settings", "course/03_backpropagation"])
def test_axe_finds_nothing_serious(site, chromium, name, scheme):
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core-python is not installed")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    chromium.get((site / f"{name}.html").as_uri())
    chromium.execute_script("localStorage.clear()")  # the scheme of the page before
    chromium.refresh()
    wanted = {"light": "default", "dark": "slate"}[scheme]
    assert chromium.find_element("tag name", "body").get_attribute("data-md-color-scheme") == wanted
    chromium.execute_script(Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = chromium.execute_async_script("const done = arguments[0]; axe.run().then((all) => done(all.violations))")
    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
