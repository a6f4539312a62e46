"""Prints mutmut's results in this folder as JSON: per module how its mutants ended, and the survivors' diffs."""

import json
import sys

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key


def main() -> None:
    """Print the results of the modules whose paths are given."""
    print(json.dumps({path.partition("/")[2].removesuffix(".py"): of_module(path) for path in sys.argv[1:]}))


def of_module(path: str) -> dict[str, object]:
    """How the mutants of a module ended, and which survived."""
    data = SourceFileMutationData(path=path)
    data.load()
    ends = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
    module = path.removesuffix(".py").replace("/", ".")
    survivors = [(f"{module}:{_function(name)}", _diff(path, name)) for name, end in ends.items() if end == "survived"]
    return {"ends": list(ends.values()), "survivors": survivors}


def _function(mutant: str) -> str:
    function, owner = orig_function_and_class_names_from_key(mutant)
    return f"{owner}.{function}" if owner else function


def _diff(path: str, mutant: str) -> list[str]:
    """The changed lines, without the diff's header."""
    lines = get_diff_for_mutant(mutant, path=path).splitlines()
    return [line for line in lines[2:] if line.startswith(("-", "+"))]


if __name__ == "__main__":
    main()
