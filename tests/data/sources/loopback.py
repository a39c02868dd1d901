"""What the servers on loopback share: a thread that serves while a context lasts, and whole answers."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class LoopbackServer:
    """Serves at `url` while the context lasts; who inherits says what `answer` sends."""

    def __enter__(self) -> Self:
        server = self

        class Handler(Request):
            def answer(self, body: bool) -> None:
                server.answer(self, body)

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

    def answer(self, request: "Request", body: bool) -> None:
        raise NotImplementedError


class Request(BaseHTTPRequestHandler):
    """One request; `reply` and `break_off` answer it."""

    protocol_version = "HTTP/1.1"

    def answer(self, body: bool) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer(True)

    def do_POST(self) -> None:
        self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(True)

    do_PUT = do_POST

    def do_HEAD(self) -> None:
        self.answer(False)

    def log_message(self, *args: Any) -> None:
        pass

    def reply(self, status: int, content: bytes, body: bool, **headers: str) -> None:
        self._head(status, content, headers)
        if body:
            self.wfile.write(content)

    def break_off(self, content: bytes, **headers: str) -> None:
        """Promise `content`, send half of it and hang up."""
        self._head(200, content, headers)
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def _head(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
