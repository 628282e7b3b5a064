"""`python -m bench.capacity.plot FLAT.json docs/scaling.svg`: a picture of what `bench flat --json` has measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, GAP = 420, 260, 60, 45, 40, 70
SERIES = (("microseconds_per_row", "time", "#1f5fa8"), ("cpu_microseconds_per_row", "our processor time", "#c2571a"))


class Figure(msgspec.Struct, frozen=True):
    """One size: see `bench.scaling.flat.Figure`."""

    rows: int
    jobs: int
    microseconds_per_row: float
    cpu_microseconds_per_row: float


class Flat(msgspec.Struct, frozen=True):
    """What `bench flat --json` prints, as far as it is drawn."""

    sizes: list[Figure]
    at_once: list[Figure]


@dataclass(frozen=True, slots=True)
class Axes:
    """One of the two pictures: the logarithm of a number to the right, microseconds a row upwards."""

    left: float
    least: int
    most: int
    top: float

    def place(self, number: float, value: float) -> tuple[float, float]:
        """The place of a point, in the picture's units."""
        span = max(1, self.most - self.least)
        x = self.left + (log10(number) - self.least) / span * (WIDTH - LEFT)
        return round(x, 1), round(TOP + (1 - value / self.top) * (HEIGHT - TOP - BOTTOM), 1)


def svg(flat: Flat) -> str:
    """Both pictures beside each other."""
    width = 2 * WIDTH + GAP + LEFT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 20}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="Microseconds a row by rows of a job, and by jobs at once">',
        f'<rect width="{width}" height="{HEIGHT + 20}" fill="#fff"/>',
        *_picture(LEFT, "rows of one job", [(figure.rows, figure) for figure in flat.sizes]),
        *_picture(LEFT + WIDTH + GAP, "jobs at once", [(figure.jobs, figure) for figure in flat.at_once]),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _picture(left: float, title: str, points: Sequence[tuple[int, Figure]]) -> Iterator[str]:
    if not points:
        return
    numbers = [number for number, _ in points]
    highest = max(max(figure.microseconds_per_row, figure.cpu_microseconds_per_row) for _, figure in points)
    axes = Axes(left, floor(log10(min(numbers))), ceil(log10(max(numbers))), highest * 1.15)
    base, right = HEIGHT - BOTTOM, left + WIDTH - LEFT
    yield f'<path d="M{left} {TOP}V{base}H{right}" fill="none" stroke="#555"/>'
    yield f'<text x="{(left + right) / 2}" y="{HEIGHT}" text-anchor="middle">{escape(title)}</text>'
    yield f'<text x="{left - 8}" y="{TOP - 14}">µs a row</text>'
    for power in range(axes.least, axes.most + 1):
        x, _ = axes.place(10**power, 0)
        yield f'<text x="{x}" y="{base + 16}" text-anchor="middle">{10**power:,}</text>'
    for value in (0.0, axes.top / 2, axes.top):
        _, y = axes.place(10**axes.least, value)
        yield f'<path d="M{left} {y}H{right}" stroke="#ddd"/>'
        yield f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{value:,.0f}</text>'
    for place, (name, told, colour) in enumerate(SERIES):
        found = [axes.place(number, getattr(figure, name)) for number, figure in points]
        line = " ".join(f"{x},{y}" for x, y in found)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in found)
        yield f'<text x="{left + 90 + 70 * place}" y="{TOP - 14}" fill="{colour}">{escape(told)}</text>'


if __name__ == "__main__":
    read, written = map(Path, sys.argv[1:3])
    written.write_text(svg(msgspec.json.decode(read.read_bytes(), type=Flat)), encoding="utf-8")
