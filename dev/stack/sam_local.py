"""`make sam-local`: the built functions in the containers of `sam local`, on the running stack's table and queues.

`sam local` sets only variables that a template declares, and the template has no need to declare where AWS is. So the
functions run from a copy of the built template that also says where the local stack is, as a container sees it.
"""

import json
import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import yaml

from dev.stack import deploy
from dev.stack.places import ROOT, Places, StackInfo, from_environment, running_stack
from dev.stack.transform import Template, read_template, unrolled

BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
SAM = ROOT / ".venv-sam" / "bin" / "sam"
HOST = "host.docker.internal"
API_PORT = 3111
SERVICES = ("DYNAMODB", "SQS", "EVENTBRIDGE", "SECRETS_MANAGER")


def main() -> None:
    """With EVENT: invoke the function that it is for. Without: serve the API until Ctrl-C."""
    event = os.environ.get("EVENT")
    with sam_local(from_environment()) as sam, suppress(KeyboardInterrupt):
        if event:
            print(json.dumps(sam.invoke(Path(event)), indent=2))
            return
        with sam.start_api(int(os.environ.get("API_PORT") or API_PORT)) as process:
            process.wait()


@dataclass(frozen=True)
class SamLocal:
    """`sam local` with what it needs to reach one stack."""

    template: Path
    address: str
    environment: dict[str, str]

    def invoke(self, event: Path) -> Any:
        """What the event's function returns, or the error that it raised. What it logs goes to stderr."""
        function = function_of(read_template(), json.loads(event.read_text()))
        command = self._command("invoke", function, "--event", str(event))
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith(("{", "[")) or line == "null"]
        if done.returncode or not lines:
            raise SystemExit(f"error: sam local invoke {function} failed: {done.stdout}")
        # A function that cannot be loaded is told twice on one line; the first is enough.
        answer, _ = json.JSONDecoder().raw_decode(lines[-1])
        return answer

    def start_api(self, port: int, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start serving the API on a port of 127.0.0.1; SIGTERM or Ctrl-C ends it."""
        command = self._command("start-api", "--host", "127.0.0.1", "--port", str(port))
        return subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)

    def _command(self, name: str, *arguments: str) -> list[str]:
        options = ["--template", str(self.template), "--add-host", f"{HOST}:{self.address}"]
        return [str(SAM), "local", name, *arguments, *options]


@contextmanager
def sam_local(places: Places, **others: str) -> Iterator[SamLocal]:
    """Get `sam local` ready for a stack that runs. Raises SystemExit without a build or without Docker.

    `others` are resources, by logical id, that the functions use instead of the stack's.
    """
    if not BUILT.exists():
        raise SystemExit("error: there is no build; `make build` first")
    info = running_stack(places)
    values = _values(places) | others
    template = to_local(unrolled(yaml.safe_load(BUILT.read_text())), values, info["endpoint_url"])
    path = BUILT.with_name("local.json")
    path.write_text(json.dumps(template))
    with _reachable(places.port) as address:
        yield SamLocal(path, address, _environment(info))


def _values(places: Places) -> dict[str, str]:
    """What `Ref` gives in the stack: its parameters, and the names of its resources."""
    cloudformation = deploy.client("cloudformation", places)
    [stack] = cloudformation.describe_stacks(StackName=deploy.STACK)["Stacks"]
    resources = cloudformation.describe_stack_resources(StackName=deploy.STACK)["StackResources"]
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    return parameters | {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}


def to_local(template: Template, values: dict[str, str], endpoint_url: str) -> Template:
    """Change a built template so that its functions find the stack: its parameters, its resources and its AWS.

    `AWS_ENDPOINT_URL` still says that the stack is on this machine; the services have addresses that containers reach.
    """
    resources = template["Resources"].values()
    functions = [one["Properties"] for one in resources if one["Type"] == "AWS::Serverless::Function"]
    for properties in (template["Globals"]["Function"], *functions):
        variables = properties.get("Environment", {}).get("Variables", {})
        variables |= {name: values[value["Ref"]] for name, value in variables.items() if isinstance(value, dict)}
    outside = endpoint_url.replace("127.0.0.1", HOST)
    template["Globals"]["Function"]["Environment"]["Variables"] |= {
        "AWS_ENDPOINT_URL": endpoint_url,
        **{f"AWS_ENDPOINT_URL_{service}": outside for service in SERVICES},
    }
    return template


def function_of(template: Template, event: dict[str, Any]) -> str:
    """The logical id of the function that takes an event: by route, from a stream or a queue, or on schedule."""
    origins = {record["eventSourceARN"] for record in event.get("Records", [])}
    for function, name, source in event_sources(template):
        kind, properties = source["Type"], source["Properties"]
        if kind == "HttpApi" and route_key(properties) == event.get("routeKey"):
            return function
        if kind == "SQS" and any(f"-{properties['Queue']['Fn::GetAtt'][0]}-" in origin for origin in origins):
            return function
        if kind == "DynamoDB" and any(f"-{properties['Stream']['Fn::GetAtt'][0]}-" in origin for origin in origins):
            # Of two functions on one stream, the first that is shown every change of this batch.
            shown = _changes_shown(properties)
            if all(record["eventName"] in shown for record in event["Records"]):
                return function
        if kind == "Schedule" and any(f"-{function}{name}-" in rule for rule in event.get("resources", [])):
            return function
    raise SystemExit("error: no function of the template takes this event")


def _changes_shown(properties: dict[str, Any]) -> set[str]:
    """Which changes of a stream (`INSERT`, `MODIFY`, `REMOVE`) its filters let through."""
    patterns = [json.loads(one["Pattern"]) for one in properties["FilterCriteria"]["Filters"]]
    return {name for pattern in patterns for name in pattern.get("eventName", ("INSERT", "MODIFY", "REMOVE"))}


def event_sources(template: Template) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each event source of the template: its function, its name and its definition."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            for name, source in resource["Properties"].get("Events", {}).items():
                yield logical_id, name, source


def route_key(properties: dict[str, Any]) -> str:
    """What API Gateway calls a route."""
    return f"{properties['Method']} {properties['Path']}" if "Path" in properties else "$default"


def _environment(info: StackInfo) -> dict[str, str]:
    """What `sam` itself runs with: no real credentials, and the stack's STS, which it asks whose they are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": info["region"],
        "AWS_ENDPOINT_URL_STS": info["endpoint_url"],
        "SAM_CLI_TELEMETRY": "0",
    }


@contextmanager
def _reachable(port: int) -> Iterator[str]:
    """The address at which a container reaches `port` of this machine's 127.0.0.1.

    Docker Desktop connects containers by itself. On Linux a relay listens on the containers' gateway, an address that
    only they reach. SAM_HOST_IP names another address that already leads here.
    """
    if address := os.environ.get("SAM_HOST_IP"):
        yield address
        return
    gateway = _docker("network", "inspect", "bridge", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}").split()
    try:
        server = _Relay((gateway[0], port), _Pump) if gateway else None
    except OSError:
        server = None
    if server is None:
        yield "host-gateway"
        return
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield gateway[0]
        finally:
            server.shutdown()


def _docker(*arguments: str) -> str:
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit("error: `sam local` needs a running Docker (`docker info` must work)") from None


class _Relay(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Pump(socketserver.BaseRequestHandler):
    """Copies bytes to the same port of 127.0.0.1, and back."""

    def handle(self) -> None:
        port = cast("tuple[str, int]", self.server.server_address)[1]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as stack:
            back = threading.Thread(target=_pass_on, args=(stack, self.request), daemon=True)
            back.start()
            _pass_on(self.request, stack)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
