"""A column whose values belong to the rows some places away. Pure.

Three things tell where a value belongs: the organisation's own row of the same key, or of another value that few rows
share; a name in an email address and the like; and pairs of values that the own rows have together, such as a country
and the beginning of a phone number.
"""

from __future__ import annotations

from collections import Counter

from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.known_rows import links_to_known
from processor.suspicion.lags import Lags
from processor.suspicion.pairs import links_of_pairs
from processor.suspicion.words_within import links_of_words
from schemas.suspicion import Suspicion

LEAST_ROWS = 20
MOST_COLUMNS = 40


def shifted_rows(first_rows: FirstRows, own: OwnRows) -> Suspicion | None:
    """A column that is moved up or down against the others; None: there is none."""
    names = [name for name in first_rows.fields.values() if name in first_rows.stored][:MOST_COLUMNS]
    if len(first_rows.numbers) < LEAST_ROWS or len(names) < 2:
        return None
    for links in (links_to_known, links_of_words, links_of_pairs):
        edges = dict(links(first_rows, own, names))
        found = _moved(edges, first_rows)
        if found is not None:
            return found
    return None


def _moved(edges: dict[tuple[str, str], tuple[Lags, float]], first_rows: FirstRows) -> Suspicion | None:
    """The column that most of the shifted pairs have in common; of one pair alone, both."""
    shifts = {pair: lag for pair, (lags, expected) in edges.items() if (lag := lags.shift(expected)) is not None}
    if not shifts:
        return None
    kept = {pair for pair, (lags, expected) in edges.items() if lags.fitting >= 0.5 * expected}
    votes: Counter[tuple[str, int]] = Counter()
    for (one, other), lag in shifts.items():
        votes[other, lag] += 1
        votes[one, -lag] += 1
    for pair in kept:
        for name in pair:
            for key in [key for key in votes if key[0] == name]:
                votes[key] -= 1
    (name, lag), most = votes.most_common(1)[0]
    tied = [key for key, count in votes.items() if count == most]
    pair, lags = max(
        ((pair, edges[pair][0]) for pair, found in shifts.items() if name in pair and abs(found) == abs(lag)),
        key=lambda item: item[1].counts.most_common(1)[0][1],
    )
    if len(tied) > 1:
        emptied = [key for key in tied if _emptied(first_rows, *key)]
        if len(emptied) == 1:
            (name, lag), tied = emptied[0], emptied
    fitting, told = lags.counts.most_common(1)[0][1], lags.told
    rows = "1 row" if abs(lag) == 1 else f"{abs(lag)} rows"
    if len(tied) > 1:
        (one, other), lag = pair, shifts[pair]
        columns: tuple[str, ...] = (other, one)
        what = f"{other} looks moved {_way(lag)} by {rows} against {one}"
    else:
        columns, what = (name,), f"{name} looks moved {_way(lag)} by {rows}"
    return Suspicion(
        kind="shifted",
        columns=columns,
        by=lag,
        fit=round(min(1.0, fitting / max(1, told - abs(lag))), 4),
        rows=len(first_rows.numbers),
        message=(
            f"{what}: of {told:,} rows that can be told, {fitting:,} fit the values {rows} "
            f"{'below' if lag > 0 else 'above'} and {lags.counts[0]:,} their own"
        ),
    )


def _emptied(first_rows: FirstRows, name: str, lag: int) -> bool:
    """Whether the rows that the column was moved away from have nothing in it."""
    place = next(place for place, known in first_rows.fields.items() if known == name)
    rows = first_rows.rows[:lag] if lag > 0 else first_rows.rows[lag:]
    return bool(rows) and all(row[place] == "" for row in rows)


def _way(lag: int) -> str:
    return "down" if lag > 0 else "up"
