"""A service that is slow at times: a proxy before it that holds up a part of the calls."""

import http.client
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ANSWER_SECONDS = 60
NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


@dataclass
class Slowness:
    """How many of the calls are held up, by how long, and how many there were."""

    share: float
    seconds: float
    chance: random.Random
    calls: int = 0
    slow_calls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold_up(self) -> None:
        """Let a call pass at once, or later."""
        with self.lock:
            is_slow = self.chance.random() < self.share
            self.calls += 1
            self.slow_calls += is_slow
        if is_slow:
            time.sleep(self.seconds)


@contextmanager
def slow_proxy(endpoint_url: str, slowness: Slowness) -> Iterator[str]:
    """The address of a proxy that passes POST requests on to the endpoint, some of them later."""
    backend = urlsplit(endpoint_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            slowness.hold_up()
            connection = http.client.HTTPConnection(backend, timeout=ANSWER_SECONDS)
            try:
                connection.request("POST", self.path, body, dict(self.headers))
                answer = connection.getresponse()
                told = answer.read()
            except (OSError, http.client.HTTPException):
                self.send_error(HTTPStatus.BAD_GATEWAY)
                return
            finally:
                connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100

        def handle_error(self, *_: object) -> None:
            pass  # a caller that gave up

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
