"""The one library that the page uses: oauth4webapi, a single ES module. It is fetched by npm and never committed."""

import shutil
from pathlib import Path

from dev.engines import node
from dev.engines.dynamodb import CACHE
from dev.engines.programs import EngineError
from dev.stack.places import ROOT

WEB = ROOT / "web"
VENDOR = WEB / "vendor"
VERSION = "3.8.8"
CHECKSUM = "sha512-8N28E+a/oxfXWBgOMt+ZP/JUf/XR+IFbvkAEPP3gznXOMv9BpAAwiIj0TFNz3tGTPc0ZQ8zmWBNgN1nAys0gng=="
"""npm's own of the archive: `npm view oauth4webapi@VERSION dist.integrity` prints it."""

FILES = {"build/index.js": "oauth4webapi.js", "LICENSE*": "oauth4webapi.LICENSE.txt"}
"""What of the archive is taken, and what it is called here."""


def fetch_library() -> list[Path]:
    """Put the library and its licence into `web/vendor`, and return the files. Raises SystemExit with one line."""
    try:
        package = node.fetch_package(CACHE, "oauth4webapi", VERSION, CHECKSUM)
    except EngineError as error:
        raise SystemExit(f"error: the page's library could not be fetched: {error}") from None
    VENDOR.mkdir(exist_ok=True)
    for pattern, name in FILES.items():
        [source] = package.glob(pattern)
        if not (VENDOR / name).exists() or (VENDOR / name).read_bytes() != source.read_bytes():
            shutil.copyfile(source, VENDOR / name)
    return [VENDOR / name for name in FILES.values()]
