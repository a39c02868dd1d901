"""A scratch project in which tests run commands as a user does, and the cases of ../shared/cases."""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure

from tropho import cli, tables
from tropho.config.retired import rewrite

ROOT = Path(__file__).resolve().parent.parent
LOADER, DUMPER = (getattr(yaml, f"C{name}", getattr(yaml, name)) for name in ("SafeLoader", "SafeDumper"))
"""Those in C, where they are installed, take a tenth of the time."""
SECTIONS = (
    "download",
    "audit",
    "split",
    "augment",
    "model",
    "train",
    "tune",
    "predict",
    "evaluate",
    "submit",
    "report",
)


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Everything that it printed, on one line."""
        return " ".join(f"{self.stdout} {self.stderr}".split())


class Project:
    """A folder with the project's params.yaml, or one of its own, in which `tropho` commands run in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if not (root / "params.yaml").exists():
            shutil.copy2(ROOT / "params.yaml", root / "params.yaml")

    def add(self, name: str, kind: str, **sections: dict[str, Any]) -> None:
        """Add or replace a task: add("t", "detection", download={...}, audit={...})."""
        params = yaml.load((self.root / "params.yaml").read_text(encoding="utf-8"), LOADER)
        given = {section: sections.get(section, {}) for section in SECTIONS}
        params["tasks"][name] = {"kind": kind, "description": name, "presets": {}, **given}
        params["active"] = [name]
        (self.root / "params.yaml").write_text(yaml.dump(params, None, DUMPER, sort_keys=False), encoding="utf-8")

    def tropho(self, *words: Any, code: int | None = 0) -> Finished:
        """Run a command as `main` does, and check its exit code (None: any)."""
        out, err = io.StringIO(), io.StringIO()
        with _inside(self.root), _drawing_coarsely(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                with patch.object(sys, "argv", ["tropho", *map(str, words)]):
                    cli.main()
                exit_code = 0
            except SystemExit as end:
                exit_code = end.code if isinstance(end.code, int) else int(bool(end.code))
        done = Finished(exit_code, out.getvalue(), err.getvalue())
        assert code is None or done.code == code, done.stdout + done.stderr
        return done

    def run(self, task: str, *stages: str) -> Finished:
        """Run these stages of a task, each of which must succeed; the result is the last one's."""
        done = Finished(0, "", "")
        for stage in stages:
            done = self.tropho(stage, task)
        return done

    def table(self, task: str, name: str) -> pd.DataFrame:
        """A table of the audit: images, boxes or issues."""
        schema = {"images": tables.IMAGES, "boxes": tables.BOXES, "issues": tables.ISSUES}[name]
        return tables.read_table(self.root / "data" / "audit" / task / f"{name}.csv", schema)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _drawing_coarsely() -> Iterator[None]:
    """Draw figures without arranging them and with few pixels, which saves a third of the time."""
    save = Figure.savefig

    def savefig(figure: Figure, *places: Any, **options: Any) -> None:
        figure.set_layout_engine("none")
        save(figure, *places, **{**options, "dpi": 40})

    with patch.object(Figure, "savefig", savefig):
        yield


Case = Callable[..., tuple[Project, str]]
"""case("01") or case("01", "entry_b"): a project with a copy of the case's data, and the name of its task."""


def case_maker(tmp_path: Path) -> Case:
    """Make projects of ../shared/cases; the test is skipped where they are not beside the checkout."""
    cases = ROOT.parent / "shared" / "cases"
    if not cases.is_dir():
        pytest.skip("the cases (../shared/cases) are not beside this checkout")

    def make(number: str, entry: str = "entry", **changes: dict[str, Any]) -> tuple[Project, str]:
        folder = next(cases.glob(f"{number}-*"))
        shutil.copytree(folder, tmp_path / folder.name)
        for path in (tmp_path / folder.name).rglob("*"):  # the originals may be read-only
            path.chmod(0o755 if path.is_dir() else 0o644)
        text, _ = rewrite((folder / f"{entry}.yaml").read_text(encoding="utf-8"))  # entries may have earlier names
        (name, task), *_ = yaml.safe_load(text).items()
        source = tmp_path / folder.name / Path(task["download"]["path"]).name
        sections = {key: {**task[key], **changes.get(key, {})} for key in SECTIONS}
        sections["download"]["path"] = str(source)
        project = Project(tmp_path)
        project.add(name, task["kind"], **sections)
        return project, name

    return make
