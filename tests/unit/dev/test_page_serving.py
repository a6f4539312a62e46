"""The page's server: its files and no others, the template's headers, and calls passed on to the API."""

import gzip
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from tests.kit.page import file_of, headers_of, serving
from tests.kit.stack import free_ports
from tests.kit.template import template

PARAMETERS = {"SignInOrigins": "http://127.0.0.1:1"}
SEEN: list[dict[str, Any]] = []


class Api(BaseHTTPRequestHandler):
    """An API that tells what it was asked."""

    def answer(self) -> None:
        """Answer with a problem, and note what came."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        SEEN.append({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body})
        content = b'{"code": "insufficient_credits"}'
        moved = self.path == "/v1/moved"
        self.send_response(307 if moved else 402)
        if moved:
            self.send_header("Location", "/v1/elsewhere")
        for name, value in (("Content-Type", "application/problem+json"), ("Idempotent-Replayed", "true")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server asks for these

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site of two files, with a secret beside its folder, before such an API."""
    files = tmp_path_factory.mktemp("page") / "web"
    (files / "vendor").mkdir(parents=True)
    (files / "index.html").write_text("<!doctype html>")
    (files / "vendor" / "library.js").write_text("export {}" * 100)
    (files.parent / "secret.txt").write_text("secret")
    (files / "link.txt").symlink_to(files.parent / "secret.txt")
    with HTTPServer(("127.0.0.1", 0), Api) as api:
        thread = Thread(target=api.serve_forever, daemon=True)
        thread.start()
        port = free_ports()
        with serving(template(), "http://127.0.0.1:1", f"http://127.0.0.1:{api.server_port}", port, files):
            yield f"http://127.0.0.1:{port}"
        api.shutdown()
        thread.join()


def test_files_are_served(site: str) -> None:
    """With their types, small, and asked for again each time."""
    index = requests.get(f"{site}/", timeout=10)
    assert (index.status_code, index.headers["Content-Type"], index.text) == (
        200,
        "text/html; charset=utf-8",
        "<!doctype html>",
    )
    library = requests.get(f"{site}/vendor/library.js?x=1", headers={"Accept-Encoding": "gzip"}, timeout=10)
    assert (library.headers["Content-Type"], library.headers["Cache-Control"]) == ("text/javascript", "no-cache")
    assert library.headers["Content-Encoding"] == "gzip"
    assert int(library.headers["Content-Length"]) == len(gzip.compress(library.content, mtime=0)) < 100
    head = requests.head(f"{site}/", timeout=10)
    assert (head.status_code, head.content) == (200, b"")


def test_the_configuration_names_the_issuer(site: str) -> None:
    """And the client and scopes to ask it for."""
    config = requests.get(f"{site}/config.json", timeout=10).json()
    assert (config["issuer"], config["client_id"]) == ("http://127.0.0.1:1", "autocredits-page")
    assert config["scope"].split() == [
        "openid",
        "credits:read",
        "credits:purchase",
        "credits:consume",
        "credits:admin",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/vendor/../../secret.txt",
        "/link.txt",
        "/vendor",
        "/none.js",
        "/%00",
        f"/{'a' * 3000}",
        "//",
    ],
    ids=lambda path: path[:24],
)
def test_what_is_not_of_the_page_is_not_served(site: str, path: str) -> None:
    """Nothing beside its folder, however it is asked for."""
    request = requests.Request("GET", site).prepare()
    request.url = f"{site}{path}"
    with requests.Session() as session:
        answer = session.send(request, timeout=10)
    assert "secret" not in answer.text
    assert answer.status_code == 404 or path == "//"


