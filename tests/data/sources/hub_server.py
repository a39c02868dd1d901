"""A server on loopback that speaks as much of the Hugging Face Hub's protocol as its client asks for."""

import hashlib
import json
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from data.sources.loopback import LoopbackServer, Request


@dataclass
class HubRepo:
    """One data set or model: revision -> files; `faults` says how the server misbehaves."""

    revisions: dict[str, dict[str, bytes]]
    error: tuple[int, str] | None = None  # status and X-Error-Code of every answer
    busy: int = 0  # so many answers are 429 first, ...
    busy_on: str = ""  # ... of those to paths that end so ...
    retry_after: int = 7  # ... and ask for so many seconds
    breaks_at: str | None = None  # the body of this file stops half-way, every time

    def commit(self, revision: str) -> str | None:
        """A stable commit hash of a revision, or None if there is none."""
        commits = {hashlib.sha1(name.encode()).hexdigest(): name for name in self.revisions}
        if revision in commits:
            return revision
        return next((commit for commit, name in commits.items() if name == revision), None)

    def files(self, commit: str) -> dict[str, bytes]:
        """The files of a commit."""
        return next(files for name, files in self.revisions.items() if self.commit(name) == commit)


@dataclass
class LoopbackHub(LoopbackServer):
    """Repositories served at `url` while the context lasts; `requests` counts what was asked for."""

    repos: dict[str, HubRepo] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    tokens: set[str | None] = field(default_factory=set)

    def answer(self, request: Request, body: bool) -> None:
        _answer(self, request, body)


def _answer(hub: LoopbackHub, handler: Request, body: bool) -> None:
    path = urllib.parse.urlsplit(handler.path).path
    hub.tokens.add(handler.headers.get("Authorization"))
    hub.requests[f"{handler.command} {urllib.parse.unquote(path)}"] += 1
    parts = path.removeprefix("/api").removeprefix("/datasets").removeprefix("/models").lstrip("/").split("/")
    name, verb, rest = "/".join(parts[:2]), (parts[2:3] or ["revision"])[0], parts[3:] or ["main"]
    repo = hub.repos.get(name)
    if repo is None:
        return handler.reply(404, b"{}", body, X_Error_Code="RepoNotFound")
    if repo.busy and path.endswith(repo.busy_on):
        repo.busy -= 1
        return handler.reply(429, b"{}", body, Retry_After=str(repo.retry_after))
    if repo.error:
        return handler.reply(repo.error[0], b"{}", body, X_Error_Code=repo.error[1])
    commit = repo.commit(urllib.parse.unquote(rest[0]))
    if commit is None:
        return handler.reply(404, b"{}", body, X_Error_Code="RevisionNotFound")
    if verb == "resolve":
        return _send_file(handler, repo, commit, urllib.parse.unquote("/".join(rest[1:])), body)
    entries = [_entry(path, content) for path, content in repo.files(commit).items()]
    answer = entries if verb == "tree" else {"id": name, "sha": commit, "siblings": [], "tags": []}
    return handler.reply(200, json.dumps(answer).encode(), body, Content_Type="application/json")


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _send_file(handler: Request, repo: HubRepo, commit: str, path: str, body: bool) -> None:
    content = repo.files(commit).get(path)
    if content is None:
        return handler.reply(404, b"", body, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    if body and path == repo.breaks_at:
        return handler.break_off(content)
    return handler.reply(200, content, body, ETag=etag, X_Repo_Commit=commit)
