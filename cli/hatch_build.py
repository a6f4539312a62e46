"""What the package takes from the service: its version, and the pure code that prices work and verifies journals."""

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


def service_of(root: Path) -> Path:
    """The folder `autocredits`: beside `cli` in the repository, inside an unpacked source distribution."""
    beside, inside = root.parent / "layers" / "common" / "autocredits", root / "autocredits"
    return inside if inside.exists() else beside


class Version(MetadataHookInterface):
    """The version is the service's."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read it from the text, since nothing is installed yet."""
        text = (service_of(Path(self.root)) / "__init__.py").read_text("utf-8")
        (metadata["version"],) = re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)


class Domain(BuildHookInterface[Any]):
    """The domain goes along, as `autocredits.domain`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's form
        """Name the files that are to be taken."""
        service = service_of(Path(self.root))
        files = [service / "__init__.py", *(service / "domain").rglob("*.py")]
        build_data["force_include"] |= {
            str(file): f"autocredits/{file.relative_to(service).as_posix()}" for file in files
        }
