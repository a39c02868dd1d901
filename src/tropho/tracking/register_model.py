"""Registered models: weights, settings and code in one folder that `mlflow models predict` can run."""

import importlib.metadata
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import tropho
from tropho.files import temporary_folder

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

SCRIPT = Path(__file__).parent.parent / "inference" / "mlflow_model.py"


CONTENT = "content"
"""Tag of a version: the hash of what it holds."""


def register(
    client: "MlflowClient",
    of_run: tuple[str, str],
    folder: Path,
    name: str,
    alias: str | None = None,
    content: str | None = None,
) -> str:
    """Store a folder as a version of a registered model, unless a version has this content already.

    Args:
        client: of the store.
        of_run: ids of the experiment and the run that the model is of.
        folder: see `Run.log_model`.
        name: of the registered model.
        alias: moves to the version; None moves none.
        content: hash of the folder; None is always new.

    Returns:
        The version's number.
    """
    version = _version_of(client, name, content) or _new_version(client, of_run, folder, name, content)
    if alias is not None:
        client.set_registered_model_alias(name, alias, version)
    return version


def _version_of(client: "MlflowClient", name: str, content: str | None) -> str | None:
    """Find the newest version with this content; None where there is none."""
    found = client.search_model_versions(f"name = '{name}'") if content else []
    numbers = [int(each.version) for each in found if each.tags.get(CONTENT) == content and each.status == "READY"]
    return str(max(numbers)) if numbers else None


def _begun(client: "MlflowClient", of_run: tuple[str, str], content: str | None) -> "LoggedModel | None":
    """Find the model of this content that a killed process began to store; None where there is none."""
    experiment_id, run_id = of_run
    of_this = f"source_run_id = '{run_id}' and tags.{CONTENT} = '{content}'"
    found = client.search_logged_models([experiment_id], of_this) if content else []
    return next(iter(found), None)


def _new_version(client: "MlflowClient", of_run: tuple[str, str], folder: Path, name: str, content: str | None) -> str:
    from mlflow.exceptions import MlflowException

    experiment_id, run_id = of_run
    tags = {CONTENT: content} if content else {}
    model = _begun(client, of_run, content) or client.create_logged_model(experiment_id, name, run_id, tags)
    try:
        with temporary_folder(folder.parent / "served") as temporary:
            saved = temporary / "model"
            save(folder, saved)
            client.log_model_artifacts(model.model_id, str(saved))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # The plain location: MLflow would look up a `models:/` address in its global store, not in the client's.
    version = client.create_model_version(name, model.artifact_location, run_id, tags, model_id=model.model_id)
    return str(version.version)


def save(folder: Path, to: Path) -> None:
    """Write an MLflow model to the new folder `to`: the files of `folder`, this package and its pins."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # advice on type hints and input examples
        mlflow.pyfunc.save_model(
            to,
            python_model=str(SCRIPT),
            artifacts={"model": str(folder)},
            code_paths=[str(Path(tropho.__file__).parent)],
            pip_requirements=requirements(),
            signature=ModelSignature(inputs=Schema([ColSpec("string", "image")])),
        )


def requirements() -> list[str]:
    """What this package needs at run time, at the versions that are installed: ["torch==2.14.1", ...]."""
    lines = importlib.metadata.requires("tropho") or []
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line]
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]
