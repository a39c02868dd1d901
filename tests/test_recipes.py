"""Every experiment that the documents advise can be run: its keys and values are settings."""

import copy
import itertools
import re

import pytest
import yaml

from conftest import ROOT
from tropho.config.load import load_params, task_settings
from tropho.config.task_config import TaskConfig
from tropho.errors import UsageError

PAGES = ("README.md", "docs/class_projects.md", "docs/leaderboard.md", "docs/recipes.md", "docs/tutorial.md")
CHANGE = re.compile(r"-S '?\+\+([\w.]+)=(\[[^]]*\]|[^\s']+)'?")


def recipes() -> list[str]:
    texts = [(ROOT / page).read_text() for page in PAGES if (ROOT / page).exists()]
    return [line for text in texts for line in re.findall(r"(?:^|`)(dvc exp run[^`\n]*)", text, re.MULTILINE)]


def choices(value: str) -> list[object]:
    """The values that `-S key=a,b` queues an experiment for, each."""
    return [yaml.safe_load(each) for each in ([value] if value.startswith("[") else value.split(","))]


def changed(params: dict, change: dict[str, object]) -> TaskConfig:
    params = copy.deepcopy(params)
    for key, value in change.items():
        _, task, section, name = key.split(".")
        params["tasks"][task][section][name] = value
    return task_settings(task, params)


def check(recipe: str, params: dict) -> None:
    found = CHANGE.findall(recipe)
    assert len(found) == recipe.count("-S ") > 0
    settings = [
        changed(params, dict(zip([key for key, _ in found], values, strict=True)))
        for values in itertools.product(*(choices(value) for _, value in found))
    ]
    unchanged = task_settings(settings[0].name, params)
    assert all(each != unchanged for each in settings)
    assert len({each.model_dump_json() for each in settings}) == len(settings)


@pytest.mark.parametrize("recipe", recipes())
def test_a_recipe_changes_settings_that_exist(recipe):
    params = load_params(ROOT / "params.yaml")
    if ".T." not in recipe:
        check(recipe, params)
        return
    faults = []
    for task in ("smear_demo", "cells_demo"):  # a recipe for any task suits one of these
        try:
            check(recipe.replace(".T.", f".{task}."), params)
        except UsageError as fault:
            faults.append(fault)
    assert len(faults) < 2, faults
