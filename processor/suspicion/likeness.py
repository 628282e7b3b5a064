"""Columns that look like other columns' own rows more than like their own. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, permutations
from typing import Any

from processor.suspicion.first_rows import FirstRows, OwnRows, good_texts
from processor.suspicion.mapping import mapping_of
from processor.suspicion.order import Orders
from processor.suspicion.profiles import Profiles, text_of
from processor.suspicion.rearrangements import Rearrangement, moved_words, moves
from schemas.suspicion import MOST_NAMED, Suspicion

LEAST_ROWS = 8
FIRST_LOOK = 80
"""Rows from which the pairs to look at are chosen."""
MOST_COMPARED = 12
"""Columns that are compared, at most: in wider files those that are least like their own rows."""
LEAST_GAIN = 1.0
"""The least mean gain of a row the other way round, in logarithms of likelihoods."""
FIT = 0.85
"""At least this share of the rows must be more likely the other way round."""
PASSING = 0.9
"""At least this share of a column's values must be possible in the other field."""
LEAST_MOVED = 3
"""Columns that are moved by some places; two are exchanged."""
_MOST_TOLD = 8.0
"""A row's gain counts as this at most."""
_NUMBERS = ("integer", "number")
_ORDERED = ("integer", "number", "date", "datetime")
_SURE = 4.0
"""Standard deviations: of few rows, more have to fit."""


