"""Run notebooks and store their outputs, without paths and times: `python notebooks/store_outputs.py [NOTEBOOK...]`."""

import base64
import io
import math
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[-+]?\d+)?(?![\w.])")
TIME = re.compile(r"\b\d+(?:\.\d+)? (?:s|ms|min)\b")
PLACE = re.compile(r"(?:/[\w.-]+){2,}|[A-Z]:\\[\w.\\-]+")
VARIES = "varies"
"""Tag of cells whose output depends on the machine, as what a training came to does; it is not compared."""
TOLERANCE = 0.005
"""How far numbers may lie apart, relative to the larger one: half a unit of the third digit, about."""


def clean(text: str) -> str:
    """Replace absolute paths and times, which differ on every machine."""
    return TIME.sub("… s", PLACE.sub("…", text))


def texts(cell: Any) -> str:
    """Return what a cell has printed and shown as text, cleaned; nothing of standard error, or if it varies."""
    if VARIES in cell["metadata"].get("tags", []):
        return ""
    parts = []
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream" and output["name"] == "stdout":
            parts.append(output["text"])
        elif output["output_type"] in {"execute_result", "display_data"} and "image/png" not in output["data"]:
            parts.append(output["data"].get("text/plain", ""))
    lines = [line.rstrip() for part in parts for line in part.splitlines()]  # a kernel may cut its text anywhere
    return clean("\n".join(filter(None, lines)))


def same_text(first: str, second: str) -> bool:
    """Compare texts in which numbers with decimals may differ by TOLERANCE."""
    if NUMBER.sub("#", first) != NUMBER.sub("#", second):
        return False
    pairs = zip(NUMBER.findall(first), NUMBER.findall(second), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in pairs)


def run(notebook: Any, **options: Any) -> None:
    """Execute a notebook in place."""
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=600, resources=resources, **options).execute()


def shrink(picture: str) -> str:
    """Reduce a PNG in base64 to 128 colours, which a figure hardly shows; one that has a palette stays."""
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.mode == "P":
        return picture
    small = io.BytesIO()
    image.convert("RGB").quantize(128).save(small, "png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def tidy(notebook: Any) -> None:
    """Keep of each output what a reader sees: cleaned text and pictures."""
    for cell in notebook.cells:
        cell["metadata"] = {"tags": [VARIES]} if VARIES in cell["metadata"].get("tags", []) else {}
        kept = []
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream" and output["name"] == "stdout" and output["text"].strip():
                output["text"] = clean(output["text"])
            elif output["output_type"] in {"execute_result", "display_data"}:
                data = output["data"]
                output["data"] = {key: data[key] for key in ("image/png", "text/plain") if key in data}
                output["data"]["text/plain"] = clean(data.get("text/plain", ""))
                if "image/png" in data:
                    output["data"]["image/png"] = shrink(data["image/png"])
                output["metadata"] = {}
            else:
                continue
            kept.append(output)
        if cell["cell_type"] == "code":
            cell["outputs"] = kept
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
    notebook.metadata["language_info"] = {"name": "python"}


def main() -> None:
    """Run the notebooks that are named, or all."""
    for path in map(Path, sys.argv[1:] or sorted(map(str, FOLDER.glob("[0-9]*.ipynb")))):
        notebook = nbformat.read(path, as_version=4)
        run(notebook)
        tidy(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
