"""Data sets on Kaggle, through its own client (extra `kaggle`)."""

import logging
import lzma
import re
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.copy_files import copy_folder
from tropho.data.sources.download_progress import quiet_stderr
from tropho.data.sources.nested_archives import archives_in
from tropho.errors import DataError, ExternalError, UsageError

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)
"""What unpacking raises; the client's other errors are not the archive's fault."""

UNKNOWN_ARCHIVE = "Unsupported archive type."
"""What the client says, as a bare ValueError, of a file that is neither zip nor tar."""


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Fetch the data set `download.repo`, at version `download.revision` if given, into the folder `to`.

    The client keeps what it has fetched and unpacked in its cache (KAGGLEHUB_CACHE) and goes on with a broken
    download. It reads credentials from KAGGLE_API_TOKEN, else from KAGGLE_USERNAME and KAGGLE_KEY, else from its
    files in ~/.kaggle; public sets need none.

    Raises:
        UsageError: if the client is not installed, `repo` is not owner/name or `revision` is not a number.
        ExternalError: if the data can't be had.
        DataError: if the archive is damaged, leads out of its folder or holds no files.
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
        raise UsageError("The Kaggle source needs its client: pip install 'tropho[kaggle]'.") from None
    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # what it does otherwise goes to standard output
    try:
        with quiet_stderr():
            folder = Path(kagglehub.dataset_download(f"{repo}/versions/{version}" if version else repo))
    except Exception as error:  # the client's errors share no base, and some are the transport's own
        raise _failure(repo, error) from error
    files = copy_folder(folder, to)
    if files == 0:
        raise DataError(f"Kaggle's '{repo}' holds no files; correct {key}.")
    found = folder.name if folder.parent.name == "versions" else version
    unpacked = archives_in(to, f"Kaggle's {repo}")
    return {"source": "kaggle", "repo": repo, "version": found, "files": files, **unpacked}


def _failure(repo: str, error: Exception) -> DataError | ExternalError:
    """What went wrong in the client, as far as its kind of error tells."""
    from kagglehub.exceptions import DataCorruptionError
    from requests.exceptions import ChunkedEncodingError, RequestException

    response = getattr(error, "response", None)
    if response is not None:
        return ExternalError(_refusal(repo, response.status_code))
    match error:
        case ChunkedEncodingError():
            return ExternalError(f"The download of '{repo}' broke off; run again and it goes on from there.")
        case RequestException():
            return ExternalError(f"Kaggle can't be reached for '{repo}' ({type(error).__name__}); check the network.")
        case DataCorruptionError():
            return ExternalError(f"The archive of '{repo}' was damaged on the way; run again.")
        case OSError() if error.errno:
            return ExternalError(
                f"Kaggle's client can't use {error.filename or 'its cache'} for '{repo}' ({error.strerror}); mend "
                "that, or set KAGGLEHUB_CACHE if it is in the cache."
            )
        case tarfile.FilterError():
            return DataError(
                f"The archive of '{repo}' puts '{error.tarinfo.name}' outside its folder; use another set."
            )
        case _ if isinstance(error, DAMAGED) or str(error) == UNKNOWN_ARCHIVE:
            return DataError(
                f"The archive of '{repo}' is damaged or of an unknown kind; remove datasets/{repo} from Kaggle's cache "
                "(KAGGLEHUB_CACHE, else ~/.cache/kagglehub) and run again."
            )
        case _:
            return ExternalError(
                f"Kaggle's client fails on '{repo}' ({type(error).__name__}); check the network and ~/.kaggle."
            )


def _refusal(repo: str, status: int) -> str:
    match status:
        case 401 | 403:
            return f"Kaggle refuses '{repo}'; check its name, accept its terms on its page and set KAGGLE_API_TOKEN."
        case 404:
            return f"Kaggle has no data set '{repo}' or no such version; correct download.repo or download.revision."
        case 429:
            return f"Kaggle answers no more requests for '{repo}' for now; run again in some minutes."
        case _:
            return f"Kaggle fails with status {status} for '{repo}'; run again later."
