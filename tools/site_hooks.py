"""Hooks of MkDocs: README is the first page, notebooks are pages, and links that GitHub follows lead somewhere."""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.append(str(Path(__file__).resolve().parent))
from notebook_pages import notebook_page

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = {f"notebooks/{path.name}": f"course/{path.stem}.md" for path in ROOT.glob("notebooks/[0-9]*.ipynb")}
PAGES = {
    "README.md": "index.md",
    "corrections/README.md": "corrections.md",
    "benchmarks/README.md": "benchmark_scripts.md",
    **NOTEBOOKS,
}
"""Pages outside docs/, and their places in the site."""
PARTS = ["tools/site.css", "tools/iframe-worker.js"]
"""Files that mkdocs.yml names; the second lets the search work where the site is opened from the disk."""
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)")


def place_of(path: str) -> str:
    """Return the place in the site of a file of the repository."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"


def targets(text: str, path: str) -> set[str]:
    """Return the files of the repository that a page links to, as paths from its root.

    Args:
        text: the page.
        path: its place in the repository.
    """
    return {posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) for link in LINK.findall(text)}


def relink(text: str, path: str) -> str:
    """Write the links of a page as they are in the site; arguments as those of `targets`."""
    here = posixpath.dirname(place_of(path))

    def link(match: re.Match[str]) -> str:
        (target,) = targets(match[0], path)
        return f"]({posixpath.relpath(place_of(target), here or '.')}"

    return LINK.sub(link, text)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside docs/, and each file that a page links to."""
    texts = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    for path, place in PAGES.items():
        if path in NOTEBOOKS:
            texts[path], pictures = notebook_page(ROOT / path)
            for name, content in pictures.items():
                files.append(File.generated(config, place_of(f"notebooks/{name}"), content=content))
        else:
            texts[path] = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relink(texts[path], path)))
    linked = set().union(*(targets(text, path) for path, text in texts.items()))
    for path in sorted({*PARTS, *linked}):
        if not path.startswith("docs/") and path not in PAGES and (ROOT / path).is_file():
            files.append(File.generated(config, place_of(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Write the links of a page in docs/ as they are in the site; the others have theirs already."""
    path = f"docs/{page.file.src_uri}"
    return relink(markdown, path) if page.file.src_uri not in PAGES.values() else markdown


def on_post_page(output: str, **_: Any) -> str:
    """Name the search for screen readers, which the theme does not."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
