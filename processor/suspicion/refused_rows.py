"""A file whose rows its dataset refuses: would they be good with columns exchanged, or moved by some places? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from processor.suspicion.first_rows import FirstRows, OwnRows, good_texts
from processor.suspicion.mapping import mapping_of
from processor.suspicion.profiles import Profiles, text_of
from processor.suspicion.rearrangements import MOST_PLACES, Rearrangement, exchanges, moved_words, moves
from schemas.suspicion import MOST_NAMED, Suspicion

LEAST_ROWS = 3
REFUSED = 0.5
"""A file is looked at only if at least this share of its rows is refused."""
FIT = 0.95
"""At least this share of the rows must be good once the columns are put right."""
_MOST_FOUND = 200
_NEARLY = 0.01
_LOOKED_AT = 50
_TELLING = 2.0
"""A smaller gain than this for each row, in logarithms of likelihoods, tells nothing."""
_WIDE = 60
"""In files with more columns only those near refused columns are tried."""


def refused_rows(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    """The accident that explains why most rows are refused; None: they are not, or none explains it."""
    return _rearranged(first_rows, own) or _moved_in_rows(first_rows)


def _rearranged(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    rows, fields = len(first_rows.rows), first_rows.fields
    if rows < LEAST_ROWS or rows < len(first_rows.misfits):
        return None
    if len(first_rows.numbers) > (1 - REFUSED) * rows:
        return None  # known without a look at each column
    everything = (1 << rows) - 1
    good = {place: first_rows.good(place, name) for place, name in fields.items()}
    bad = {place: rows - bits.bit_count() for place, bits in good.items() if bits != everything}
    if _all(good.values(), everything).bit_count() > (1 - REFUSED) * rows:
        return None
    odd = {place for place, count in bad.items() if count > (1 - FIT) * rows}
    places = list(range(len(first_rows.columns)))
    if len(places) > _WIDE and odd:
        places = [
            place for place in places if min(odd) - MOST_PLACES <= place <= max(odd) + MOST_PLACES or place in odd
        ]
    still = _all((bits for place, bits in good.items() if place not in odd), everything)
    found: list[tuple[float, Rearrangement]] = []
    for tried in chain(exchanges(places) if len(odd) <= 2 else (), moves(places, odd)):
        if not odd.issubset(tried.places):
            continue  # a column stays that the checks refuse
        fit = _fit(first_rows, tried, still, everything) / rows
        if fit >= FIT:
            found.append((fit, tried))
        if len(found) >= _MOST_FOUND:
            break
    if not found:
        return None
    most = max(fit for fit, _ in found)
    likely = _likeness(first_rows, own)

    def rank(one: tuple[float, Rearrangement]) -> tuple[bool, float, bool, int]:
        """A column with hardly any checks takes the values of any other: what the own rows are like tells which it is.
        Without them a pair is more likely than a run, and a run more likely than a part of it.
        """
        return one[0] > most - _NEARLY, likely(one[1]), not one[1].by, len(one[1].moved)

    return _found(first_rows, *max(found, key=rank))


def _likeness(first_rows: FirstRows, own: OwnRows) -> Callable[[Rearrangement], int]:
    """How much more like the own rows the file is with its columns put back; nought where there are no own rows."""
    if not own.rows:
        return lambda _: 0
    names = [name for name in first_rows.fields.values() if name in own.columns]
    profiles = Profiles({name: list(map(text_of, own.columns[name])) for name in names})
    rows = first_rows.rows[:: max(1, len(first_rows.rows) // _LOOKED_AT)]

    @cache
    def like(place: int, name: str) -> float:
        return sum(profiles.likelihood(row[place], name) for row in rows) if name in names else 0.0

    def likely(found: Rearrangement) -> int:
        moved = ((place, first_rows.fields[meant]) for place, meant in found.moved if meant in first_rows.fields)
        before = ((place, first_rows.fields[place]) for place in found.places if place in first_rows.fields)
        more = sum(like(*pair) for pair in moved) - sum(like(*pair) for pair in before)
        return round(more / len(rows) / _TELLING)

    return likely


def _fit(first_rows: FirstRows, tried: Rearrangement, still: int, everything: int) -> int:
    """How many rows would be good."""
    bits = still
    fields = first_rows.fields
    for place, meant in tried.moved:
        if meant in fields:
            bits &= first_rows.good(place, fields[meant])
            if bits.bit_count() < FIT * everything.bit_count():
                return 0
    return bits.bit_count()


def _all(several: Iterable[int], everything: int) -> int:
    """The rows that are good in each of several columns."""
    for one in several:
        everything &= one
    return everything


def _found(first_rows: FirstRows, fit: float, found: Rearrangement) -> Suspicion:
    rows = len(first_rows.rows)
    named = [first_rows.fields.get(place, "a column that is passed over") for place in found.places]
    fitting = f"{round(fit * rows):,} of {rows:,} rows fit"
    if not found.by:
        message = f"{named[0]} and {named[1]} look exchanged: {fitting} with them the other way round"
    else:
        message = f"{moved_words(named, found.by)}: {fitting} with them moved back"
    return Suspicion(
        kind="shifted" if found.by else "exchanged",
        columns=tuple(name for place in found.places if (name := first_rows.fields.get(place)))[:MOST_NAMED],
        by=found.by,
        fit=round(fit, 4),
        rows=rows,
        message=message,
        columns_option=mapping_of(first_rows, found),
        refused=True,
    )


@dataclass(frozen=True, slots=True)
class _Gap:
    """Where rows have values too many or too few."""

    place: int
    by: int


def _moved_in_rows(first_rows: FirstRows) -> Suspicion | None:
    """Rows that have one to three values more, or fewer, than there are columns."""
    rows = len(first_rows.misfits)
    if rows < LEAST_ROWS or rows < REFUSED * (rows + len(first_rows.rows)):
        return None
    wanted = len(first_rows.columns)
    (by, count), *_ = Counter(len(row) - wanted for row in first_rows.misfits).most_common(1)
    if not 0 < abs(by) <= MOST_PLACES or count < FIT * rows or wanted > _WIDE:
        return None
    table = list(zip(*(row for row in first_rows.misfits if len(row) == wanted + by), strict=True))
    fits = {place: _fit_with_gap(first_rows, table, _Gap(place, by)) for place in range(wanted + 1 - max(0, -by))}
    place = max(fits, key=lambda one: (fits[one], one))
    fit = fits[place] / count
    if fit < FIT:
        return None
    named = tuple(name for at, name in first_rows.fields.items() if at >= place)
    where = f"in front of {named[0]}" if named else "at the end"
    values = "1 value" if abs(by) == 1 else f"{abs(by)} values"
    told = "more" if by > 0 else "less"
    without = (
        f"without the {values} {where}" if by > 0 else f"if {values} {where} {'is' if by == -1 else 'are'} missing"
    )
    message = (
        f"the rows have {values} {told} than the header has columns: {fits[place]:,} of {count:,} rows fit {without}; "
        f"correct the header or the rows"
    )
    return Suspicion(
        kind="shifted",
        columns=named[:MOST_NAMED],
        by=by,
        fit=round(fit, 4),
        rows=count,
        message=message,
        refused=True,
    )


def _fit_with_gap(first_rows: FirstRows, table: Sequence[Sequence[str]], gap: _Gap) -> int:
    bits = (1 << len(table[0])) - 1
    for place, name in first_rows.fields.items():
        missing = gap.by < 0 and gap.place <= place < gap.place - gap.by
        if missing:
            continue
        at = place if place < gap.place else place + gap.by
        bits &= good_texts(first_rows.checks[name], table[at])
    return bits.bit_count()