class _Compared:
    """The fields that are compared, and what is known of them."""

    def __init__(self, first_rows: FirstRows, own: OwnRows, names: Sequence[str]) -> None:
        self.first_rows = first_rows
        self.places = {name: place for place, name in first_rows.fields.items()}
        self._types = {field.name: field.type for field in first_rows.dataset.fields}
        ordered = {field.name for field in first_rows.dataset.fields if field.type in _ORDERED}
        self.orders = Orders(own, [name for name in names if name in ordered])
        self._profiles = profiles_of(own, names)
        self.rows = range(0, len(first_rows.numbers), max(1, len(first_rows.numbers) // FIRST_LOOK))
        """The rows of the first look."""
        self._means: dict[tuple[str, str], float] = {}

    def mean(self, name: str, meant: str) -> float:
        """How likely the values of a column are in the field `meant`, on average over the first look."""
        key = (name, meant)
        if key not in self._means:
            values, likelihood = self._as_in(name, meant, self.rows), self._profiles.likelihood
            self._means[key] = sum(likelihood(value, meant) for value in values) / len(self.rows)
        return self._means[key]

    def gain(self, name: str, meant: str) -> float:
        """How much more likely they are there than in their own."""
        return self.mean(name, meant) - self.mean(name, name)

    def gains(self, moved: Iterable[tuple[str, str]]) -> list[float]:
        """For every row, how much more likely it is with each value of `moved` in the other field."""
        likelihood = self._profiles.likelihood
        found = [0.0] * len(self.first_rows.numbers)
        for name, meant in moved:
            values = zip(self.first_rows.stored[name], self._as_in(name, meant, range(len(found))), strict=True)
            for row, (value, other) in enumerate(values):
                found[row] += likelihood(other, meant) - likelihood(value, name)
        return found

    def _as_in(self, name: str, meant: str, rows: range) -> Sequence[Any]:
        """The values of a column in these rows as the field `meant` would store them, as far as it matters: a phone
        number that was taken for a number has lost its sign.
        """
        here, there = self._types[name] in _NUMBERS, self._types[meant] in _NUMBERS
        values: Sequence[Any] = self.first_rows.stored[name] if here == there else self.first_rows.texts[name]
        some = values[rows.start : rows.stop : rows.step]
        return list(map(_number_or_text, some)) if there and not here else some

    def would_do(self, moved: Iterable[tuple[str, str]]) -> bool:
        """Whether the checks of the other fields take the values that there are."""
        rows = range(0, len(self.first_rows.rows), max(1, len(self.first_rows.rows) // FIRST_LOOK))
        for name, meant in moved:
            place, check = self.places[name], self.first_rows.checks[meant]
            texts = [text for row in rows if (text := self.first_rows.rows[row][place])]
            if good_texts(check, texts).bit_count() < PASSING * len(texts):
                return False
        return True


def profiles_of(own: OwnRows, names: Sequence[str]) -> Profiles:
    """The profiles of some of the own columns."""
    return own.once(
        ("profiles", frozenset(names)), lambda: Profiles({name: own.columns[name] for name in sorted(names)})
    )


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def unlike_own_rows(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    """Columns that are exchanged, or moved by some places, as the own rows show; None: none are."""
    names = [name for name in first_rows.fields.values() if name in own.columns and name in first_rows.stored]
    if len(first_rows.numbers) < LEAST_ROWS or own.rows < LEAST_ROWS or len(names) < 2:
        return None
    compared = _Compared(first_rows, own, names)
    if len(names) > MOST_COMPARED:
        chosen = set(sorted(names, key=lambda name: compared.mean(name, name))[:MOST_COMPARED])
        names = [name for name in names if name in chosen]
    return _moved(compared, names) or _exchanged(compared, names) or _copied(compared, names)


def _exchanged(compared: _Compared, names: Sequence[str]) -> Suspicion | None:
    first_rows, rows = compared.first_rows, compared.rows
    best: tuple[float, str, str] | None = None
    for one, other in combinations(names, 2):
        by_order = sum(compared.orders.gains(first_rows.stored, one, other, rows)) / len(rows)
        gain = compared.gain(one, other) + compared.gain(other, one) + by_order
        more = gain >= LEAST_GAIN / 2 and (best is None or gain > best[0])
        if more and compared.would_do(((one, other), (other, one))):
            best = (gain, one, other)
    if best is None:
        return None
    _, one, other = best
    gains = compared.gains(((one, other), (other, one)))
    by_orders = compared.orders.gains(first_rows.stored, one, other, range(len(gains)))
    fit = _fit(first_rows, (one, other), [gain + more for gain, more in zip(gains, by_orders, strict=True)])
    if fit is None:
        return None
    places = compared.places[one], compared.places[other]
    message = f"{one} and {other} look exchanged: {_fitting(first_rows, fit)} with them the other way round"
    return _suspicion(first_rows, Rearrangement((places, places[::-1])), (one, other), fit, message)


def _moved(compared: _Compared, names: Sequence[str]) -> Suspicion | None:
    """Three columns or more, moved by one to three places."""
    first_rows = compared.first_rows
    better = [name for name in names if any(compared.gain(name, other) > LEAST_GAIN / 2 for other in names)]
    if len(better) < LEAST_MOVED:
        return None
    best: tuple[float, Rearrangement] | None = None
    for tried in moves(range(len(names))):
        gains = [compared.gain(names[place], names[meant]) for place, meant in tried.moved]
        if min(gains) > LEAST_GAIN / 4 and (best is None or sum(gains) > best[0]):
            best = (sum(gains), tried)
    if best is None:
        return None
    pairs = [(names[place], names[meant]) for place, meant in best[1].moved]
    named = [names[place] for place in best[1].places]
    fit = _fit(first_rows, named, compared.gains(pairs))
    if fit is None or not compared.would_do(pairs):
        return None
    moved = tuple((compared.places[one], compared.places[other]) for one, other in pairs)
    message = f"{moved_words(named, best[1].by)}: {_fitting(first_rows, fit)} with them moved back"
    return _suspicion(first_rows, Rearrangement(moved, best[1].by), named, fit, message)


def _copied(compared: _Compared, names: Sequence[str]) -> Suspicion | None:
    """A column that holds what another column's own rows have."""
    first_rows, rows = compared.first_rows, len(compared.first_rows.numbers)
    gain, one, other = max((compared.gain(one, other), one, other) for one, other in permutations(names, 2))
    if gain < 2 * LEAST_GAIN:
        return None
    fit = _fit(first_rows, (one,), compared.gains([(one, other)]), least=2 * LEAST_GAIN)
    if fit is None:
        return None
    message = (
        f"{one} looks like {other}: {round(fit * rows):,} of {rows:,} values are more like the organisation's own "
        f"{other} than like its own {one}"
    )
    return Suspicion(kind="unusual", columns=(one, other), fit=round(fit, 4), rows=rows, message=message)


def _fitting(first_rows: FirstRows, fit: float) -> str:
    rows = len(first_rows.numbers)
    return f"{round(fit * rows):,} of {rows:,} rows fit the organisation's own rows better"


def _fit(
    first_rows: FirstRows, names: Sequence[str], gains: Sequence[float], least: float = LEAST_GAIN
) -> float | None:
    """The share of rows that fit better otherwise, where that is no accident of a few values; else None."""
    rows = len(gains)
    different = len({tuple(text_of(first_rows.stored[name][row]) for name in names) for row in range(rows)})
    if different < LEAST_ROWS:
        return None
    fit = sum(gain > 0 for gain in gains) / rows
    told = sum(max(-_MOST_TOLD, min(_MOST_TOLD, gain)) for gain in gains) / rows
    needed = FIT + (1 - FIT) * min(1.0, _SURE / math.sqrt(4 * different))
    return fit if told >= least and fit >= min(needed, 0.99) else None


def _suspicion(
    first_rows: FirstRows, found: Rearrangement, named: Sequence[str], fit: float, message: str
) -> Suspicion:
    return Suspicion(
        kind="shifted" if found.by else "exchanged",
        columns=tuple(named)[:MOST_NAMED],
        by=found.by,
        fit=round(fit, 4),
        rows=len(first_rows.numbers),
        message=message,
        columns_option=mapping_of(first_rows, found),
    )
