"""How many rows of a batch are worked on at once, where what they meet is long. Pure.

A batch is bounded by its rows and by the bytes of its blocks. The documents that its rows name may be far longer, and
nothing tells how long before they are read. So the worker begins with few rows, and goes by what it has read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Final

FIRST: Final = 100
"""Rows of the first portion."""
GROWTH: Final = 4
"""The next portion has at most this many times the rows of one: their documents may be longer."""
_REMEMBERED: Final = 1000


class Portions:
    """The sizes of portions, for each kind of documents."""

    def __init__(self, first: int = FIRST) -> None:
        """`first`: rows of a kind's first portion."""
        self._first = first
        self._rows: dict[Hashable, int] = {}

    def rows(self, kind: Hashable) -> int:
        """How many rows the next portion has."""
        return self._rows.get(kind, self._first)

    def note(self, kind: Hashable, rows: int, size: int, most: int) -> None:
        """Note that a portion of so many rows had `size` bytes; `most`: bytes that one is to have, at most."""
        if not rows:
            return
        grown = max(self._rows.pop(kind, self._first), GROWTH * rows)
        self._rows[kind] = max(1, min(grown, rows * most // size if size else grown))
        if len(self._rows) > _REMEMBERED:
            del self._rows[next(iter(self._rows))]


def fitting(sizes: Sequence[int], most: int) -> int:
    """How many of the first of these have at most so many bytes together; one at least, if there is one."""
    return max(min(1, len(sizes)), bisect_right(list(accumulate(sizes)), most))
