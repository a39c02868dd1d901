"""Chapter on provenance: how to make this page again, from which code, data, settings and runs."""

import platform
import re
from importlib.metadata import distributions, version
from typing import Any

import yaml

from tropho.config.task_config import SECTIONS
from tropho.plots.format_numbers import count
from tropho.report.blocks import Block, Code, Details, KeyValues, Text
from tropho.report.method_chapters import used_settings
from tropho.report.reader import Reader, render_lines
from tropho.tracking.provenance import clone_address

PACKAGES = (
    *("tropho", "torch", "torchvision", "albumentations", "opencv-python-headless", "scikit-learn", "numpy"),
    *("pandas", "optuna", "dvc", "mlflow", "grad-cam"),
)


def provenance(reader: Reader) -> list[Block]:
    """Give the commands that make this page again, the settings that they need, and where everything comes from."""
    name, run = reader.task.name, reader.run
    record = reader.json(reader.paths.submission.with_suffix(".json"))
    commit = str(run.get("git_commit") or record.get("git_commit") or "")
    commands = render_lines(
        "commands.j2",
        address=clone_address(reader.paths.root) or "ADDRESS",
        commit=commit if re.fullmatch("[0-9a-f]{7,64}", commit) else "",
        download=reader.task.download,
        task=name,
    )
    entry = yaml.safe_dump({name: _entry(reader)}, sort_keys=False, allow_unicode=True, default_flow_style=None)
    blocks: list[Block] = [Code(commands)]
    if not commit:
        blocks.append(Text("The git commit was not recorded."))
    elif str(run.get("git_dirty", record.get("git_dirty", ""))).lower() == "true":
        blocks.append(Text("The working tree had changes that are not in this commit.", warn=True))
    blocks.append(Details("The task's entry in params.yaml", [Code(entry.splitlines())], printed=True))
    blocks.append(KeyValues(_origins(reader, run, record, commit)))
    installed = {name: version(name) for name in PACKAGES if list(distributions(name=name))}
    versions = [("Python", platform.python_version()), *installed.items()]
    blocks.append(Details("Versions that wrote this page", [KeyValues(versions)], printed=True))
    return blocks


def _entry(reader: Reader) -> dict[str, Any]:
    """The task's entry of params.yaml: what differs from the defaults, as the models were trained."""
    settings, defaults = used_settings(reader), reader.defaults
    entry: dict[str, Any] = {"kind": reader.task.kind, "description": reader.task.description, "presets": "none"}
    for section in SECTIONS:
        before, now = defaults.get(section, {}), settings.get(section, {})
        entry[section] = {key: value for key, value in now.items() if key not in before or before[key] != value}
    if "checkpoint" in entry["model"]:  # which the models' settings have with its whole configuration
        entry["model"]["checkpoint"] = reader.task.model.model_dump().get("checkpoint")
    return entry


def _origins(reader: Reader, run: dict[str, Any], record: dict[str, Any], commit: str) -> list[tuple[str, str]]:
    """List what identifies data, code and runs, as far as it is known."""
    download, placed = reader.task.download, reader.json(reader.paths.fingerprint)
    source = " ".join(filter(None, [download.source, download.repo, download.revision]))
    run_ids = [str(part.get("run_id") or "") for part in (run, *run.get("folds", []))]
    facts = {
        "data from": source,
        "files placed by the user": count(placed["files"]) if placed.get("files") else "",
        "hash of those files": str(placed.get("hash") or ""),
        "hash of labels, split and images": str(run.get("data_hash") or ""),
        "training (folder in runs/)": str(run.get("training") or ""),
        "git commit": commit,
        "SHA-256 of dvc.lock": str(record.get("dvc_lock") or ""),
        "MLflow runs": ", ".join(filter(None, run_ids)),
    }
    return [(name, value) for name, value in facts.items() if value]
