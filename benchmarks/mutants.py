"""Measure how many small faults the unit tests notice: change one operator of the code, run the tests of its folder.

    python benchmarks/mutants.py --seed 1            # 60 mutants drawn with seed 1
    python benchmarks/mutants.py --seed commit       # seeded by the hash of the present commit
    python benchmarks/mutants.py --only metrics formats/coco.py --count 20

A mutant of src/tropho/<folder>/x.py is killed if a test in tests/<folder> fails; pipeline tests do not count. Only the
tests that run the changed line are run, found by one run of each folder under coverage (kept in --store, if
given; delete it after a change of code or tests). A mutant that no test runs survives.
The survivors are printed with their place and change; those in mutants_equivalent.txt change nothing that can be seen.
"""

import argparse
import ast
import builtins
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "tropho"
PACKAGES = (
    "boxes", "data/audit", "data/formats", "data/split", "evaluation", "images", "inference", "metrics", "models",
    "stages", "submission", "tasks", "tracking", "training", "tuning",
)  # fmt: skip
"""Where mutants are drawn: not in what downloads or draws, whose faults a person sees."""
EQUIVALENT = ROOT / "benchmarks" / "mutants_equivalent.txt"
SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
    ast.Not: ("not", ""), ast.USub: ("-", ""),
}  # fmt: skip
"""Operator -> its text and what replaces it."""


@dataclass(frozen=True)
class Mutant:
    """One changed operator: character offsets `start` to `end` of a file become `new`."""

    file: str  # below src/tropho
    line: int
    last: int  # line on which the changed statement ends
    start: int
    end: int
    new: str
    text: str  # the changed line, for the report

    @property
    def name(self) -> str:
        """Identify the mutant whatever lines above it are added: file, line's text."""
        return f"{self.file}: {self.text}"

    def apply(self, text: str) -> str:
        """Return the file's text with the operator changed."""
        return text[: self.start] + self.new + text[self.end :]


def mutants_of(path: Path) -> Iterator[Mutant]:
    """List every operator of a file that can be changed, annotations and pure string sums left out."""
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    raw = text.encode()

    def offset(line: int, column: int) -> int:
        return len(raw[: starts[line - 1] + column].decode())

    def span(left: ast.expr, right: ast.expr) -> tuple[int, int]:
        return offset(left.end_lineno or 0, left.end_col_offset or 0), offset(right.lineno, right.col_offset)

    tree = ast.parse(text)
    skipped = {id(part) for top in annotations(tree) for part in ast.walk(top)}
    for statement in (node for node in ast.walk(tree) if isinstance(node, ast.stmt)):
        for node in own_expressions(statement):
            if id(node) in skipped:
                continue
            for operator, start, end in operators(node, span, offset):
                old, new = SWAPS[type(operator)]
                place = text.find(old, start, end)
                if place < 0 or "#" in text[start:end]:
                    continue
                line = text.count("\n", 0, place) + 1
                begin = text.rfind("\n", 0, place) + 1
                finish = text.find("\n", place)
                shown = (text[begin:place] + f"[{old} -> {new or 'nothing'}]" + text[place + len(old) : finish]).strip()
                top = (
                    node.lineno if isinstance(statement, ast.If | ast.While | ast.For | ast.With) else statement.lineno
                )
                bottom = node.end_lineno or line
                yield Mutant(
                    path.relative_to(SOURCE).as_posix(), top, max(bottom, line), place, place + len(old), new, shown
                )


def annotations(tree: ast.AST) -> Iterator[ast.AST]:
    """Find what is not run as arithmetic: annotations, type aliases and assertions' messages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.returns
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):  # unions of types, also in isinstance
            names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
            if "None" in ast.unparse(node) or any(name[0].isupper() or hasattr(builtins, name) for name in names):
                yield node
        if isinstance(node, ast.BinOp) and any(is_text(side) for side in (node.left, node.right)):
            yield node  # text put together, or a path


def is_text(node: ast.AST) -> bool:
    """Whether a node is a string, with or without values in it."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def own_expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Walk the expressions of a statement, without those of the statements within it."""
    stack: list[ast.AST] = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.expr):
            yield node
        stack.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt))


def operators(node: ast.expr, span, offset) -> Iterator[tuple[ast.AST, int, int]]:
    """Give a node's operators, each with the characters among which it is written."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield node.op, *span(node.left, node.right)
    elif isinstance(node, ast.BoolOp):
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield node.op, *span(left, right)
    elif isinstance(node, ast.Compare):
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            yield op, *span(left, right)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in SWAPS:
        yield node.op, offset(node.lineno, node.col_offset), offset(node.operand.lineno, node.operand.col_offset)


def pytest_runtest_setup(item) -> None:
    """Label what runs from here on with the test's id (this file is a pytest plugin under coverage)."""
    import coverage

    if current := coverage.Coverage.current():
        current.switch_context(item.nodeid)


