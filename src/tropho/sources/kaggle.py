"""Data sets on Kaggle, through its own client (extra `kaggle`)."""

import re
from pathlib import Path
from typing import Any

from tropho.errors import DataError, OutsideError, UsageError
from tropho.settings import TaskSettings
from tropho.sources.copying import copy_folder
from tropho.sources.progress import quiet_stderr


def fetch(settings: TaskSettings, to: Path, root: Path) -> dict[str, Any]:
    """Fetch the data set `download.repo`, at version `download.revision` if given, into the folder `to`.

    The client keeps what it has fetched in its cache (KAGGLEHUB_CACHE), goes on with a broken download, and
    reads credentials from the environment (KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY); public
    sets need none.

    Raises:
        UsageError: if the client is not installed or `repo` is not owner/name.
        OutsideError: if the data can't be had.
    """
    repo, version = settings.download.repo, settings.download.revision
    if not repo or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"tasks.{settings.name}.download.repo is {repo!r}; Kaggle's data sets are named owner/name.")
    try:
        import kagglehub
    except ImportError:
        raise UsageError("The Kaggle source needs its client: pip install 'tropho[kaggle]'.") from None
    handle = f"{repo}/versions/{version}" if version else repo
    try:
        with quiet_stderr():
            folder = Path(kagglehub.dataset_download(handle))
    except Exception as error:  # the client's errors share no base, and some are the transport's own
        raise OutsideError(_remedy(repo, error)) from error
    files = copy_folder(folder, to)
    if files == 0:
        raise DataError(f"Kaggle's '{repo}' holds no files; correct tasks.{settings.name}.download.")
    found = folder.name if folder.parent.name == "versions" else version
    return {"source": "kaggle", "repo": repo, "version": found, "files": files}


def _remedy(repo: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    match status:
        case 401 | 403:
            return f"Kaggle refuses '{repo}'; accept its terms on its page and set KAGGLE_API_TOKEN."
        case 404:
            return f"Kaggle has no data set '{repo}' or no such version; correct download.repo."
        case 429:
            return "Kaggle answers no more requests for now; run again in some minutes."
        case _:
            return f"Kaggle can't be asked for '{repo}' ({type(error).__name__}); check the network."
