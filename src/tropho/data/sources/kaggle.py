"""Data sets and competitions on Kaggle, by its own client (extra `kaggle`)."""

import contextlib
import logging
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import unpack_archives
from tropho.data.sources.local import copy_folder
from tropho.data.sources.zindi import SubmissionResult, to_score
from tropho.errors import DataError, ExternalError, TrophoError, UsageError
from tropho.log import quiet_stderr

if TYPE_CHECKING:
    from kagglesdk.competitions.services.competition_api_service import CompetitionApiClient

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)
SIGN_IN = "make a token at https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN"
UNKNOWN_ARCHIVE = "Unsupported archive type."
"""What the client says, as a bare ValueError, of a file that is neither zip nor tar."""
MAX_REASON = 300  # characters of what Kaggle says
PAGE_SIZE = 100  # submissions in an answer
TIMEOUT = 60  # seconds without progress of an upload


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Fetch a competition or a data set: `download.repo` is its slug or owner/name.

    The client keeps files in its cache (KAGGLEHUB_CACHE) and continues a broken download. It reads credentials from
    KAGGLE_API_TOKEN, else KAGGLE_USERNAME and KAGGLE_KEY, else ~/.kaggle; public data sets need none. A data set has
    versions (`download.revision`), a competition has none.

    Raises:
        UsageError: the client is not installed, `repo` is no such name or `revision` no version.
        ExternalError: Kaggle can't be reached or refuses.
        DataError: the archive is damaged, unsafe or empty.
    """
    download, key = settings.download, f"tasks.{settings.name}.download"
    repo, version = str(download.repo), download.revision
    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", repo):
        raise UsageError(f"{key}.repo is '{repo}'; write owner/name of a data set, or a competition as in its address.")
    if version and download.is_competition:
        raise UsageError(f"{key}.revision is '{version}'; Kaggle's competitions have no versions, so set it to null.")
    if version and not re.fullmatch(r"[1-9][0-9]*", version):
        raise UsageError(f'{key}.revision is {version!r}; Kaggle numbers versions from "1", null is the newest.')
    with _requests(repo):
        import kagglehub

        if download.is_competition:
            folder = Path(kagglehub.competition_download(repo))
        else:
            folder = Path(kagglehub.dataset_download(f"{repo}/versions/{version}" if version else repo))
    files = copy_folder(folder, to)
    if files == 0:
        raise DataError(f"Kaggle's '{repo}' holds no files; correct {key}.")
    record: dict[str, Any] = {"source": "kaggle", "repo": repo}
    if not download.is_competition:
        record["version"] = folder.name if folder.parent.name == "versions" else version
    return record | {"files": files, "archives": unpack_archives(to, f"Kaggle's {repo}")}


def submit(competition: str, submission: Path, comment: str) -> str:
    """Upload a submission file to a competition; returns its id on Kaggle.

    Raises:
        UsageError, ExternalError: as `fetch`.
    """
    with _requests(competition), _api() as api:
        import requests
        from kagglesdk.competitions.types import competition_api_service as types

        start = types.ApiStartSubmissionUploadRequest()
        start.competition_name, start.file_name = competition, submission.name
        start.content_length = submission.stat().st_size
        start.last_modified_epoch_seconds = int(submission.stat().st_mtime)
        place = api.start_submission_upload(start)
        with submission.open("rb") as file:
            stored = requests.put(place.create_url, data=file, timeout=TIMEOUT)
        if not stored.ok:  # by a storage server, whose status says nothing of the competition
            raise ExternalError(f"The upload to '{competition}' failed with status {stored.status_code}; run again.")
        entry = types.ApiCreateSubmissionRequest()
        entry.competition_name, entry.submission_description = competition, comment
        entry.blob_file_tokens = place.token
        return str(api.create_submission(entry).ref)


def results(competition: str) -> list[SubmissionResult]:
    """List the team's submissions to a competition, oldest first.

    Raises:
        UsageError, ExternalError: as `fetch`.
    """
    with _requests(competition), _api() as api:
        from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest
        from kagglesdk.competitions.types.submission_status import SubmissionStatus

        found, token = [], ""
        while True:
            request = ApiListSubmissionsRequest()
            request.competition_name, request.page_size, request.page_token = competition, PAGE_SIZE, token
            if not token:
                request.page = 1
            page = api.list_submissions(request)
            found += [entry for entry in page.submissions or [] if entry is not None]
            token = page.next_page_token
            if not token:
                break
    return [
        SubmissionResult(
            entry.description or "",
            to_score(entry.public_score),
            to_score(entry.private_score),
            (entry.error_description or "it gave no reason") if entry.status == SubmissionStatus.ERROR else None,
        )
        for entry in sorted(found, key=lambda entry: entry.ref)
    ]


@contextlib.contextmanager
def _api() -> Iterator["CompetitionApiClient"]:
    """Open the part of Kaggle's API that takes submissions, signed in."""
    from kagglehub.clients import build_kaggle_client
    from kagglehub.config import get_kaggle_credentials
    from kagglehub.exceptions import UnauthenticatedError

    if not get_kaggle_credentials():
        raise UnauthenticatedError
    with build_kaggle_client() as client:
        yield client.competitions.competition_api_client


