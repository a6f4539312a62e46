"""How engines are fetched: nothing here needs a network or starts an engine."""

import threading
import time
from pathlib import Path

import pytest

from dev.engines import node
from tests.kit.engines import dynamodb, programs


@pytest.mark.parametrize(
    ("shown", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_392"', 1),
        ("The operation couldn't be completed.", 0),
        ("", 0),
    ],
)
def test_java_major(shown: str, major: int) -> None:
    """Java's main number is read from what it prints, whatever its age."""
    assert dynamodb.java_major(shown) == major


@pytest.mark.parametrize(("shown", "major"), [("v20.11.1\n", 20), ("v9.0.0", 9), ("command not found", 0), ("", 0)])
def test_node_major(shown: str, major: int) -> None:
    """Node's main number is read from what it prints."""
    assert node.node_major(shown) == major


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("starting\nerror: port 1 is taken\n  at somewhere\n", "error: port 1 is taken"),
        ("starting\n\ngave up\n\n", "gave up"),
        ("\n", "it printed nothing"),
    ],
)
def test_telling_line(output: str, line: str) -> None:
    """The first line that speaks of an error is shown, else the last one."""
    assert programs.telling_line(output) == line


def test_a_file_is_installed_once(tmp_path: Path) -> None:
    """Of several that want the same thing at once, one makes it and all find it whole."""
    target = tmp_path / "cache" / "thing-1"
    made: list[Path] = []
    found: list[str] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("half")
        time.sleep(0.1)
        (folder / "file").write_text("whole")

    def want() -> None:
        programs.install_once(target, make)
        found.append((target / "file").read_text())

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == ["whole"] * 4


def test_a_failed_install_leaves_nothing(tmp_path: Path) -> None:
    """After a failure, or over what a killed process left behind, the next try starts afresh."""
    target = tmp_path / "thing-1"

    def fail(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise programs.EngineError("no network")

    with pytest.raises(programs.EngineError):
        programs.install_once(target, fail)
    assert not target.exists()

    left = tmp_path / "thing-1.partial"
    left.mkdir()
    (left / "old").write_text("half")
    programs.install_once(target, lambda folder: (folder / "file").touch())
    assert [file.name for file in target.iterdir()] == ["file"]


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """What was downloaded is used only if it is byte for byte what was pinned."""
    file = tmp_path / "archive.tgz"
    file.write_bytes(b"abc")
    programs.verify(file, "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
    file.write_bytes(b"abd")
    with pytest.raises(programs.EngineError, match=r"archive\.tgz"):
        programs.verify(file, "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")


def test_a_missing_client_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any way to fetch an engine, one line tells what to install."""
    monkeypatch.setattr(programs, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(programs.EngineError, match=r"^[^\n]*install uv[^\n]*$"):
        dynamodb.fetch("dynoxide", cache=tmp_path)


def test_an_unknown_platform_is_sent_to_another_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no dynoxide is pinned, the error names the engines that are left."""
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(programs.EngineError, match="start dynamodb-local or ministack"):
        dynamodb.fetch("dynoxide", cache=tmp_path)


def test_only_dynoxide_keeps_data(tmp_path: Path) -> None:
    """A database for an engine that would silently forget it is refused."""
    with (
        pytest.raises(programs.EngineError, match="start dynoxide"),
        dynamodb.start("ministack", database=tmp_path / "db"),
    ):
        pytest.fail("it started")
