"""Small web servers for the local stack, on 127.0.0.1 only."""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

NONE: Mapping[str, str] = MappingProxyType({})


class Quiet(BaseHTTPRequestHandler):
    """A handler that logs nothing, so that only the stack's own lines are printed."""

    def reply(self, status: int, content_type: str, content: str | bytes, headers: Mapping[str, str] = NONE) -> None:
        """Answer with a text or bytes, and further headers."""
        body = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Answers each request in a thread. A browser that goes away in the middle is no error."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what went wrong here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(handler: type[Quiet], port: int) -> Iterator[None]:
    """Serve in the background until the block ends."""
    with Server(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
