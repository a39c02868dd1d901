"""The documentation site: built strictly, complete, and readable without a network."""

import json
import re
import time
from html.parser import HTMLParser

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


def test_settings_are_found_from_the_disk(site):
    browser = open_browser()
    page = next(browser)
    try:
        page.get((site / "index.html").as_uri())
        page.find_element("css selector", "input.md-search__input").send_keys("early_stopping_patience")
        end, found = time.monotonic() + 60, []
        while time.monotonic() < end and not found:
            found = page.find_elements("css selector", ".md-search-result__link[href*='settings.html']")
        assert found
        sent = [json.loads(entry["message"])["message"]["params"] for entry in page.get_log("performance")]
        asked = {each["request"]["url"].split(":")[0] for each in sent if "request" in each}
        assert asked <= {"file", "data"}
    finally:
        browser.close()
