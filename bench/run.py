"""`make bench`: what a request costs as a journal grows, on a real engine. WRITE=1 keeps its figures in the README.

Seconds are this machine's; the ratio to one GetItem of the same run is more or less everybody's, and the calls to the
table are the same everywhere. Fails where a request costs more than it may.
"""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

from bench.journals import account_of, fill, fill_busy
from bench.measured import REQUESTS, USAGE, Figure, Request
from bench.service import Bench, open_bench
from tests.kit.engines import client_of, make_table, start

SIZES = (10, 10_000, 100_000)
README = Path(__file__).with_name("README.md")
MARKS = ("<!-- figures -->\n", "<!-- end of figures -->")
REFERENCE_TIMES = 200


def main() -> None:
    """Measure, print, and fail where something costs too much."""
    with start("dynoxide") as engine:
        table = make_table(client_of(engine.endpoint_url))
        with open_bench(engine.endpoint_url, table) as bench:
            figures, reference_s = measure_all(bench, SIZES)
    text = report(figures, reference_s)
    print(text)
    if os.environ.get("WRITE"):
        README.write_text(with_figures(README.read_text("utf-8"), text), "utf-8")
    failures = [failure for figure in figures for failure in figure.failures(reference_s)]
    print("\n".join(failures) or "no request costs more than it may")
    if failures:
        raise SystemExit(1)


def measure_all(bench: Bench, sizes: Sequence[int]) -> tuple[list[Figure], float]:
    """Fill the table, and measure every request at every size; and the seconds of the reference."""
    figures = []
    for pages in sizes:
        began_s = time.monotonic()
        fill(bench, pages)
        print(f"{pages:,} pages written in {time.monotonic() - began_s:.0f} s", flush=True)
    reference_s = reference(bench, sizes[0])
    for pages in sizes:
        newest = bench.store.head(account_of(pages))
        bench.clock.at_ms = newest.at if newest else 0
        figures += [measure(bench, request, pages) for request in REQUESTS]
    bench.clock.at_ms = fill_busy(bench.store, "busy")
    return [*figures, measure(bench, USAGE, 3_650_000)], reference_s


def reference(bench: Bench, pages: int) -> float:
    """The seconds of one GetItem through the SDK: the middle one of many."""
    seconds = []
    for _ in range(REFERENCE_TIMES):
        began_s = time.perf_counter()
        bench.store.page(account_of(pages), 1)
        seconds.append(time.perf_counter() - began_s)
    return sorted(seconds)[len(seconds) // 2]


def measure(bench: Bench, request: Request, pages: int) -> Figure:
    """Ask once to warm up, then as often as the request says."""
    request.ask(bench, pages)
    figure = Figure(request, pages)
    for _ in range(request.repeats):
        calls, began_s = bench.calls, time.perf_counter()
        request.ask(bench, pages)
        figure.seconds.append(time.perf_counter() - began_s)
        figure.calls = bench.calls - calls
    return figure


def report(figures: Sequence[Figure], reference_s: float) -> str:
    """The figures as a table in Markdown: calls to the table, times the reference, and seconds."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [
        f"One GetItem took {reference_s * 1000:.2f} ms (the middle one of {REFERENCE_TIMES}), on {machine}.",
        "",
        "| request | pages | calls to the table | times one GetItem | milliseconds | the slowest |",
        "|---|---|---|---|---|---|",
        *(_line(figure, reference_s) for figure in sorted(figures, key=_place)),
    ]
    return "\n".join(lines) + "\n"


def _place(figure: Figure) -> tuple[int, int]:
    return [*REQUESTS, USAGE].index(figure.request), figure.pages


def _line(figure: Figure, reference_s: float) -> str:
    ratio, ms = figure.median_s() / reference_s, figure.median_s() * 1000
    slowest_ms = max(figure.seconds) * 1000
    cells = (
        figure.request.name,
        f"{figure.pages:,}",
        figure.calls,
        f"{ratio:,.0f}",
        f"{ms:,.0f}",
        f"{slowest_ms:,.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def with_figures(page: str, text: str) -> str:
    """The page with these figures in place of those between its marks."""
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}"


if __name__ == "__main__":
    main()
