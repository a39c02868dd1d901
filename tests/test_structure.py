"""Hold the layers, the names and the sizes of src/: a package imports only from those named before it."""

import ast
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
DESIGN = SOURCE.parent / "docs" / "design.md"
ORDER = DESIGN.read_text(encoding="utf-8").split("```layers")[1].split("```")[0].split()
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES, MAX_FUNCTION = 300, 50


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def layer_of(module: str) -> int:
    return next((n for n, top in enumerate(ORDER) if module == top or module.startswith(f"{top}.")), -1)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_keeps_to_its_layer_and_size(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    targets = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    upward = {each for each in targets if layer_of(each) > layer_of(name_of(path)) >= 0}
    assert not upward, "imports from a later layer"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION]
    assert not long


def test_no_two_modules_share_a_name_and_none_is_outside_the_layers():
    names = Counter(path.stem for path in FILES if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []
    assert [name_of(path) for path in FILES if layer_of(name_of(path)) < 0 and name_of(path) != "tropho"] == []
