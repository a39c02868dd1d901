"""What the pages name exists: links, headings, files of src/, and the packages in the tree of docs/contributing.md."""

import re

import pytest

from conftest import ROOT

PAGES = sorted([ROOT / "README.md", *ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")])
SOURCE = ROOT / "src" / "tropho"
PACKAGES = {path.parent.name for path in SOURCE.glob("*/__init__.py")}


def without_code(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page):
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"(?m)^#+ (.*)$", without_code(page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    missing = []
    for target in targets:
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            missing.append(target)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_that_a_page_names_exist(page):
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text(encoding="utf-8"))
    places = (ROOT, SOURCE)
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_tree_of_the_source_lists_the_packages():
    tree = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8").split("## Source layout")[1].split("```")[1]
    assert set(re.findall(r"(?m)^  (\w+)/", tree)) == PACKAGES
