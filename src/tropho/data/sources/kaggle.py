"""Data sets on Kaggle, fetched by its own client (extra `kaggle`)."""

import logging
import lzma
import re
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import unpack_archives
from tropho.data.sources.local import copy_folder
from tropho.errors import DataError, ExternalError, UsageError
from tropho.log import quiet_stderr

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)
REMEDIES = {
    **dict.fromkeys((401, 403), "check its name, accept its terms on its page and set KAGGLE_API_TOKEN"),
    404: "correct download.repo or download.revision",
    429: "run again in some minutes",
}
"""By status of the answer."""
UNKNOWN_ARCHIVE = "Unsupported archive type."
"""What the client says, as a bare ValueError, of a file that is neither zip nor tar."""


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Fetch the data set `download.repo`, at version `download.revision` if given.

    The client keeps files in its cache (KAGGLEHUB_CACHE) and continues a broken download. It reads credentials from
    KAGGLE_API_TOKEN, else KAGGLE_USERNAME and KAGGLE_KEY, else ~/.kaggle; public sets need none.

    Raises:
        UsageError: the client is not installed, `repo` is not owner/name or `revision` is not a number.
        ExternalError: Kaggle can't be reached or refuses.
        DataError: the archive is damaged, unsafe or empty.
    """
    repo, version = settings.download.repo, settings.download.revision
    key = f"tasks.{settings.name}.download"
    if not repo or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"{key}.repo is {repo!r}; Kaggle's data sets are named owner/name.")
    if version and not re.fullmatch(r"[1-9][0-9]*", version):
        raise UsageError(f'{key}.revision is {version!r}; Kaggle numbers versions from "1", null is the newest.')
    try:
        import kagglehub
    except ImportError:
        raise UsageError("The Kaggle source needs its client: pip install -e '.[kaggle]'.") from None
    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # it logs to standard output
    try:
        with quiet_stderr():
            folder = Path(kagglehub.dataset_download(f"{repo}/versions/{version}" if version else repo))
    except Exception as error:  # the client's errors share no base, and some are the transport's own
        raise _failure(repo, error) from error
    files = copy_folder(folder, to)
    if files == 0:
        raise DataError(f"Kaggle's '{repo}' holds no files; correct {key}.")
    fetched = folder.name if folder.parent.name == "versions" else version
    archives = unpack_archives(to, f"Kaggle's {repo}")
    return {"source": "kaggle", "repo": repo, "version": fetched, "files": files, "archives": archives}


def _failure(repo: str, error: Exception) -> DataError | ExternalError:
    """Turn an error of the client into a sentence with a remedy."""
    from kagglehub.exceptions import DataCorruptionError
    from requests.exceptions import ChunkedEncodingError, RequestException

    response = getattr(error, "response", None)
    if response is not None:
        status = int(response.status_code)
        remedy = REMEDIES.get(status, "run again later")
        return ExternalError(f"Kaggle fails with status {status} for '{repo}'; {remedy}.")
    if isinstance(error, ChunkedEncodingError | DataCorruptionError):
        return ExternalError(f"The download of '{repo}' broke off or was damaged; run again and it goes on from there.")
    if isinstance(error, RequestException):
        return ExternalError(f"Kaggle can't be reached for '{repo}' ({type(error).__name__}); check the network.")
    if isinstance(error, tarfile.FilterError):
        name = error.tarinfo.name
        return DataError(f"The archive of '{repo}' puts '{name}' outside its folder; use another set.")
    if isinstance(error, DAMAGED) or str(error) == UNKNOWN_ARCHIVE:
        return DataError(
            f"The archive of '{repo}' is damaged or of an unknown kind; remove datasets/{repo} from Kaggle's cache "
            "(KAGGLEHUB_CACHE, else ~/.cache/kagglehub) and run again."
        )
    return ExternalError(
        f"Kaggle's client fails on '{repo}' ({type(error).__name__}); check the network, ~/.kaggle and its cache (set "
        "KAGGLEHUB_CACHE)."
    )
