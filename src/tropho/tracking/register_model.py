"""Registered models: weights, settings and code in a folder that `mlflow models predict` can run."""

import importlib.metadata
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import tropho
from tropho.files import temporary_folder
from tropho.tracking.store import unless_there

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

PACKAGE = Path(tropho.__file__).parent
SCRIPT = PACKAGE / "inference" / "mlflow_model.py"
CONTENT = "content"  # tag of a version: the hash of its content


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
        of_run: ids of the model's experiment and run.
        folder: as of `Run.log_model`.
        name: of the registered model.
        alias: moves to the version; None moves none.
        content: hash of the folder; None always makes a new version.

    Returns:
        The version's number.
    """
    version = _find_version(client, name, content) or _new_version(client, of_run, folder, name, content)
    if alias is not None:
        client.set_registered_model_alias(name, alias, version)
    return version


def _find_version(client: "MlflowClient", name: str, content: str | None) -> str | None:
    """Find the newest version with this content."""
    versions = client.search_model_versions(f"name = '{name}'") if content else []
    numbers = [int(each.version) for each in versions if each.tags.get(CONTENT) == content and each.status == "READY"]
    return str(max(numbers)) if numbers else None


def _find_model(client: "MlflowClient", of_run: tuple[str, str], content: str | None) -> "LoggedModel | None":
    """Find the model with this content that a killed process began to store."""
    experiment_id, run_id = of_run
    query = f"source_run_id = '{run_id}' and tags.{CONTENT} = '{content}'"
    models = client.search_logged_models([experiment_id], query) if content else []
    return next(iter(models), None)


def _new_version(client: "MlflowClient", of_run: tuple[str, str], folder: Path, name: str, content: str | None) -> str:
    experiment_id, run_id = of_run
    tags = {CONTENT: content} if content else {}
    model = _find_model(client, of_run, content) or client.create_logged_model(experiment_id, name, run_id, tags)
    try:
        with temporary_folder(folder.parent / "served") as temporary:
            saved = temporary / "model"
            save(folder, saved)
            client.log_model_artifacts(model.model_id, str(saved))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    with unless_there():
        client.create_registered_model(name)
    # MLflow looks up a `models:/` address in its global store, not in the client's.
    version = client.create_model_version(name, model.artifact_location, run_id, tags, model_id=model.model_id)
    return str(version.version)


def save(folder: Path, to: Path) -> None:
    """Write an MLflow model to the new folder `to`: the files of `folder`, this package and its requirements."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # advice on type hints and input examples
        mlflow.pyfunc.save_model(
            to,
            python_model=str(SCRIPT),
            artifacts={"model": str(folder)},
            code_paths=[str(PACKAGE)],
            pip_requirements=requirements(),
            signature=ModelSignature(inputs=Schema([ColSpec("string", "image")])),
        )


def requirements() -> list[str]:
    """List this package's requirements at their installed versions: ["torch==2.14.1", ...]."""
    lines = importlib.metadata.requires("tropho") or []
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line]
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]
