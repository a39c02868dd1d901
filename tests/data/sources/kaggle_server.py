"""A server on loopback that speaks as much of Kaggle's API as its client asks for to fetch a data set.

The client posts JSON to /api/v1/SERVICE/METHOD; a download is answered with a redirect to the archive in a store that
takes ranges and gives an MD5 sum.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field

from data.sources.loopback import LoopbackServer, Request


@dataclass
class KaggleSet:
    """One data set: version -> its archive; the rest says how the server misbehaves."""

    versions: dict[int, bytes]
    error: int | None = None  # status of every answer ...
    error_on: str = ""  # ... to paths that hold this
    token: str | None = None  # asked for, 403 without
    breaks: bool = False  # the archive stops half-way
    altered: bool = False  # the archive is not what its sum says


@dataclass
class LoopbackKaggle(LoopbackServer):
    """Data sets by owner/name; `requests` lists method, last part of the path and range of what was asked for."""

    sets: dict[str, KaggleSet] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)

    def answer(self, request: Request, body: bool) -> None:
        self.authorizations.add(request.headers.get("Authorization"))
        asked_range = request.headers.get("Range")
        last = request.path.rpartition("/")[2]
        self.requests.append(" ".join(filter(None, (request.command, last, asked_range))))
        if request.command == "GET":
            _, _, owner, name, version = request.path.split("/")
            found = self.sets[f"{owner}/{name}"]
        else:
            fields = json.loads(request.content)
            owner, name, version = fields["ownerSlug"], fields["datasetSlug"], fields.get("datasetVersionNumber")
            found = self.sets.get(f"{owner}/{name}")
            if found is None or (version and version not in found.versions):
                return _refuse(request, 404)
            if found.token and request.headers.get("Authorization") != f"Bearer {found.token}":
                return _refuse(request, 403)
        if found.error and found.error_on in request.path:
            return _refuse(request, found.error)
        if last == "GetDataset":
            return _send_json(request, 200, {"currentVersionNumber": max(found.versions)})
        if last == "DownloadDataset":
            return request.reply(302, b"", True, Location=f"{self.url}/store/{owner}/{name}/{version}")
        return _send_archive(request, found, found.versions[int(version)])


def _send_archive(request: Request, found: KaggleSet, archive: bytes) -> None:
    checksum = base64.b64encode(hashlib.md5(archive).digest()).decode()
    headers = {"Content_Type": "application/zip", "Accept_Ranges": "bytes", "x_goog_hash": f"md5={checksum}"}
    if found.altered:
        archive = archive[:-1] + bytes([archive[-1] ^ 1])
    if found.breaks:
        return request.break_off(archive, **headers)
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    return request.reply(206 if start else 200, archive[start:], True, **headers)


def _refuse(request: Request, status: int) -> None:
    _send_json(request, status, {"code": status, "message": "secret=1"})


def _send_json(request: Request, status: int, answer: dict[str, object]) -> None:
    request.reply(status, json.dumps(answer).encode(), True, Content_Type="application/json")
