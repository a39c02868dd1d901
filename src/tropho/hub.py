"""Client of repositories on the Hugging Face Hub: one commit, and a sentence for each failure.

`huggingface_hub` waits at rate limits and keeps finished files in its cache, so that a broken download continues. The
token comes from HF_TOKEN alone; HF_ENDPOINT names a mirror, HF_HUB_CACHE the cache.
"""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from tropho.errors import ExternalError

T = TypeVar("T")

CARD = "README.md"
PROBES = {"dataset": CARD, "model": "config.json"}  # a small file of each kind of repository
SETTINGS = {
    "dataset": ("download.repo", "download.revision", "the data set's page"),
    "model": ("model.checkpoint", "model.checkpoint", "the model's page"),
}
"""Where the repository and the revision are set, and where its terms are accepted."""
REQUEST_SECONDS = 10


class HubRepo:
    """A repository at the commit that `revision` (branch, tag or commit; None is main) named when this was made.

    Without network the client's cache answers, if it is complete. All methods raise ExternalError.
    """

    def __init__(self, repo: str, revision: str | None, kind: Literal["dataset", "model"] = "dataset") -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        if not sys.stderr.isatty():
            disable_progress_bars()
        self.repo, self.kind = repo, kind
        self.revision = revision or "main"
        self.offline = False
        self._client: dict[str, Any] = {
            "endpoint": os.environ.get("HF_ENDPOINT", "").rstrip("/") or None,
            "token": os.environ.get("HF_TOKEN") or False,
        }
        self._api = HfApi(**self._client)
        self.commit = ""
        try:
            self._ask(
                lambda: self._api.repo_info(repo, revision=self.revision, repo_type=kind, timeout=REQUEST_SECONDS)
            )
        except ExternalError as error:
            if _refusal_in(error) is not None:
                raise
            self.offline = True
        self.commit = self.download([PROBES[kind]]).name

    def files(self) -> list[str]:
        """List the paths of all files, sorted."""
        if self.offline:
            folder = self.download([PROBES[self.kind]])
            return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        where = {"revision": self.commit, "repo_type": self.kind}
        return sorted(self._ask(lambda: self._api.list_repo_files(self.repo, **where)))

    def download(self, patterns: list[str]) -> Path:
        """Fetch the files that match a pattern (`*` matches slashes too); returns the folder that holds them."""
        from huggingface_hub import snapshot_download

        options = {
            "repo_type": self.kind,
            "revision": self.commit or self.revision,
            "allow_patterns": patterns,
            "cache_dir": os.environ.get("HF_HUB_CACHE") or None,
            "local_files_only": self.offline,
            **self._client,
        }
        return Path(self._ask(lambda: snapshot_download(self.repo, **options)))

    def _ask(self, call: Callable[[], T]) -> T:
        """Call; turn the client's errors into ExternalError."""
        from huggingface_hub.errors import HTTPError

        try:
            return call()
        except (HTTPError, OSError) as error:
            raise ExternalError(self._describe(error)) from error

    def _describe(self, error: Exception) -> str:
        """Return a sentence that says what failed and what to do."""
        endpoint = self._client["endpoint"]
        host = urlsplit(endpoint).hostname if endpoint else "huggingface.co"
        refusal = _refusal_in(error)
        if refusal is not None:
            return f"{host}: '{self.repo}' {self._describe_refusal(refusal)}."
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return f"The disk is too full for '{self.repo}'; make room, or set HF_HUB_CACHE to a larger disk."
        if self.commit and not self.offline:
            return f"The download of '{self.repo}' from {host} broke off; run again and it goes on from there."
        return f"{host} can't be reached for '{self.repo}'; connect to the internet or set HF_ENDPOINT."

    def _describe_refusal(self, refusal: Any) -> str:
        from huggingface_hub import errors

        repo_key, revision_key, page = SETTINGS[self.kind]
        match refusal, int(refusal.response.status_code):
            case errors.GatedRepoError(), _:
                return f"is gated; accept its terms on {page} and set HF_TOKEN"
            case errors.RevisionNotFoundError(), _:
                return f"has no revision '{self.revision}'; correct {revision_key}"
            case errors.RepositoryNotFoundError(), _:
                return f"is not there, or private; correct {repo_key}, or set HF_TOKEN to one that may read it"
            case _, 401 | 403:
                return "is refused; set HF_TOKEN to a token that may read it, or unset one that has expired"
            case _, 429:
                return "gets no more answers for now; run again in some minutes, or set HF_TOKEN for more"
            case _, status:
                return f"fails with status {status}; run again later, or set HF_ENDPOINT to a mirror"


def _refusal_in(error: BaseException | None) -> Any:
    """Return the Hub's own answer among the causes of an error; None if it did not answer."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None and not (isinstance(error, HfHubHTTPError) and error.response is not None):
        error = error.__cause__
    return error