def test_a_file_is_found_inside_alone(tmp_path: Path) -> None:
    """Paths are resolved before they are judged."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.js").touch()
    (tmp_path / "b.js").touch()
    assert file_of(tmp_path / "web", "/a.js") == (tmp_path / "web" / "a.js").resolve()
    assert file_of(tmp_path / "web", "/../b.js") is None
    assert file_of(tmp_path / "web", "/..%2fb.js") is None


def test_a_file_that_is_known_is_not_sent_again(site: str) -> None:
    """Nor is the configuration; only its tag says that it is the same."""
    for path in ("/", "/config.json"):
        first = requests.get(site + path, timeout=10)
        assert first.headers["Cache-Control"] == "no-cache"
        again = requests.get(site + path, headers={"If-None-Match": first.headers["ETag"]}, timeout=10)
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        other = requests.get(site + path, headers={"If-None-Match": 'W/"another"'}, timeout=10)
        assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", ["/v1/../secret", "/v1/a/%2e%2e/%2E%2e/%2e%2e/secret", "/v1/..%2fsecret"])
def test_a_call_stays_within_the_api(site: str, path: str) -> None:
    """What leads out of `/v1` is no call: nothing else of what serves the API is reached."""
    SEEN.clear()
    with requests.Session() as session:
        for method, status in (("GET", 404), ("POST", 405)):
            request = requests.Request(method, site).prepare()
            request.url = f"{site}{path}"
            assert session.send(request, timeout=10).status_code == status
    assert not SEEN


def test_where_the_api_sends_to_is_the_browsers_to_go(site: str) -> None:
    """A redirect comes back as it is."""
    SEEN.clear()
    answer = requests.get(f"{site}/v1/moved", allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/v1/elsewhere")
    assert [seen["path"] for seen in SEEN] == ["/v1/moved"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_calls_are_passed_on_to_the_api(site: str, method: str) -> None:
    """With method, query, body and the headers it reads; and its answer comes back as it is."""
    SEEN.clear()
    sent = {
        "Authorization": "Bearer t",
        "Idempotency-Key": "k",
        "Accept": "text/csv",
        "Content-Type": "application/json",
    }
    answer = requests.request(
        method, f"{site}/v1/a%20b?x=1&y=2", headers={**sent, "X-Other": "1"}, data=b'{"a": 1}', timeout=10
    )
    (seen,) = SEEN
    assert (seen["method"], seen["path"], seen["body"]) == (method, "/v1/a%20b?x=1&y=2", b'{"a": 1}')
    assert sent.items() <= seen["headers"].items()
    assert "X-Other" not in seen["headers"]
    assert (answer.status_code, answer.json()) == (402, {"code": "insufficient_credits"})
    assert (answer.headers["Content-Type"], answer.headers["Idempotent-Replayed"]) == (
        "application/problem+json",
        "true",
    )


def test_the_page_itself_takes_no_calls(site: str) -> None:
    """Only `/v1` does."""
    assert requests.post(f"{site}/index.html", data=b"x", timeout=10).status_code == 405


def test_an_api_that_is_down_is_told_as_a_gateway_does(tmp_path: Path) -> None:
    """502, in API Gateway's own form."""
    port = free_ports()
    with serving(template(), "http://127.0.0.1:1", f"http://127.0.0.1:{port + 1}", port, tmp_path):
        answer = requests.get(f"http://127.0.0.1:{port}/v1/health", timeout=10)
    assert (answer.status_code, answer.json()) == (502, {"message": "Bad Gateway"})


def test_every_answer_has_the_templates_headers(site: str) -> None:
    """Files, what is not found, and the API's answers."""
    expected = headers_of(template(), PARAMETERS)
    for path in ("/", "/none", "/config.json", "/v1/x"):
        assert expected.items() <= dict(requests.get(site + path, timeout=10).headers).items()


# ---------------------------------------------------------------- headers


def test_headers_are_those_of_the_policy() -> None:
    """Each that it names, but for the one that demands TLS."""
    headers = headers_of(template(), PARAMETERS)
    assert set(headers) == {
        "Content-Security-Policy",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "Referrer-Policy",
        "Permissions-Policy",
        "Cross-Origin-Opener-Policy",
        "Cross-Origin-Resource-Policy",
    }
    assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"XSSProtection": {"Protection": True}}, "XSSProtection"), ({}, "a parameter that is not given")],
)
def test_a_policy_that_is_not_understood_is_no_policy(change: dict[str, Any], message: str) -> None:
    """Rather than served in part: another header, or a parameter that is not known."""
    changed = json.loads(json.dumps({"Resources": {"PageHeaders": template()["Resources"]["PageHeaders"]}}))
    changed["Resources"]["PageHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"] |= change
    with pytest.raises(ValueError, match=message):
        headers_of(changed, {} if not change else PARAMETERS)
