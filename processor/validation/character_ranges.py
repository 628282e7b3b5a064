"""Sets of characters as ranges, (first, last) by their code points, and how RE2 writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Ranges = list[tuple[int, int]]

LAST: Final = 0x10FFFF
"""The last code point."""


def others(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All characters but these."""
    left, at = [], 0
    for first, last in sorted(ranges):
        if first > at:
            left.append((at, first - 1))
        at = max(at, last + 1)
    return [*left, (at, LAST)] if at <= LAST else left


def written(ranges: Iterable[tuple[int, int]]) -> str:
    """One character of these, for RE2."""
    return "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges) + "]"
