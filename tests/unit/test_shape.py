"""mutmut leaves out decorated functions, and what stands in no function: nothing may be decided there unseen."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.proof.mutants import PARTS
from dev.stack.places import ROOT

MODULES = [ROOT / "layers" / "common" / "autocredits" / f"{name}.py" for part in PARTS.values() for name in part]
DECIDES = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.AugAssign),
    *(ast.If, ast.IfExp, ast.Match, ast.While, ast.For, ast.Try),
)


def functions_in(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, wherever it stands."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def unseen_decisions(text: str) -> list[str]:
    """The decorated functions that decide or reckon, and the classes that do not stand at the top."""
    tree = ast.parse(text)
    decorated = [function for function in functions_in(tree) if function.decorator_list]
    deciding = [
        function.name
        for function in decorated
        for statement in function.body
        if any(isinstance(node, DECIDES) or getattr(node, "ifs", None) for node in ast.walk(statement))
    ]
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return deciding + [node.name for node in classes if node not in tree.body]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_is_decided_where_no_mutant_is_made(path: Path) -> None:
    """No decorated function of the core reckons or decides, and no class of it stands inside another."""
    assert unseen_decisions(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "body",
    [
        "return self.a - self.b",
        "return -self.a",
        "return self.a > 0",
        "return self.a and self.b",
        "return 1 if self.a else 2",
        "return [a for a in self.b if a]",
        "if self.a:\n            return 1",
        "while self.a:\n            pass",
    ],
)
@pytest.mark.parametrize("decorator", ["property", "cached_property", "staticmethod", "cache(2)"])
def test_a_decision_in_a_property_is_seen(decorator: str, body: str) -> None:
    """Each kind of decision is found, under each kind of decorator."""
    assert unseen_decisions(f"class A:\n    @{decorator}\n    def f(self):\n        {body}\n") == ["f"]


def test_a_plain_property_and_a_plain_function_are_let_through() -> None:
    """What only gives a value on may be decorated; what decides may stand in a function without a decorator."""
    text = (
        "class A:\n    @property\n    def f(self):\n        return self.a\n\ndef g(a):\n    return a + 1 if a else 0\n"
    )
    assert unseen_decisions(text) == []


def test_a_class_inside_another_is_seen() -> None:
    """No mutant is made in it; mutmut does not look into it."""
    assert unseen_decisions("class A:\n    class B:\n        pass\n") == ["B"]
