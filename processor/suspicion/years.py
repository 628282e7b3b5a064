"""Dates of which the year is wrong, as the organisation's own rows and the time of its uploads show. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.known_rows import known_by
from schemas.descriptors.dates import moment
from schemas.suspicion import Suspicion

DATES = ("date", "datetime")
"""Types of fields."""
LEAST_ROWS = 8
INSIDE = 0.9
"""At least this share of the outlying dates must lie inside once the years are added."""
WHOLE = 0.8
"""At least this share of all dates must be outlying if they are off by fewer than `FAR_YEARS`; else `PART` is
enough."""
PART = 0.05
FAR_YEARS = 10
_SLACK = timedelta(days=31)
_NARROW = timedelta(days=330)

Span = tuple[datetime, datetime]


def wrong_years(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    """A column of dates that are whole years away from what is usual; None: there is none."""
    return _of_known_rows(first_rows, own) or _of_all(first_rows, own)


def _of_known_rows(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    """The same day of another year than the own row of the same key has, in nearly all rows."""
    names = [field.name for field in first_rows.dataset.fields if field.type in DATES]
    names = [name for name in names if name in first_rows.stored]
    for link, known in known_by(first_rows, own, list(first_rows.stored)) if names else ():
        for name in names:
            pairs = [(first_rows.stored[name][place], row.get(name)) for place, row in known if name != link]
            dates = [(moment(here), moment(there)) for here, there in pairs if here is not None and there is not None]
            away = Counter(here.year - there.year for here, there in dates if _is_same_day(here, there))
            if len(dates) < LEAST_ROWS or not away:
                continue
            (years, count), *_ = away.most_common(1)
            if years and count >= WHOLE * len(dates):
                when = f"{_years(years)} {'earlier' if years > 0 else 'later'}"
                return Suspicion(
                    kind="unusual",
                    columns=(name,),
                    by=years,
                    fit=round(count / len(dates), 4),
                    rows=len(dates),
                    message=(
                        f"{name} looks wrong by {_years(years)}: {count:,} of {len(dates):,} rows that the "
                        f"organisation has with the same {link} have the same day {when}"
                    ),
                )
    return None


def _is_same_day(here: datetime, there: datetime) -> bool:
    return here.month == there.month and (here.day == there.day or {here.day, there.day} == {28, 29})


def _years(count: int) -> str:
    return "1 year" if abs(count) == 1 else f"{abs(count):,} years"


def _of_all(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    for field in first_rows.dataset.fields:
        if field.type not in DATES or field.name not in first_rows.fields.values():
            continue
        dates = _dates(first_rows.stored.get(field.name, ()))
        before = own_dates(own, field.name)
        if len(dates) < LEAST_ROWS or len(before) < LEAST_ROWS:
            continue
        for span in _usual(first_rows, own, field.name, before):
            found = _away(dates, span)
            if found is not None:
                return _suspicion(field.name, dates, span, *found)
    return None


def own_dates(own: OwnRows, name: str) -> list[datetime]:
    """The dates of an own column."""
    return own.once(("dates", name), lambda: _dates(own.columns.get(name, ())))


def _usual(first_rows: FirstRows, own: OwnRows, name: str, before: Sequence[datetime]) -> Iterable[Span]:
    """The spans in which dates may lie: that of the own rows up to now, and where each upload was about its own time,
    the time around this one.
    """
    now = datetime.fromtimestamp(first_rows.at / 1000, UTC)
    low, high = _middle(before)
    slack = max(_SLACK, (high - low) / 10)
    yield _added(low, -slack), _added(max(high, now), slack)
    values = own.columns[name]
    lags = sorted(
        moment(value) - datetime.fromtimestamp(at / 1000, UTC)
        for value, at in zip(values, own.jobs_at, strict=False)
        if value is not None and at is not None
    )
    if len(lags) >= max(LEAST_ROWS, len(before) // 2):
        shortest, longest = lags[len(lags) // 100], lags[-1 - len(lags) // 100]
        if longest - shortest < _NARROW:
            slack = max(_SLACK, (longest - shortest) / 4)
            yield _added(now, shortest - slack), _added(now, longest + slack)


def _added(at: datetime, lag: timedelta) -> datetime:
    try:
        return at + lag
    except OverflowError:
        return at


def _middle(dates: Sequence[datetime]) -> Span:
    """The first and the last, without the odd one in a hundred."""
    ordered = sorted(dates)
    odd = len(ordered) // 100
    return ordered[odd], ordered[-1 - odd]


def _away(dates: Sequence[datetime], span: Span) -> tuple[int, int] | None:
    """How many years have to be added, and to how many of the dates; None: no number of years explains them."""
    low, high = span
    outside = [date for date in dates if not low <= date <= high]
    if len(outside) < max(LEAST_ROWS, PART * len(dates)):
        return None
    middle = low + (high - low) / 2
    tried: Counter[int] = Counter()
    for date, count in Counter(
        date.replace(day=1, hour=0, minute=0, second=0, microsecond=0) for date in outside
    ).items():
        years = middle.year - date.year
        tried.update({years + step: count for step in (-1, 0, 1)})
    best: tuple[int, int] | None = None
    for years, _ in tried.most_common(12):
        inside = sum(low <= later <= high for date in outside if (later := _moved(date, years)) is not None)
        if years and (best is None or (inside, -abs(years)) > (best[1], -abs(best[0]))):
            best = (years, inside)
    if best is None or best[1] < INSIDE * len(outside):
        return None
    if abs(best[0]) < FAR_YEARS and len(outside) < WHOLE * len(dates):
        return None
    return best


def _moved(date: datetime, years: int) -> datetime | None:
    try:
        return date.replace(year=date.year + years, day=min(date.day, 28))
    except ValueError:
        return None


def _dates(values: Iterable[Any]) -> list[datetime]:
    found = []
    for value in values:
        if isinstance(value, str):
            try:
                found.append(moment(value))
            except ValueError:
                continue
    return found


def _suspicion(name: str, dates: Sequence[datetime], span: Span, years: int, fitting: int) -> Suspicion:
    count = _years(years)
    when = "later" if years > 0 else "earlier"
    low, high = (day.date().isoformat() for day in span)
    return Suspicion(
        kind="unusual",
        columns=(name,),
        by=-years,
        fit=round(fitting / len(dates), 4),
        rows=len(dates),
        message=(
            f"{name} looks wrong by {count}: {fitting:,} of {len(dates):,} dates lie outside {low} to {high}, where "
            f"those of the organisation's own rows lie, and would lie inside {count} {when}"
        ),
    )
