"""The notebooks run from first to last cell in a real kernel; the assertions are theirs."""

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from store_outputs import clean, run, same_text, texts, tidy

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
LONG = {"04_universal_approximation", "05_training_tips"}
STORE = "run `make notebooks`"


@pytest.fixture
def own_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AsyncKernelManager]:
    """A kernel of this interpreter, whatever kernels the user has, its files in the test's folder; stopped at last."""
    for variable in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR"):
        folder = tmp_path / variable.lower()
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    manager = AsyncKernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        asyncio.run(manager.shutdown_kernel(now=True))


def _marked(path: Path) -> Any:
    return pytest.param(path, marks=pytest.mark.slow) if path.stem in LONG else path


@pytest.mark.parametrize("path", [_marked(path) for path in NOTEBOOKS], ids=lambda path: path.stem)
def test_gives_the_stored_outputs(path: Path, own_kernel: AsyncKernelManager) -> None:
    stored, notebook = (nbformat.read(path, as_version=4) for _ in range(2))
    run(notebook, km=own_kernel)
    for before, after in zip(stored.cells, notebook.cells, strict=True):
        if before["cell_type"] == "code":
            shown = before["source"], texts(before), texts(after)
            assert same_text(texts(before), texts(after)), "{}\n-- stored:\n{}\n-- now:\n{}".format(*shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_with_a_title_and_clean_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0]["source"].startswith(f"# {int(path.stem[:2])}. ")
    code = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), STORE
    assert any(cell["outputs"] for cell in code), STORE
    for cell in code:
        assert not any(output.get("name") == "stderr" or "traceback" in output for output in cell["outputs"]), STORE
        assert clean(texts(cell)) == texts(cell)
    before = copy.deepcopy(notebook)
    tidy(notebook)
    assert notebook == before, STORE


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("score 0.9123 of 12", "score 0.9124 of 12", True),
        ("score 0.91", "score 0.93", False),
        ("12 images", "13 images", False),
        ("in /tmp/abc/x.csv", "in /var/folders/y.csv", True),
        ("took 3.1 s", "took 12 s", True),
        ("rate 1.0e-05", "rate 1.001e-05", True),
    ],
)
def test_outputs_are_compared_to_about_three_digits(first: str, second: str, same: bool) -> None:
    assert same_text(clean(first), clean(second)) == same


def test_the_course_is_covered() -> None:
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, 13))
