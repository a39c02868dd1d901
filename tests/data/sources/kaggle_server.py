"""A server on loopback that speaks as much of Kaggle's API as its client asks for to fetch data and to submit.

The client posts JSON to /api/v1/SERVICE/METHOD; a download is answered with a redirect to the archive in a store that
takes ranges and gives an MD5 sum. A submission is put into that store before it is entered.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from data.sources.loopback import LoopbackServer, Request

PAGE = 2  # submissions in an answer


@dataclass
class KaggleSet:
    """A data set, or a competition, which has one version: version -> its archive; how the server misbehaves."""

    versions: dict[int, bytes]
    error: int | None = None  # status of every answer ...
    error_on: str = ""  # ... to paths that hold this
    message: str = "secret=1"  # with it
    token: str | None = None  # asked for, 403 without
    breaks: bool = False  # the archive stops half-way
    altered: bool = False  # the archive is not what its sum says
    uploads: list[bytes] = field(default_factory=list)  # to a competition
    submissions: list[dict[str, Any]] = field(default_factory=list)  # as entered, oldest first
    states: list[dict[str, Any]] = field(default_factory=list)  # of the newest, one an answer; then it stays


@dataclass
class LoopbackKaggle(LoopbackServer):
    """Data sets by owner/name, competitions by slug; `requests` lists method, last part of the path and range."""

    sets: dict[str, KaggleSet] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)

    def answer(self, request: Request, body: bool) -> None:
        self.authorizations.add(request.headers.get("Authorization"))
        asked_range = request.headers.get("Range")
        last = request.path.rpartition("/")[2]
        self.requests.append(" ".join(filter(None, (request.command, last, asked_range))))
        if request.command == "POST":
            fields = json.loads(request.content)
            repo = fields.get("competitionName") or f"{fields['ownerSlug']}/{fields['datasetSlug']}"
            version = fields.get("datasetVersionNumber")
            found = self.sets.get(repo)
            if found is None or (version and version not in found.versions):
                return _refuse(request, 404)
            if found.token and request.headers.get("Authorization") != f"Bearer {found.token}":
                return _refuse(request, 403)
        else:
            repo = request.path.removeprefix("/store/").rpartition("/")[0]
            found = self.sets[repo]
        if found.error and found.error_on in request.path:
            return _refuse(request, found.error, found.message)
        if request.command == "PUT":
            found.uploads.append(request.content)
            return request.reply(200, b"", True)
        if request.command == "GET":
            return _send_archive(request, found, found.versions[int(last)])
        if last == "GetDataset":
            return _send_json(request, 200, {"currentVersionNumber": max(found.versions)})
        if last in {"DownloadDataset", "DownloadDataFiles"}:
            place = f"{self.url}/store/{repo}/{version or max(found.versions)}"
            return request.reply(302, b"", True, Location=place)
        return _send_json(request, 200, _answer_submitter(last, fields, found, f"{self.url}/store/{repo}/upload"))


def _answer_submitter(method: str, fields: dict[str, Any], found: KaggleSet, place: str) -> dict[str, Any]:
    if method == "StartSubmissionUpload":
        return {"token": f"blob {fields['fileName']} {fields['contentLength']}", "createUrl": place}
    if method == "CreateSubmission":
        ref, token = 70 + len(found.submissions), fields["blobFileTokens"]
        found.submissions.append({"ref": ref, "description": fields["submissionDescription"], "fileName": token})
        return {"message": "Successfully submitted", "ref": ref}
    assert method == "ListSubmissions"
    if found.states and found.submissions:
        found.submissions[-1] |= found.states.pop(0)
    start = int(fields.get("pageToken") or 0)
    more = str(start + PAGE) if start + PAGE < len(found.submissions) else ""
    return {"submissions": found.submissions[::-1][start : start + PAGE], "nextPageToken": more}


def _send_archive(request: Request, found: KaggleSet, archive: bytes) -> None:
    checksum = base64.b64encode(hashlib.md5(archive).digest()).decode()
    headers = {"Content_Type": "application/zip", "Accept_Ranges": "bytes", "x_goog_hash": f"md5={checksum}"}
    if found.altered:
        archive = archive[:-1] + bytes([archive[-1] ^ 1])
    if found.breaks:
        return request.break_off(archive, **headers)
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    return request.reply(206 if start else 200, archive[start:], True, **headers)


def _refuse(request: Request, status: int, message: str = "secret=1") -> None:
    _send_json(request, status, {"code": status, "message": message})


def _send_json(request: Request, status: int, answer: dict[str, object]) -> None:
    request.reply(status, json.dumps(answer).encode(), True, Content_Type="application/json")
