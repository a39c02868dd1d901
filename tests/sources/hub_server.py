"""A server on loopback that speaks as much of the Hugging Face Hub's protocol as its client asks for."""

import hashlib
import json
import threading
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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
class LoopbackHub:
    """Repositories served at `url` while the context lasts; `requests` counts what was asked for."""

    repos: dict[str, HubRepo] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    tokens: set[str | None] = field(default_factory=set)

    def __enter__(self) -> "LoopbackHub":
        hub = self

        class Handler(_Handler):
            def answer(self, body: bool) -> None:
                _answer(hub, self, body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body: bool) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer(True)

    def do_HEAD(self) -> None:
        self.answer(False)

    def log_message(self, *args: Any) -> None:
        pass

    def reply(self, status: int, content: bytes, body: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


def _answer(hub: LoopbackHub, handler: _Handler, body: bool) -> None:
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


def _send_file(handler: _Handler, repo: HubRepo, commit: str, path: str, body: bool) -> None:
    content = repo.files(commit).get(path)
    if content is None:
        return handler.reply(404, b"", body, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    if body and path == repo.breaks_at:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.close_connection = True
        return None
    return handler.reply(200, content, body, ETag=etag, X_Repo_Commit=commit)
