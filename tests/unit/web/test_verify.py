"""The verifier of web/verify.js agrees with the product's own audit: what it accepts, what it refuses, and where."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from autocredits.domain.journal import Entry, hash_of, next_page
from dev.engines import node
from dev.engines.dynamodb import CACHE
from tests.kit.builders import ACCOUNT_ID, NOW_MS
from tests.kit.forms import RELEASES
from tests.kit.journals import Item, Verdict, forged, items_of, released, stored_of, verify, wander
from tests.kit.tampering import CASES, THRESHOLD, stored_forms, true_anchors, true_items, true_pages
from tests.kit.vectors import stored_vectors

ROOT = Path(__file__).resolve().parents[3]
VERIFIER = ROOT / "web" / "verify.js"
RUNNER = Path(__file__).with_name("verifying.mjs")

Case = tuple[str, Sequence[Item], Mapping[int, str]]
"""An account, the items that are handed over as its journal, and what is known of it."""


def run(cases: Sequence[Case], verifier: Path = VERIFIER) -> list[Verdict]:
    """What the JavaScript verifier says of each case."""
    asked = [{"account": account, "items": items, "anchors": anchors} for account, items, anchors in cases]
    command = [node.fetch(CACHE), str(RUNNER), str(verifier)]
    done = subprocess.run(  # noqa: S603 - our own verifier
        command, input=json.dumps(asked), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [_verdict(**told) for told in json.loads(done.stdout)]


def _verdict(version: int, hash: str | None, findings: list[dict[str, Any]]) -> Verdict:  # noqa: A002 - as it is told
    return Verdict([(finding["version"], finding["kind"]) for finding in findings], version, hash)


def found_first(verdict: Verdict) -> tuple[int, str] | None:
    """The first finding; None where the journal is accepted."""
    return verdict.findings[0] if verdict.findings else None


def test_it_is_short_enough_to_be_read() -> None:
    """At most 80 lines of at most 120 characters, and no import."""
    lines = VERIFIER.read_text("utf-8").splitlines()
    assert len(lines) <= 80
    assert max(len(line) for line in lines) <= 120
    assert not [line for line in lines if "import" in line]


def test_true_journals_are_accepted() -> None:
    """Whatever the product's own commands write is accepted, up to the newest page and its hash."""
    cases: list[Case] = []
    expected: list[Verdict] = []
    for seed in range(20):
        pages = wander(seed).pages()
        cases.append((ACCOUNT_ID, items_of(stored_of(pages)), {page.version: page.hash for page in pages[::3]}))
        expected.append(Verdict([], pages[-1].version, pages[-1].hash))
    assert run(cases) == expected


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_is_accepted(release: str) -> None:
    """What each release wrote is accepted by both verifiers."""
    pages = released(release)
    items, known = items_of(pages), {page.version: page.hash for page in pages}
    expected = Verdict([], pages[-1].version, pages[-1].hash)
    assert [*run([(ACCOUNT_ID, items, known)]), verify(ACCOUNT_ID, items, known)] == [expected, expected]


def test_the_test_vectors_are_accepted() -> None:
    """Those of docs/journal-format.md, with the last one's hash as an anchor; changed in one letter they are not."""
    pages = stored_vectors()
    known = {3: pages[-1].hash}
    items = items_of(pages)
    assert run([(ACCOUNT_ID, items, known)]) == [Verdict([], 3, pages[-1].hash)]
    items[2]["page"] = items[2]["page"].replace('"eu"', '"us"')
    assert found_first(run([(ACCOUNT_ID, items, known)])[0]) == (3, "wrong_hash")


def test_any_text_is_accepted() -> None:
    """Quotes, control characters, other alphabets and characters beyond 16 bits stand in a page as JSON has them."""
    signs = "".join(map(chr, [*range(1, 0x180), 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0x1F4E6, 0x10FFFF]))
    page = next_page(ACCOUNT_ID, None, NOW_MS, [Entry(kind="granted", actor=signs, unit="finder", posted=1)])
    assert run([(ACCOUNT_ID, items_of(stored_of([page])), {})]) == [Verdict([], 1, page.hash)]


def test_every_tampering_is_found() -> None:
    """Each case is refused by both verifiers, which name the same page and kind."""
    tampered = {name: case() for name, case in CASES.items()}
    told = run([(ACCOUNT_ID, case.items, case.anchors) for case in tampered.values()])
    expected = {name: (case.version, case.kind) for name, case in tampered.items()}
    assert dict(zip(tampered, map(found_first, told), strict=True)) == expected
    ours = {name: found_first(verify(ACCOUNT_ID, case.items, case.anchors)) for name, case in tampered.items()}
    assert ours == expected


