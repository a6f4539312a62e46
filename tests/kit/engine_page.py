"""The program in docs/automation-engine.md."""

import re
import sys
from pathlib import Path
from types import ModuleType

from tests.kit.template import ROOT

PAGE = ROOT / "docs" / "automation-engine.md"


def program() -> str:
    """Its text, as a reader would cut it out."""
    [block] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return str(block)


def written(folder: Path) -> Path:
    """A file with it."""
    path = folder / "engine.py"
    path.write_text(program(), "utf-8")
    return path


def imported(name: str = "engine_of_the_page") -> ModuleType:
    """It as a module, which is not started."""
    module = ModuleType(name)
    sys.modules[name] = module  # data classes look their module up
    exec(compile(program(), str(PAGE), "exec"), module.__dict__)  # noqa: S102 - it is ours
    return module
