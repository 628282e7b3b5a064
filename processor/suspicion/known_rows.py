"""Rows of the file beside the own rows of the same key, or of another value that hardly two rows share. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.lags import LEAST_LINKS, Lags, near, places_of
from processor.suspicion.mapping import mapping_of
from processor.suspicion.rearrangements import Rearrangement
from schemas.suspicion import Suspicion

DISTINCT = 0.8
"""At least this share of a column's values must differ for the column to tell rows apart."""
KNOWN_FIT = 0.5
"""At least this share of the known rows must fit the other way round; others may have changed since."""
LOOKED_UP = 240
"""Values of a file that are looked for, and own rows that are read for them."""
_LONGEST = 256
"""Characters of a value that is looked for."""
_MOST_LINKS = 3
_MOST_COLUMNS = 40

Known = tuple[int, Mapping[str, Any]]
Links = Iterator[tuple[tuple[str, str], tuple[Lags, float]]]


def linking(dataset_key: Sequence[str], columns: Sequence[tuple[str, Sequence[Any]]]) -> list[str]:
    """The columns by which rows are known again: the key if it is one column, else those with hardly a value twice."""
    names = [name for name, _ in columns]
    if len(dataset_key) == 1 and dataset_key[0] in names:
        return [dataset_key[0]]
    return [name for name, values in columns if len(values) and len(set(values)) >= DISTINCT * len(values)][
        :_MOST_LINKS
    ]


def values_to_look_up(first_rows: FirstRows, names: Sequence[str]) -> dict[str, list[Any]]:
    """Column -> some of its values, spread over the file, by which own rows of it may be known again."""
    indexed = {field.name for field in first_rows.dataset.fields if field.indexed}  # the others can't be looked for
    links = linking(
        first_rows.dataset.primary_key, [(name, first_rows.stored[name]) for name in names if name in indexed]
    )
    each = LOOKED_UP // max(1, len(links))
    found = {name: _some(first_rows.stored[name], each) for name in links}
    return {name: values for name, values in found.items() if values}


def _some(values: Sequence[Any], count: int) -> list[Any]:
    spread = values[:: max(1, len(values) // count)][:count]
    return [value for value in spread if value is not None and not (isinstance(value, str) and len(value) > _LONGEST)]


def links_to_known(first_rows: FirstRows, own: OwnRows, names: Sequence[str]) -> Links:
    """(column by which rows are known, other column) -> at which distances the other one has what the own row has."""
    stored = first_rows.stored
    for link, known in known_by(first_rows, own, names):
        for name in names:
            if name == link:
                continue
            places, lags = places_of(stored[name]), Lags()
            for place, row in known:
                value = row.get(name)
                if value is not None:
                    lags.note(near(places.get(value, ()), place))
            yield (link, name), (lags, 1.0)


def known_by(first_rows: FirstRows, own: OwnRows, names: Sequence[str]) -> Iterator[tuple[str, Sequence[Known]]]:
    """The columns by which some rows are known again, each with the places of these rows and the own rows."""
    if not own.rows and not own.found:
        return
    stored = first_rows.stored
    for link in linking(first_rows.dataset.primary_key, [(name, stored[name]) for name in names]):
        rows = {row[link]: row for row in (*own_sample(own), *own.found) if row.get(link) is not None}
        known = [(place, rows[value]) for place, value in enumerate(stored[link]) if value in rows]
        if len(known) >= LEAST_LINKS:
            yield link, known


def exchanged_with_known(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    """Two columns that have each other's values, as the own rows of the same key show; None: none have."""
    names = [name for name in first_rows.fields.values() if name in first_rows.stored][:_MOST_COLUMNS]
    stored, places = first_rows.stored, {name: place for place, name in first_rows.fields.items()}
    for link, known in known_by(first_rows, own, names):
        for one, other in combinations([name for name in names if name != link], 2):
            told = other_way = 0
            for place, row in known:
                if row.get(one) != row.get(other):
                    told += 1
                    other_way += stored[one][place] == row.get(other) and stored[other][place] == row.get(one)
            if told >= LEAST_LINKS and other_way >= KNOWN_FIT * told:
                both = places[one], places[other]
                return Suspicion(
                    kind="exchanged",
                    columns=(one, other),
                    fit=round(other_way / told, 4),
                    rows=told,
                    message=(
                        f"{one} and {other} look exchanged: {other_way:,} of {told:,} rows that the organisation has "
                        f"with the same {link} fit with them the other way round"
                    ),
                    columns_option=mapping_of(first_rows, Rearrangement((both, both[::-1]))),
                )
    return None


def own_sample(own: OwnRows) -> list[dict[str, Any]]:
    """The rows of the sample, field -> value."""
    names = tuple(own.columns)
    rows = zip(*own.columns.values(), strict=True)
    return own.once("rows", lambda: [dict(zip(names, row, strict=True)) for row in rows])
