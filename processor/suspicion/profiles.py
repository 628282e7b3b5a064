"""What the values of a column look like: their shape, length, first and last signs, and which there are. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

_LOOKED_AT = 40
"""Characters of a value of which the shape is made."""
_AFFIX = 3
_RUNS = re.compile(r"(.)\1+")
_CLASSES = {"Lu": "A", "Ll": "a", "Lt": "A", "Lm": "x", "Lo": "x", "Nd": "9", "Zs": " "}
_PRIOR = 12.0
"""Values of the pooled columns that are added to each column's own: a value that no column has tells nothing."""
_LEAST = 0.25
"""Of a part that is rare in all columns: what one column had once, and another never, tells little."""

Features = tuple[str, ...]


class Letters(dict[int, str]):
    """A translation table: each character becomes the sign of its class, punctuation stays."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = found = _CLASSES.get(unicodedata.category(character), character)
        return found


_LETTERS = Letters()


def text_of(value: Any) -> str:
    """A stored value as a text; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def features(value: Any) -> Features:
    """What a value looks like; a part says nothing where it is the empty text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_features(value)
    return _text_features(text_of(value))


def _number_features(value: float) -> Features:
    text = repr(value)
    magnitude = f"{'-' if value < 0 else ''}{round(2 * math.log2(abs(value)))}" if value else "0"
    decimals = len(text.partition(".")[2]) if isinstance(value, float) else 0
    return ("-9" if value < 0 else "9", "n", magnitude, f"{min(decimals, 4)}d", text)


@lru_cache(maxsize=16_384)
def _text_features(text: str) -> Features:
    shape = _RUNS.sub(r"\1", text[:_LOOKED_AT].translate(_LETTERS))
    length = len(text)
    bucket = str(length) if length < 16 else f"{length // 4 * 4}+"
    return (shape, bucket, text[:_AFFIX].casefold(), text[-_AFFIX:].casefold(), text[:200])


class Profiles:
    """The profiles of several columns, which can be asked which one a value looks like."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.names = tuple(columns)
        self._counts = {name: _counts(values) for name, values in columns.items()}
        self._sizes = {name: len(values) for name, values in columns.items()}
        total = max(1, sum(self._sizes.values()))
        self._pooled: list[dict[str, float]] = []
        for part in range(5):
            pooled: Counter[str] = Counter()
            for counts in self._counts.values():
                pooled.update(counts[part])
            self._pooled.append({feature: count / total for feature, count in pooled.items()})
        self._known: dict[tuple[str, Features], float] = {}

    def likelihood(self, value: Any, name: str) -> float:
        """How likely the value is in the column `name`, as the sum of the logarithms of its parts."""
        looks = features(value)
        key = (name, looks)
        known = self._known.get(key)
        if known is None:
            size = self._sizes[name] + _PRIOR
            known = 0.0
            for counts, pooled, look in zip(self._counts[name], self._pooled, looks, strict=True):
                known += math.log((counts[look] + max(_LEAST, _PRIOR * pooled.get(look, 0.0))) / size)
            self._known[key] = known
        return known


def _counts(values: Iterable[Any]) -> list[Counter[str]]:
    parts: list[Counter[str]] = [Counter() for _ in range(5)]
    for value, count in Counter(values).items():
        for counter, look in zip(parts, features(value), strict=True):
            counter[look] += count
    return parts
