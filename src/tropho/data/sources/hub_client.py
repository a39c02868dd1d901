"""The Hugging Face Hub as a file store: pinned, patient with rate limits, and plain about what went wrong.

The client (`huggingface_hub`) keeps finished files in its cache, so a download that broke off goes on with
the file it broke off in. The token comes from HF_TOKEN alone, never from a file; HF_ENDPOINT names a
mirror.
"""

import errno
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tropho.errors import ExternalError

T = TypeVar("T")

TRIES = 6
"""Of one request or one round of downloads; each round keeps the files that came."""
LONGEST_WAIT_SECONDS = 330
"""The Hub counts requests over five minutes; who asks for a longer wait than that does not want us today."""
REQUEST_SECONDS = 10

log = logging.getLogger(__name__)


class HubDataset:
    """A data set repository on the Hub at one revision.

    `commit` is the hash that the revision stood for when the object was made; all files are those of that
    commit. Where the Hub is out of reach but the cache is complete, the cache answers.

    Raises (all methods):
        ExternalError: in one sentence with the remedy.
    """

    def __init__(self, repo: str, revision: str | None) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        if not sys.stderr.isatty():
            disable_progress_bars()
        self.repo = repo
        self.revision = revision or "main"
        self.offline = False
        # read now, not when the client was imported
        self._endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
        self._cache = os.environ.get("HF_HUB_CACHE") or None
        self._token: str | bool = os.environ.get("HF_TOKEN") or False
        self._api = HfApi(endpoint=self._endpoint, token=self._token)
        self.commit = self._resolve()

    def files(self) -> list[str]:
        """Paths of all files of the commit, sorted."""
        if self.offline:
            folder = self._snapshot(["README.md"])
            return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

        def ask() -> list[str]:
            tree = self._api.list_repo_tree(self.repo, recursive=True, revision=self.commit, repo_type="dataset")
            return sorted(entry.path for entry in tree if hasattr(entry, "size"))  # folders have none

        return self._ask(ask)

    def download(self, patterns: list[str]) -> Path:
        """Fetch the files that match a pattern (`*` spans slashes); return the folder that links to them."""
        return self._ask(lambda: self._snapshot(patterns))

    def _resolve(self) -> str:
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HTTPError

        try:
            info = self._ask(lambda: self._api.dataset_info(self.repo, revision=self.revision, timeout=REQUEST_SECONDS))
        except ExternalError as error:
            cause = error.__cause__
            if isinstance(cause, HfHubHTTPError) or not isinstance(cause, (HTTPError, OSError)):
                raise
            try:
                self.offline = True
                return self._snapshot(["README.md"]).name
            except (EntryNotFoundError, OSError):
                raise error from cause
        self._remember_revision()
        return str(info.sha)

    def _remember_revision(self) -> None:
        """Fetch the card: with it the client notes which commit the revision is, for use without network."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        def ask() -> None:
            try:
                hf_hub_download(self.repo, "README.md", revision=self.revision, **self._where())
            except EntryNotFoundError as error:
                if _http_error(error) is not None and _status(error) != 404:
                    raise

        self._ask(ask)

    def _snapshot(self, patterns: list[str]) -> Path:
        from huggingface_hub import snapshot_download

        revision = getattr(self, "commit", self.revision)
        where = {**self._where(), "local_files_only": self.offline}
        return Path(snapshot_download(self.repo, revision=revision, allow_patterns=patterns, **where))

    def _where(self) -> dict[str, Any]:
        return {
            "repo_type": "dataset", "endpoint": self._endpoint, "token": self._token, "cache_dir": self._cache
        }  # fmt: skip

    def _ask(self, call: Callable[[], T]) -> T:
        """Call; wait and call again where the Hub asks to; turn every failure into a sentence."""
        from huggingface_hub.errors import EntryNotFoundError, HTTPError

        for attempt in range(TRIES):
            try:
                return call()
            except (HTTPError, OSError, EntryNotFoundError) as error:
                wait = _seconds_to_wait(error, attempt)
                if wait is None or wait > LONGEST_WAIT_SECONDS or attempt == TRIES - 1:
                    raise ExternalError(self._sentence(error)) from error
                log.warning("The Hub is busy; going on with '%s' in %d s.", self.repo, wait)
                time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _sentence(self, error: Exception) -> str:
        """What failed, and what to do about it."""
        host = urlsplit(self._endpoint).hostname if self._endpoint else "huggingface.co"
        cause = _http_error(error)
        if cause is not None:
            return f"{host}: '{self.repo}' {self._answer(cause)}."
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return f"The disk is too full for '{self.repo}'; make room, or set HF_HUB_CACHE to a larger disk."
        if hasattr(self, "commit") and not self.offline:
            return f"The download of '{self.repo}' from {host} broke off; run again and it goes on from there."
        return f"{host} can't be reached for '{self.repo}'; connect to the internet or set HF_ENDPOINT."

    def _answer(self, cause: Any) -> str:
        """What the Hub's refusal means for the user."""
        from huggingface_hub import errors

        match cause, int(cause.response.status_code):
            case errors.GatedRepoError(), _:
                return "is gated; accept its terms on the data set's page and set HF_TOKEN"
            case errors.RevisionNotFoundError(), _:
                return f"has no revision '{self.revision}'; correct download.revision"
            case errors.RepositoryNotFoundError(), _:
                return "is not there, or private; correct download.repo, or set HF_TOKEN to one that may read it"
            case _, 401 | 403:
                return "is refused; set HF_TOKEN to a token that may read it, or unset one that has expired"
            case _, 429:
                return "gets no more answers for now; run again in some minutes, or set HF_TOKEN for more"
            case _, 404:
                return "has lost a file; run again, or pin download.revision to a commit that is whole"
            case _, status:
                return f"fails with status {status}; run again later, or set HF_ENDPOINT to a mirror"


def _http_error(error: BaseException | None) -> Any:
    """The Hub's own answer among the causes of an error, which the client hides behind 'not in the cache'."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None and not isinstance(error, HfHubHTTPError):
        error = error.__cause__
    return error


def _status(error: BaseException) -> int | None:
    response = getattr(_http_error(error), "response", None)
    return None if response is None else int(response.status_code)


def _seconds_to_wait(error: Exception, attempt: int) -> float | None:
    """How long the Hub asks to wait, else exponentially longer; None where waiting does not help."""
    status = _status(error)
    if status != 429 and (status is None or status < 500):
        return None
    headers = _http_error(error).response.headers
    asked = re.fullmatch(r"\s*(\d+)\s*", headers.get("Retry-After", "")) or re.search(
        r";\s*t\s*=\s*(\d+)", headers.get("RateLimit", "")
    )
    return float(asked[1]) + 1 if asked else 2.0**attempt
