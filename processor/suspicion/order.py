"""Pairs of columns of which one is nearly always the smaller: a beginning and an end, a least and a most. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from processor.suspicion.first_rows import OwnRows
from schemas.descriptors.dates import moment

_PRIOR = 2.0


def _compare(one: Any, other: Any) -> str:
    """``<``, ``>`` or ``=``; ``?``: they can't be compared."""
    if one is None or other is None or isinstance(one, bool) or isinstance(other, bool):
        return "?"
    if isinstance(one, int | float) and isinstance(other, int | float):
        return "<" if one < other else ">" if one > other else "="
    if isinstance(one, str) and isinstance(other, str):
        try:
            first, second = moment(one), moment(other)
        except ValueError:
            return "?"
        return "<" if first < second else ">" if first > second else "="
    return "?"


_OTHER_WAY = {"<": ">", ">": "<", "=": "=", "?": "?"}


class Orders:
    """The orders that the own rows show."""

    def __init__(self, own: OwnRows, names: Sequence[str]) -> None:
        """`names`: the fields whose values have an order, numbers and dates."""
        self._own = own
        self._comparable = frozenset(names)
        self._counts: dict[tuple[str, str], Counter[str]] = {}

    def gains(self, stored: Mapping[str, Sequence[Any]], one: str, other: str, rows: range) -> Iterator[float]:
        """For each row, how much more likely its order is with the two exchanged."""
        if not {one, other} <= self._comparable:
            yield from (0.0 for _ in rows)
            return
        counts = self._counted(one, other)
        total = sum(counts.values()) + 3 * _PRIOR
        weight = {sign: math.log((counts[sign] + _PRIOR) / total) for sign in "<>="}
        weight["?"] = 0.0
        for row in rows:
            sign = _compare(stored[one][row], stored[other][row])
            yield weight[_OTHER_WAY[sign]] - weight[sign]

    def _counted(self, one: str, other: str) -> Counter[str]:
        key = (one, other)
        if key not in self._counts:
            pairs = zip(self._own.columns[one], self._own.columns[other], strict=True)
            self._counts[key] = Counter(sign for pair in pairs if (sign := _compare(*pair)) != "?")
        return self._counts[key]