def run_pytest(arguments: list[str], source: Path, python: list[str], seconds: float | None = None) -> int:
    """Run pytest with Tropho from `source`; give its exit status, -1 if it took too long."""
    paths = os.pathsep.join([str(source), str(ROOT / "benchmarks")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=seconds, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        return -1
    return done.returncode


class Coverage:
    """What each folder's tests run: (file, line) -> ids of tests, and how long the folder takes."""

    def __init__(self, store: Path) -> None:
        self.store, self._folders = store, dict[str, dict[str, dict[int, list[str]]]]()

    def tests(self, mutant: Mutant) -> list[str]:
        """List the tests that run the lines of a mutant, the ones that run least first."""
        lines = self._of(folder_of(mutant.file)).get(str(SOURCE / mutant.file), {})
        found = {test for number in range(mutant.line, mutant.last + 1) for test in lines.get(number, [])}
        return sorted(found)

    def _of(self, folder: str) -> dict[str, dict[int, list[str]]]:
        if folder not in self._folders:
            self._folders[folder] = self._measure(folder)
        return self._folders[folder]

    def _measure(self, folder: str) -> dict[str, dict[int, list[str]]]:
        data_file = (self.store / f"{folder}.coverage").resolve()
        config = (self.store / "coveragerc").resolve()
        config.write_text(f"[run]\nsource = {SOURCE}\n")
        started = time.monotonic()
        if data_file.exists():
            return self._read(data_file)
        python = [sys.executable, "-m", "coverage", "run", f"--rcfile={config}", f"--data-file={data_file}"]
        status = run_pytest(["-p", "mutants", f"tests/{folder}"], ROOT / "src", python)
        if status:
            data_file.unlink(missing_ok=True)
            sys.exit(f"the tests in tests/{folder} fail without any change; mend them first")
        print(f"tests/{folder}: {time.monotonic() - started:.0f} s under coverage", flush=True)
        return self._read(data_file)

    @staticmethod
    def _read(data_file: Path) -> dict[str, dict[int, list[str]]]:
        import coverage

        data = coverage.CoverageData(str(data_file))
        data.read()
        return {
            file: {line: [test for test in tests if test] for line, tests in data.contexts_by_lineno(file).items()}
            for file in data.measured_files()
        }


def folder_of(file: str) -> str:
    """Name the folder below tests/ that has to notice a fault in a file."""
    parents = [parent.as_posix() for parent in Path(file).parents]
    return next(parent for parent in parents if (ROOT / "tests" / parent).is_dir())


def judge(mutant: Mutant, tests: list[str]) -> bool:
    """Whether one of the tests fails once the operator is changed."""
    if not tests:
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(SOURCE.parent, source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        path = source / "tropho" / mutant.file
        path.write_text(mutant.apply(path.read_text(encoding="utf-8")), encoding="utf-8")
        listing = Path(folder) / "tests.txt"
        listing.write_text("\n".join(tests), encoding="utf-8")
        return run_pytest([f"@{listing}"], source, [sys.executable], 600) != 0


def draw(seed: str, count: int, only: list[str]) -> list[Mutant]:
    """Draw mutants among all operators of the packages, or of the files whose names begin as `only` says."""
    files = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}
    wanted = [path for name, path in files.items() if name.startswith(tuple(only or [f"{p}/" for p in PACKAGES]))]
    population = [mutant for path in wanted for mutant in mutants_of(path)]
    print(f"{len(population)} operators in {len(wanted)} files", flush=True)
    return random.Random(seed).sample(population, min(count, len(population)))  # noqa: S311


def main() -> None:
    """Judge a sample of mutants and report what survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default="1", help="any text; `commit` for the hash of the present commit")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of file names below src/tropho")
    parser.add_argument("--store", type=Path, help="folder that keeps which tests run a line")
    parser.add_argument("--json", type=Path, help="where to write the result")
    arguments = parser.parse_args()
    seed = arguments.seed
    if seed == "commit":
        seed = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    if arguments.store:
        arguments.store.mkdir(parents=True, exist_ok=True)
    drawn = draw(seed, arguments.count, arguments.only)
    equivalent = set(EQUIVALENT.read_text(encoding="utf-8").splitlines()) if EQUIVALENT.exists() else set()
    with tempfile.TemporaryDirectory() as store, ThreadPoolExecutor(arguments.jobs) as pool:
        coverage = Coverage(arguments.store or Path(store))
        tests = [coverage.tests(mutant) for mutant in drawn]
        killed = list(pool.map(judge, drawn, tests))
    survivors = [(m, t) for m, t, dead in zip(drawn, tests, killed, strict=True) if not dead]
    for mutant, ran in survivors:
        note = "equivalent" if mutant.name in equivalent else f"{len(ran)} tests ran it"
        print(f"survived ({note}): {mutant.file}:{mutant.line}: {mutant.text}")
    same = sum(mutant.name in equivalent for mutant, _ in survivors)
    rest = len(drawn) - same
    print(
        f"seed {seed}: {sum(killed)} of {len(drawn)} killed ({sum(killed) / len(drawn):.0%}); {same} of the others are "
        f"equivalent, without them {sum(killed) / max(rest, 1):.0%}"
    )
    if arguments.json:
        result = {"seed": seed, "killed": sum(killed), "drawn": len(drawn), "survivors": [m.name for m, _ in survivors]}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
