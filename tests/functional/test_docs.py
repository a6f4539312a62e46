"""What the documents quote is what there is."""

from dev.stack.places import ROOT


def test_the_quoted_test_is_the_real_one() -> None:
    """The handler test in docs/local-testing.md is the one that runs here."""
    page = (ROOT / "docs" / "local-testing.md").read_text()
    quoted = page.split("```python\n")[1].split("```")[0]
    assert (ROOT / "tests" / "functional" / "test_example.py").read_text().endswith(quoted)
