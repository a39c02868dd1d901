"""Turn a notebook with its stored outputs into a page of the site: Markdown, with formulas as MathML."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r"(`+)(?:.|\n)*?\1|\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
"""Code, which stays; or a formula on a line of its own or within one."""
FENCE = "~~~~~"


def formulas(text: str) -> str:
    """Replace LaTeX by MathML, which browsers draw without a script."""

    def draw(match: re.Match[str]) -> str:
        if match[1]:
            return match[0]
        block, inline = match[2], match[3]
        # At the beginning of a line <math> alone would end the paragraph.
        return convert(block.strip(), display="block") if block else f"<span>{convert(inline)}</span>"

    return FORMULA.sub(draw, text)


def notebook_page(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and the pictures that it shows, by the names that it calls them."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}

    def add_output(output: dict[str, Any]) -> None:
        data = output.get("data", {})
        if "image/png" in data:
            name = f"{notebook.stem}_{len(pictures) + 1}.png"
            pictures[name] = base64.b64decode("".join(data["image/png"]))
            parts.append(f"![Output of the code above]({name})")
        elif text := "".join(output.get("text") or data.get("text/plain", [])).rstrip():
            parts.append(f"{FENCE}text\n{text}\n{FENCE}")

    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(formulas(source))
        else:
            parts.append(f"{FENCE}python\n{source}\n{FENCE}")
            for output in cell["outputs"]:
                add_output(output)
    return "\n\n".join(parts) + "\n", pictures