def test_without_an_anchor_a_cut_tail_cannot_be_seen() -> None:
    """A journal that ends early is sound up to there, and says how far that is."""
    pages = true_pages()[: THRESHOLD - 1]
    assert run([(ACCOUNT_ID, true_items()[: THRESHOLD - 1], {})]) == [Verdict([], pages[-1].version, pages[-1].hash)]


def test_what_a_newer_release_writes_is_accepted() -> None:
    """Unknown fields, kinds, units and fields of standing are added up and no more, by both verifiers."""
    pages = stored_forms()
    for stored in pages:
        stored |= {"region": "eu", "tags": ["a", {"b": None, "c": -5}]}
        stored["state"] |= {"tier": {"name": "gold"}}
        stored["state"]["balances"]["auto_order"] |= {"reserve": 1}
        stored["entries"][0] |= {"lane": "fast"}
    for stored in pages[THRESHOLD - 1 :]:
        stored["state"]["status"] = "frozen"
        stored["state"]["balances"] |= {"points": {"posted": 7, "held": 3}}
    pages[THRESHOLD - 1]["entries"] += [
        {"kind": "earned", "actor": "a", "unit": "points", "posted": 7},
        {"kind": "held", "actor": "a", "unit": "points", "held": 3},
        {"kind": "frozen", "actor": "a"},
    ]
    pages[-1]["state"]["status"] = "paused"
    case: Case = (ACCOUNT_ID, forged(pages), {})
    assert [found_first(verdict) for verdict in (*run([case]), verify(*case))] == [None, None]


def mutated(random: Random, value: Any) -> Any:
    """The value with one change somewhere inside."""
    if isinstance(value, dict) and value:
        name = random.choice(sorted(value))
        if random.random() < 0.1:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: mutated(random, value[name])}
    if isinstance(value, list) and value:
        index = random.randrange(len(value))
        return [
            *value[:index],
            *([] if random.random() < 0.1 else [mutated(random, value[index])]),
            *value[index + 1 :],
        ]
    if isinstance(value, int):
        return random.choice((value + 1, value - 1, -value - 1, value + 0.5, str(value), None, not value, 2**60))
    if isinstance(value, str) and value:
        return random.choice((value + "x", value[:-1], value.swapcase() + ".", None, 7, [value]))
    return random.choice((0, "x", ["x"], {"x": 1}))


def test_both_verifiers_judge_random_changes_alike() -> None:
    """Whatever one change is made to an item, or to a page whose journal is then re-hashed: both say the same."""
    random = Random(15)
    cases: list[Case] = []
    for _ in range(400):
        items, pages = true_items(), stored_forms()
        number = random.randrange(len(items))
        if random.random() < 0.4:
            items[number] = mutated(random, items[number])
            cases.append((ACCOUNT_ID, items, {}))
            continue
        stored = mutated(random, pages[number])
        try:
            hash_of(ACCOUNT_ID, stored)
            cases.append((ACCOUNT_ID, forged([*pages[:number], stored, *pages[number + 1 :]]), {}))
        except (TypeError, ValueError, AttributeError):
            continue  # it cannot even be shown
    told = run(cases)
    differ = [
        (case, found_first(verdict), found_first(verify(*case)))
        for case, verdict in zip(cases, told, strict=True)
        if (found_first(verdict) or (0,))[0] != (found_first(verify(*case)) or (0,))[0]
    ]
    assert differ == []
    assert sum(1 for verdict in told if verdict.findings) > len(cases) // 2


@pytest.mark.parametrize(
    ("line", "broken", "case"),
    [
        ("hash !== item.hash", "false", "a digit of the text is flipped"),
        ("prev !== reached.hash", "false", "a page is changed and re-hashed"),
        ("at < reached.at", "false", "re-hashed: time runs backwards"),
        ("page.account_id !== account", "false", "a page is of another account"),
        ("version !== reached.version + 1", "false", "a page is missing"),
        ("canonical(page) === item.page", "true", "re-hashed: a field twice"),
        ("hashes[pin] !== anchors[pin]", "false", "the whole is forged"),
        ("Math.max(1, ...pinned) > reached.version", "false", "the tail is cut"),
    ],
)
def test_each_check_is_needed(line: str, broken: str, case: str, tmp_path: Path) -> None:
    """Without one of its checks the verifier accepts a case, or says something else of it: so the cases can fail."""
    source = VERIFIER.read_text("utf-8")
    assert source.count(line) == 1
    weak = tmp_path / "weak.js"
    weak.write_text(source.replace(line, broken), "utf-8")
    tampered = CASES[case]()
    (verdict,) = run([(ACCOUNT_ID, tampered.items, tampered.anchors)], weak)
    assert found_first(verdict) != (tampered.version, tampered.kind)


def test_the_true_journal_of_the_cases_is_accepted() -> None:
    """What the cases falsify is itself in order."""
    expected = Verdict([], true_pages()[-1].version, true_pages()[-1].hash)
    assert run([(ACCOUNT_ID, true_items(), true_anchors())]) == [expected]
