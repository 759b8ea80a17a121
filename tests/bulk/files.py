"""Files of somebody else, by http on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Files(BaseHTTPRequestHandler):
    """Files by path: a list is sent one after another, its last for ever."""

    held: dict[str, bytes | list[bytes]] = {}  # noqa: RUF012 -- of the test that fills it
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012 -- the same

    def do_GET(self) -> None:
        """Answer with the file."""
        self.asked.append((self.path, self.headers.get("authorization")))
        body = self.held.get(self.path)
        if isinstance(body, list):
            body = body.pop(0) if len(body) > 1 else body[0]
        self.send_response(404 if body is None else 200)
        if self.path.endswith(".gz"):
            self.send_header("content-encoding", "gzip")
        if self.path == "/elsewhere":
            self.send_header("location", "http://169.254.169.254/")
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def hosting() -> Iterator[str]:
    """The host and port that sends the files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
