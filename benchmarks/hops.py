"""Count what one image, one gradient step and one prediction pass through, and how large the source is.

    python benchmarks/hops.py                    # this checkout
    python benchmarks/hops.py ../older_checkout  # another one, by its own code

A small smear_demo (24 photos, one epoch) runs in a temporary folder by the commands of the stages. `sys.setprofile`
notes each function of src/ that is called. Not counted are the generator of the photos and what handles no image: the
command line, settings, paths, files, messages, tracking, metrics, plots. Four numbers come of it:

- file to loss: functions and files called by audit, split, augment, tune and train until the first loss;
- gradient step: functions and files on the call stack from the stage train to the assignment of ground truth to points;
- cache to row: functions and files called by evaluate and submit, so the way of a test image to a row of the CSV;
- photo to row: functions and files called by `tropho predict` for one photo.
"""

import argparse
import ast
import contextlib
import inspect
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import yaml

TASK = "smear_demo"
SMALL = {"download": {"images": 24, "test_images": 8}, "train": {"epochs": 1}, "tune": {"trials": 0}}
NOT_COUNTED = re.compile(
    r"/(?:smear_generator|synthetic|config|commands|tracking|plots|reporting|metrics|evaluation|suspects)/|"
    r"/(?:cli|config|doctor|section|settings|\w+_settings|errors|log|progress|files|paths|seeds|state)\.py$"
)
ASSIGNMENT = {"assign_points", "match_points"}
"""Names, in any version, of the function that assigns ground truth to points."""


class Recorder:
    """Functions of src/ that are called, and the call stack at the first assignment of points."""

    def __init__(self, source: Path) -> None:
        self.prefix = f"{source.resolve()}{os.sep}"
        self.called: set[CodeType] = set()
        self.at_first_loss: set[CodeType] = set()
        self.stack: list[CodeType] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Note a call; the signature is that of `sys.setprofile`."""
        code = frame.f_code
        if event != "call" or code in self.called or not self._is_counted(code):
            return
        self.called.add(code)
        if not self.stack and code.co_name in ASSIGNMENT:
            self.at_first_loss = set(self.called)
            while frame:
                self.stack += [frame.f_code] if self._is_counted(frame.f_code) else []
                frame = frame.f_back  # type: ignore[assignment]

    def _is_counted(self, code: CodeType) -> bool:
        # The body of a class runs when its module is imported, and is no function.
        is_function = not code.co_name.startswith("<") and bool(code.co_flags & inspect.CO_OPTIMIZED)
        return is_function and code.co_filename.startswith(self.prefix) and not NOT_COUNTED.search(code.co_filename)


def count(codes: set[CodeType] | list[CodeType]) -> dict[str, int]:
    """Number of functions and of files."""
    return {"functions": len(set(codes)), "files": len({code.co_filename for code in codes})}


def trace(repository: Path) -> dict[str, dict[str, int]]:
    """Run the commands in a temporary folder and count; the package is imported from `repository`."""
    from tropho.cli import app

    def call(*arguments: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            app(args=list(arguments), standalone_mode=False)

    recorder = Recorder(repository / "src")
    with tempfile.TemporaryDirectory() as folder:
        params = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
        for section, changes in SMALL.items():
            params["tasks"][TASK][section] |= changes
        (Path(folder) / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        (Path(folder) / "corrections").mkdir()
        os.chdir(folder)
        call("download", TASK)
        threading.setprofile(recorder)
        sys.setprofile(recorder)
        for stage in ("audit", "split", "augment", "tune", "train"):
            call(stage, TASK)
        sys.setprofile(None)
        results = Recorder(repository / "src")
        threading.setprofile(results)
        sys.setprofile(results)
        call("evaluate", TASK)
        call("submit", TASK)
        sys.setprofile(None)
        threading.setprofile(None)
        photo = next(path for path in sorted((Path("data") / "raw" / TASK).rglob("*.jpg")))
        first = Recorder(repository / "src")
        sys.setprofile(first)
        call("predict", TASK, str(photo), "--out", "predictions.csv")
        sys.setprofile(None)
        os.chdir(repository)
    stack = recorder.stack[::-1]
    start = next(row for row, code in enumerate(stack) if Path(code.co_filename).parent.name == "stages")
    return {
        "file to loss": count(recorder.at_first_loss),
        "gradient step": count(stack[start:]),
        "cache to row": count(results.called),
        "photo to row": count(first.called),
        "chain": {f"{Path(code.co_filename).stem}.{code.co_qualname}": 1 for code in stack[start:]},
    }


def measure_source(repository: Path) -> dict[str, Any]:
    """Measure lines, files, settings, duplicate basenames, and the longest file and function of src/."""
    files = sorted((repository / "src").rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    longest = max(files, key=lambda path: lines[path])
    spans = {
        f"{path.stem}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    function = max(spans, key=lambda name: spans[name])
    names = Counter(path.name for path in files if path.name != "__init__.py")
    defaults = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))["defaults"]
    dvc = (repository / "dvc.yaml").read_text(encoding="utf-8")
    return {
        "lines of src": sum(lines.values()),
        "files of src": len(files),
        "settings": sum(len(section or {}) for section in defaults.values()),
        "names of files used more than once": sum(number > 1 for number in names.values()),
        "longest file": f"{lines[longest]} lines ({longest.name})",
        "longest function": f"{spans[function]} lines ({function})",
        "lines of dvc.yaml": len(dvc.splitlines()),
    }


def time_help(environment: dict[str, str], repeats: int = 7) -> float:
    """Return the least CPU time of `tropho --help` in a new process, seconds."""
    times = []
    for _ in range(repeats):
        before = os.times()
        command = [sys.executable, "-c", "from tropho.cli import main; main()", "--help"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        after = os.times()
        times.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return min(times)


def main() -> None:
    """Print one row a number."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    here = Path(__file__).resolve().parent.parent
    parser.add_argument("repository", nargs="?", type=Path, default=here, help="a checkout of Tropho")
    parser.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    repository = arguments.repository.resolve()
    if arguments.trace:
        print(json.dumps(trace(repository)))
        return
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, str(repository), "--trace"]
    traced = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    hops = json.loads(traced.splitlines()[-1])
    print("gradient step:", " -> ".join(hops.pop("chain")))
    numbers = measure_source(repository)
    for name, found in hops.items():
        numbers[name] = f"{found['functions']} functions in {found['files']} files"
    numbers["tropho --help"] = f"{time_help(environment):.2f} s of CPU time"
    for name, value in numbers.items():
        print(f"{name:36} {value}")


if __name__ == "__main__":
    main()