@contextlib.contextmanager
def _requests(repo: str) -> Iterator[None]:
    """Check for the client, hide its output, and turn its errors into a sentence with a remedy."""
    try:
        import kagglehub  # noqa: F401
    except ImportError:
        raise UsageError("Kaggle needs its client: pip install -e '.[kaggle]'.") from None
    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # it logs to standard output
    try:
        with quiet_stderr():
            yield
    except TrophoError:
        raise
    except Exception as error:  # the client's errors share no base, and some are the transport's own
        raise _failure(repo, error) from error


def _failure(repo: str, error: Exception) -> DataError | ExternalError:
    from kagglehub.exceptions import UnauthenticatedError

    response = getattr(error, "response", None)
    if response is not None:
        return _refusal(repo, response)
    if isinstance(error, UnauthenticatedError):
        return ExternalError(f"Kaggle opens '{repo}' only to those who sign in; {SIGN_IN}.")
    if isinstance(error, DAMAGED) or str(error) == UNKNOWN_ARCHIVE:
        place, reason = f"{'datasets' if '/' in repo else 'competitions'}/{repo}", " ".join(str(error).split())
        return DataError(
            f"The archive of '{repo}' is damaged, unsafe or of an unknown kind ({reason}); remove {place} from "
            "Kaggle's cache (KAGGLEHUB_CACHE, else ~/.cache/kagglehub) and run again."
        )
    return ExternalError(
        f"Kaggle's client fails on '{repo}' ({type(error).__name__}); check the network, ~/.kaggle and the cache "
        "(KAGGLEHUB_CACHE) and run again: a broken download goes on."
    )


def _refusal(repo: str, response: Any) -> ExternalError:
    """Say with which status Kaggle refuses, and what to do; of a bad request, such as one too many a day, why."""
    status, reason = int(response.status_code), ""
    remedies = {400: "correct that", 429: "run again in some minutes"}
    if "/" in repo:
        terms = "check its name, accept its terms on its page and set KAGGLE_API_TOKEN"
        remedies |= {401: terms, 403: terms, 404: "correct download.repo or download.revision"}
    else:
        page = f"https://www.kaggle.com/competitions/{repo}"
        rules = f"join the competition, accept its rules at {page}/rules, and set KAGGLE_API_TOKEN of that account"
        remedies |= {401: f"the token is not valid: {SIGN_IN}", 403: rules, 404: "correct download.repo"}
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # no such JSON
        if status == HTTPStatus.BAD_REQUEST:
            reason = f" ({' '.join(response.json()['message'].split())[:MAX_REASON]})"
    remedy = remedies.get(status, "run again later")
    return ExternalError(f"Kaggle fails with status {status} for '{repo}'{reason}; {remedy}.")
