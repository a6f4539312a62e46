"""Serves the merchant's page on this machine as CloudFront does on AWS: `web/` and the API on one origin.

The headers are those of the template's own policy, so that the tested policy is the deployed one.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from dev.page.headers import headers_of
from dev.page.library import WEB
from dev.stack import web
from dev.stack.sign_in import CLIENT_ID, SCOPE

TYPES = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
"""What the page is made of; nothing else that lies in its folder is served."""

PASSED_ON = ("Authorization", "Idempotency-Key", "Accept", "Content-Type")
"""The headers of a call that the API sees; of CloudFront's, all but `Host`."""

NOT_PASSED_BACK = frozenset({"connection", "content-encoding", "content-length", "date", "server", "transfer-encoding"})
CALL_SECONDS = 60


@contextmanager
def serving(template: Mapping[str, Any], issuer: str, api_url: str, port: int, files: Path = WEB) -> Iterator[None]:
    """Serve the page on 127.0.0.1; `/v1/…` goes to the API."""
    site = Site(
        files=files,
        api_url=api_url,
        headers=headers_of(template, {"SignInOrigins": issuer}),
        config=json.dumps({"issuer": issuer, "client_id": CLIENT_ID, "scope": SCOPE}),
    )
    with web.serving(type("PageHandler", (Handler,), {"site": site}), port):
        yield


@dataclass(frozen=True)
class Site:
    """What is served: the files of a folder, the page's `config.json`, and an API."""

    files: Path
    api_url: str
    headers: Mapping[str, str]
    config: str


class Handler(web.Quiet):
    """Answers one request of a site."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        """Answer a file, or what the API answers."""
        path = urlsplit(self.path).path
        if is_call(path):
            self._pass_on()
        elif path == "/config.json":
            self._send("application/json", self.site.config.encode())
        else:
            self._file(path)

    def do_HEAD(self) -> None:
        """Answer as to GET, without the content."""
        self.do_GET()

    def do_POST(self) -> None:
        """Pass a call on."""
        self._pass_on()

    def do_PUT(self) -> None:
        """Pass a call on."""
        self._pass_on()

    def do_PATCH(self) -> None:
        """Pass a call on."""
        self._pass_on()

    def do_DELETE(self) -> None:
        """Pass a call on."""
        self._pass_on()

    def _file(self, path: str) -> None:
        found = file_of(self.site.files, path)
        if found is None:
            self.reply(404, "text/plain", "There is no such file.", self.site.headers)
            return
        self._send(type_of(found), found.read_bytes())

    def _send(self, kind: str, body: bytes) -> None:
        """Answer what a browser may keep, but has to ask after each time; unless it has just that."""
        tag = f'W/"{hashlib.sha256(body).hexdigest()}"'
        more = {"Cache-Control": "no-cache", "ETag": tag, "Vary": "Accept-Encoding", **self.site.headers}
        if self.headers.get("If-None-Match") == tag:
            self.reply(304, kind, b"", more)
        elif "gzip" in self.headers.get("Accept-Encoding", ""):
            self.reply(200, kind, gzip.compress(body, mtime=0), {**more, "Content-Encoding": "gzip"})
        else:
            self.reply(200, kind, body, more)

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not is_call(urlsplit(self.path).path):
            self.reply(405, "text/plain", "Only the API takes such calls.", self.site.headers)
            return
        sent = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        url = self.site.api_url + self.path
        try:
            answer = requests.request(
                self.command, url, headers=sent, data=body, timeout=CALL_SECONDS, allow_redirects=False
            )
        except requests.RequestException:
            self.reply(502, "application/json", '{"message": "Bad Gateway"}', self.site.headers)
            return
        back = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_BACK}
        kind = back.pop("Content-Type", "application/octet-stream")
        self.reply(answer.status_code, kind, answer.content, {**back, **self.site.headers})


def is_call(path: str) -> bool:
    """Whether a path is the API's. One that leads up again is not, as to CloudFront."""
    return path.startswith("/v1/") and ".." not in unquote(path).split("/")


def file_of(files: Path, path: str) -> Path | None:
    """The file that a path names, `/` being index.html; None if there is none, or it is not inside."""
    try:
        wanted = (files / (unquote(path).lstrip("/") or "index.html")).resolve()
        is_inside = wanted.is_relative_to(files.resolve()) and wanted.is_file()
    except (OSError, ValueError):  # too long for a name, or with a character that none has
        return None
    return wanted if is_inside and wanted.suffix in TYPES else None


def type_of(file: Path) -> str:
    """The content type of a file of the page."""
    return TYPES[file.suffix]
