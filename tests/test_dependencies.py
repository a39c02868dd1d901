"""What dvc.yaml names as a stage's code, and what a training's fingerprint covers, against what the code imports."""

import ast
from functools import cache

import pytest
import yaml

from conftest import ROOT
from tropho.training.training_fingerprint import training_code

CODE = ROOT / "src" / "tropho"
LEFT_OUT = {
    "__init__.py": "the package's name and version",
    "cli.py": "starts a stage",
    "stages/__init__.py": "names the stages",
    **dict.fromkeys(
        [f"config/{name}.py" for name in ["load", "retired", "types"]]
        + [f"config/{section}_config.py" for section in ["augment", "data", "predict", "task", "train"]],
        "checks settings, whose values DVC watches itself",
    ),
    "errors.py": "sentences on the screen",
    "log.py": "the same",
    "files.py": "writes files whole, whatever is in them",
    "hub.py": "fetches the bytes of a commit, which is recorded",
    "paths.py": "says where files are; DVC names them itself",
    "inference/trained_folds.py": "keeps copies out of DVC's reach, and takes from them what would be trained the same",
    "commands/stage_lock.py": "keeps two processes apart",
    "tracking/": "tells MLflow, whose records are no output",
}
ALSO_LEFT_OUT = {
    "download": {"tables.py": "columns of tables that later stages write; nothing is fetched again for it"},
    "tune": {"plots/": "charts of a search; nothing is tried again for them"},
    "submit": {
        "models/": "their predictions are what evaluate has written",
        "training/": "the same",
        "config/model_config.py": "the same",
        "seeds.py": "of augmented images",
    },
}
STAGES = {
    name: entry["do"].get("deps", [])
    for name, entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}


def is_below(module, places):
    return any(module == place or module.startswith(place.rstrip("/") + "/") for place in places)


@cache
def imported(module):
    """The modules of Tropho that one imports, wherever in it, but for type checking."""
    names = set()

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse((CODE / module).read_text(encoding="utf-8")))
    parts = [name.split(".")[1:] for name in names if name.split(".")[0] == "tropho"]
    prefixes = {"/".join(each[:end]) for each in parts for end in range(len(each) + 1)}
    files = {path for each in prefixes for path in (f"{each}.py", f"{each}/__init__.py".lstrip("/"))}
    return frozenset(file for file in files if (CODE / file).is_file())


def closure(starts, left_out):
    """Every module that is run through from these, without those left out and folders' files that say nothing."""
    found, ahead = set(), list(starts)
    while ahead:
        module = ahead.pop()
        if module not in found and not is_below(module, left_out):
            found.add(module)
            ahead += imported(module)
    return {each for each in found if len(ast.parse((CODE / each).read_text(encoding="utf-8")).body) > 1}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "fingerprint"])  # which runs always
def test_a_stage_depends_on_the_code_that_it_runs(stage):
    used = closure([f"stages/{stage}.py"], [*LEFT_OUT, *ALSO_LEFT_OUT.get(stage, {})])
    named = [each.removeprefix("src/tropho/") for each in STAGES[stage] if each.startswith("src/tropho/")]
    assert {each for each in used if not is_below(each, named)} == set()
    everything = closure([f"stages/{stage}.py"], ())
    assert {each for each in named if not any(is_below(module, [each]) for module in everything)} == set()


def test_a_training_s_fingerprint_covers_the_code_that_it_runs():
    used = closure(["training/loop.py", "training/training_fingerprint.py"], LEFT_OUT)
    covered = training_code()
    assert used - set(covered) == set()
    without_words = {each for each in covered if len(ast.parse((CODE / each).read_text(encoding="utf-8")).body) > 1}
    assert without_words - used == set()


def test_a_stylesheet_reruns_the_report_alone_and_the_loop_reruns_training():
    reruns = {
        file: {stage for stage, deps in STAGES.items() if is_below(f"src/tropho/{file}", deps)}
        for file in ("report/templates/report.css", "training/loop.py")
    }
    assert reruns["report/templates/report.css"] == {"report"}
    assert reruns["training/loop.py"] == {"tune", "train", "evaluate"}


def test_what_is_left_out_is_there():
    for place in {**LEFT_OUT, **{key: value for each in ALSO_LEFT_OUT.values() for key, value in each.items()}}:
        assert (CODE / place).exists(), place
