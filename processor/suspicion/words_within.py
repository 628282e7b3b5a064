"""Words of one column that stand within the texts of another: a name in an email address, say. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, Final

from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.known_rows import Links
from processor.suspicion.lags import Lags, near
from schemas.descriptors.datasets import Dataset

LEAST_SHARE = 0.25
"""Pairs of columns of which fewer rows share a word say nothing."""
_WORD = re.compile(r"[^\W\d_]{3,}")
_LEAST_OWN = 20
_OWN_ROWS = 200
"""Own rows that are read to tell how many share a word."""
_MOST = 12
_MOST_PLACES = 60
"""A word that more rows have tells no row from the others."""


_LOOKED_AT: Final = 1000
"""Characters of a text in which words are looked for."""


def words(value: Any) -> frozenset[str]:
    """The words of a text, without case and accents."""
    if not isinstance(value, str):
        return frozenset()
    value = value[:_LOOKED_AT]
    if not value.isascii():
        value = "".join(char for char in unicodedata.normalize("NFKD", value) if not unicodedata.combining(char))
    return frozenset(_WORD.findall(value.casefold()))


def links_of_words(first_rows: FirstRows, own: OwnRows, names: Sequence[str]) -> Links:
    """(column, another) -> at which distances a row of the other has a word of it."""
    some = word_columns(first_rows.dataset, names)
    expected = shares(own, some)
    found: dict[str, Sequence[frozenset[str]]] = {}
    places: dict[str, Mapping[str, Sequence[int]]] = {}
    for name in some:
        values = first_rows.stored[name]
        # Other words in each row, or else the same few words come again and again and fit everywhere.
        if any(name in pair for pair in expected) and _differ(values):
            rows = list(map(words, values))
            if _differ(rows):
                found[name] = rows
    for (one, other), share in expected.items():
        if one in found and other in found:
            if other not in places:
                places[other] = _places(found[other])
            lags = _lags(found[one], found[other], places[other])
            if lags.told >= len(found[one]) / 4:
                yield (one, other), (lags, share)


def word_columns(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """The first columns that may hold words."""
    texts = {field.name for field in dataset.fields if field.type in ("string", "any")}
    return [name for name in names if name in texts][:_MOST]


def shares(own: OwnRows, names: Sequence[str]) -> Mapping[tuple[str, str], float]:
    """(column, another) -> of the own rows, the share with a word in both, where it is enough; 1 without own rows."""
    return own.once(("shares", frozenset(names)), lambda: _found_shares(own, sorted(names)))


def _found_shares(own: OwnRows, names: Sequence[str]) -> Mapping[tuple[str, str], float]:
    pairs = [(one, other) for one, other in permutations(names, 2) if one < other]
    if own.rows < _LEAST_OWN:
        return dict.fromkeys(pairs, 1.0)
    found = {name: list(map(words, own.columns.get(name, ())[:_OWN_ROWS])) for name in names}
    shared = {(one, other): _share(found[one], found[other]) for one, other in pairs}
    return {pair: share for pair, share in shared.items() if share >= LEAST_SHARE}


def _share(one: Sequence[frozenset[str]], other: Sequence[frozenset[str]]) -> float:
    """The share of the rows with words in both columns that have a word in common."""
    both = [(first, second) for first, second in zip(one, other, strict=True) if first and second]
    return sum(not first.isdisjoint(second) for first, second in both) / len(both) if both else 0.0


def _differ(values: Sequence[Hashable]) -> bool:
    """Whether more than half of the values are different ones."""
    return len(set(values)) > len(values) / 2


def _places(rows: Sequence[frozenset[str]]) -> Mapping[str, Sequence[int]]:
    """Word -> the rows that have it, in order, for words that tell rows apart."""
    places: dict[str, list[int]] = {}
    for place, found in enumerate(rows):
        for word in found:
            places.setdefault(word, []).append(place)
    return {word: rows for word, rows in places.items() if len(rows) <= _MOST_PLACES}


def _lags(one: Sequence[frozenset[str]], other: Sequence[frozenset[str]], places: Mapping[str, Sequence[int]]) -> Lags:
    """`places`: those of the other's words. Where too many rows fit where they stand for `Lags.shift` to find another
    distance, as in most files, the other distances are left out."""
    told = [place for place, found in enumerate(one) if found and other[place]]
    standing = sum(not places.keys().isdisjoint(one[place] & other[place]) for place in told)
    lags = Lags(len(told), Counter({0: standing}))
    if not lags.stand():
        lags.counts = Counter(_distances(one, told, places))
    return lags


def _distances(
    one: Sequence[frozenset[str]], told: Sequence[int], places: Mapping[str, Sequence[int]]
) -> Iterator[int]:
    """Of each of the rows `told`, each distance at which the other column has a word of it, once."""
    for place in told:
        known = [places[word] for word in one[place] if word in places]
        if len(known) == 1:
            yield from near(known[0], place)
        elif known:
            yield from {lag for rows in known for lag in near(rows, place)}
