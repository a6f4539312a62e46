"""What the documents quote is what there is, and whatever cites a document can be looked up in it."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CITING = ("layers", "functions", "cli", "web", "bench", "dev", "tests", "docs")
CITING_FILES = ("template.yaml", "Makefile", "pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
SUFFIXES = ("", ".py", ".sh", ".toml", ".in", ".md")
WRITTEN_BY_PROGRAMS = ("pairs.md",)
"""Documents that a command writes into a folder of its own: they are named, not cited."""

_LINE_BREAK = re.compile(r"\n[ \t]*(?:#+[ \t])?[ \t]*")
_DOCUMENT = r"(?P<document>[\w./-]*\w\.md)"
_NAMED = re.compile(rf"{_DOCUMENT}\b")
_SECTION = re.compile(
    r"(?P<document>[\w./-]*\w\.md|[Cc]ontract)\b[^.;\"]{0,20}?\bsections? (?P<numbers>\d+(?:(?:, | and )\d+)*)"
)
_HEADING = re.compile(rf"{_DOCUMENT}, \"(?P<heading>[^\"]+)\"")
_LOOSE_HEADING = re.compile(rf"\({_DOCUMENT}, (?!sections? \d)(?P<heading>[^)\"]+)\)")
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def citing_files() -> list[Path]:
    """Every file that may cite a document, but this one: it shows broken citations."""
    found = [path for folder in CITING for path in (ROOT / folder).rglob("*")]
    found += [ROOT / name for name in CITING_FILES]
    return sorted(path for path in found if path.is_file() and path.suffix in SUFFIXES and path != Path(__file__))


@cache
def headings(document: Path) -> tuple[str, ...]:
    """The headings of a document, of every level, without their markup."""
    lines = re.findall(r"^#{1,6} +(.+?) *$", document.read_text("utf-8"), flags=re.MULTILINE)
    return tuple(line.replace("`", "") for line in lines)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings(document)}


def find_document(name: str, citing: Path) -> Path | None:
    """The document of a name: as written from the root or from the citing file's folder, or short for one in docs/."""
    name = "contract.md" if name.lower() == "contract" else name
    places = (ROOT / name, ROOT / "docs" / name, citing.parent / name)
    return next((place for place in places if place.is_file()), None)


def broken_citations(text: str, citing: Path) -> Iterator[str]:
    """The citations in a file's text that cannot be looked up."""
    text = _LINE_BREAK.sub(" ", text)
    for match in _NAMED.finditer(text):
        if match["document"] not in WRITTEN_BY_PROGRAMS and find_document(match["document"], citing) is None:
            yield match[0]
    for match in _SECTION.finditer(text):
        document = find_document(match["document"], citing)
        known = headings(document) if document else ()
        for number in re.findall(r"\d+", match["numbers"]):
            if not any(heading.startswith(f"{number}. ") for heading in known):
                yield f"{match[0]}: there is no section {number}"
    for form in (_HEADING, _LOOSE_HEADING):
        for match in form.finditer(text):
            document = find_document(match["document"], citing)
            # A heading may be cited by its beginning.
            if document and not any(f"{heading} ".startswith(f"{match['heading']} ") for heading in headings(document)):
                yield f"{match[0]}: there is no such heading"


def broken_links(text: str, page: Path) -> Iterator[str]:
    """The relative links in a page that lead nowhere."""
    for match in _LINK.finditer(text):
        target, _, anchor = match["target"].partition("#")
        if ":" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            yield match["target"]


def test_the_quoted_test_is_the_real_one() -> None:
    """The handler test in docs/local-testing.md is the one that runs here."""
    page = (ROOT / "docs" / "local-testing.md").read_text()
    quoted = page.split("```python\n")[1].split("```")[0]
    assert (ROOT / "tests" / "functional" / "test_example.py").read_text().endswith(quoted)


@pytest.mark.parametrize("path", citing_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_citation_can_be_looked_up(path: Path) -> None:
    """A document that is cited is in the repository, and has the section or heading that is named."""
    assert list(broken_citations(path.read_text("utf-8"), path)) == []


@pytest.mark.parametrize(
    "page",
    [path for path in citing_files() if path.suffix == ".md"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_link_between_documents_leads_somewhere(page: Path) -> None:
    """Relative links in Markdown name a file that is there, and a heading that it has."""
    assert list(broken_links(page.read_text("utf-8"), page)) == []


@pytest.mark.parametrize(
    "text",
    [
        "(docs/contract.md, section 99)",
        "(contract, sections 2 and 99)",
        "in the contract's order (section 99)",
        "(docs/contract.md,\n    # section 99)",
        '(docs/domain.md, "Fictions")',
        '(domain.md, "Fac")',
        "(domain.md, fictions)",
        "(fiction.md, encoding)",
        "see docs/fiction.md",
    ],
)
def test_a_broken_citation_is_found(text: str) -> None:
    """A section, heading or document that is not there is noticed, however it is spelled or wrapped."""
    assert list(broken_citations(text, Path(__file__)))


@pytest.mark.parametrize(
    "text",
    [
        "(docs/contract.md, section 5)",
        "(contract, sections 1, 2 and 10)",
        "the contract's order\n    (section 4)",
        '(docs/domain.md, "Facts")',
        '(domain.md, "Decisions")',
        "RFC 9457, section 99",
        "the contract of a port. See section 99 of the book",
    ],
)
def test_a_good_citation_is_let_through(text: str) -> None:
    """What can be looked up is no fault, nor are documents that are not ours."""
    assert list(broken_citations(text, Path(__file__))) == []


@pytest.mark.parametrize("target", ["fiction.md", "contract.md#11-fictions", "#fictions"])
def test_a_broken_link_is_found(target: str) -> None:
    """A link to a file or heading that is not there is noticed."""
    assert list(broken_links(f"[x]({target})", ROOT / "docs" / "architecture.md")) == [target]
