"""The comparison as a table, for a terminal and for a page in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from bench.compare.results import OWN, Comparison, Measured, WayResult
from bench.compare.ways import SLUICE, SLUICE_ROWS

QUIX_ROWS: Final = "quix-rows"
SOURCES: Final = {
    "file": "From the CSV file",
    "blocks": "From a topic of blocks of 500 rows",
    "rows": "From a topic of single rows",
}


def console(comparison: Comparison) -> list[str]:
    """Lines for a terminal."""
    lines = [heading(comparison), ""]
    for source, title in SOURCES.items():
        lines.append(f"{title:<66} {'rows/s':>9} {'ratio':>6}  processor time a row: own, Elasticsearch, Kafka")
        for way in _of(comparison, source):
            measured = way.at(comparison.rows)
            name = way.title.replace("`", "")
            if measured is None:
                lines.append(f"  {name:<64} {way.unavailable or 'not measured'}")
                continue
            lines.append(
                f"  {name:<64} {measured.rows_per_second:>9,.0f} {_ratio(comparison, measured):>6}  {_cpu(measured)}"
            )
    return [*lines, "", *_sentences(comparison)]


def markdown(comparison: Comparison) -> str:
    """All figures in Markdown, with the machine and the date above them, and what can't be had below."""
    head = (
        "| | rows/s | of Sluice's upload | µs of processor time a row: its own | Elasticsearch's | Kafka's |",
        "|---|--:|--:|--:|--:|--:|",
    )
    lines = [heading(comparison), "", *head, *_rows(comparison, _all_cells)]
    lines += ["", *_sentences(comparison)]
    missing = [way for way in comparison.ways if way.unavailable or way.at(comparison.rows) is None]
    if missing:
        lines += ["", "Not in the table, or not in every round:", ""]
        lines += [f"- {way.title}: {way.unavailable or 'not measured'}." for way in missing]
    return "\n".join(lines) + "\n"


def short_markdown(comparison: Comparison) -> str:
    """The rates alone in Markdown, with the machine and the date above them."""
    head = ("| | rows/s | of Sluice's upload |", "|---|--:|--:|")
    return "\n".join([heading(comparison), "", *head, *_rows(comparison, _rate_cells)]) + "\n"


def _sentences(comparison: Comparison) -> Iterator[str]:
    own, other = comparison.rate(SLUICE_ROWS), comparison.rate(QUIX_ROWS)
    if own and other:
        yield f"Of single rows from a topic Sluice writes {own / other:.1f} times as many a second as Quix Streams."


def _rows(comparison: Comparison, cells_of: Callable[[Comparison, Measured], list[str]]) -> Iterator[str]:
    for source, title in SOURCES.items():
        measured = [(way, figures) for way in _of(comparison, source) if (figures := way.at(comparison.rows))]
        for number, (way, figures) in enumerate(measured):
            cells = cells_of(comparison, figures)
            if number == 0:
                yield f"| **{title}** |{' |' * len(cells)}"
            mark = "**" if way.name in (SLUICE, SLUICE_ROWS) else ""
            yield f"| {mark}{way.title}{mark} | " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |"


def _rate_cells(comparison: Comparison, measured: Measured) -> list[str]:
    return [f"{measured.rows_per_second:,.0f}", _ratio(comparison, measured)]


def _all_cells(comparison: Comparison, measured: Measured) -> list[str]:
    return [*_rate_cells(comparison, measured), *_microseconds(measured)]


def heading(comparison: Comparison) -> str:
    """Where, when and how it was measured, in a sentence."""
    machine = comparison.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    return (
        f"{comparison.date[:10]}, {machine.processor}, {machine.cores} cores, {machine.memory_gigabytes} GB, "
        f"Python {machine.python}, {versions}; {comparison.rows:,} people, medians of {comparison.rounds} rounds."
    )


def _of(comparison: Comparison, source: str) -> list[WayResult]:
    ways = [way for way in comparison.ways if way.source == source]
    return sorted(ways, key=lambda way: -(comparison.rate(way.name) or 0.0))


def _ratio(comparison: Comparison, measured: Measured) -> str:
    rate = comparison.rate(SLUICE)
    return f"{measured.rows_per_second / rate:.2f}" if rate else ""


def _microseconds(measured: Measured) -> list[str]:
    return [f"{measured.cpu_microseconds_per_row(kind):.1f}" for kind in (OWN, "elasticsearch", "kafka")]


def _cpu(measured: Measured) -> str:
    own, elasticsearch, kafka = _microseconds(measured)
    return f"{own:>6} {elasticsearch:>6} {kafka:>5} µs"
