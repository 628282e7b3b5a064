"""Values that the organisation's own rows have together: a country and the beginning of a phone number, say. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.known_rows import Links
from processor.suspicion.lags import MOST_ROWS, Lags
from processor.suspicion.profiles import text_of

MOST_VALUES = 64
"""A column of more values than that, in the own rows, is no column of choices."""
LEAST_TOLD = 0.7
"""In nats, what one value must tell of the other in the own rows, at least."""
LEAST_OWN = 100
_LOST = 0.25
"""A file whose rows keep more than this share of that is not looked at further."""
_PRIOR = 0.5
_LEAST_SEEN = 3

Part = Callable[[Any], str]


def _whole(value: Any) -> str:
    return text_of(value)


def _beginning(value: Any) -> str:
    return text_of(value)[:3]


def _ending(value: Any) -> str:
    return text_of(value).rpartition(".")[2][-4:]


@dataclass(frozen=True, slots=True)
class _Together:
    """How much more often some rows have two parts together than they would by chance."""

    both: Counter[tuple[Any, str]]
    choices: Counter[Any]
    parts: Counter[str]
    rows: int

    @classmethod
    def of(cls, choices: Sequence[Any], parts: Sequence[str]) -> _Together:
        """What these rows show."""
        return cls(Counter(zip(choices, parts, strict=True)), Counter(choices), Counter(parts), len(choices))

    def gain(self, choice: Any, part: str) -> float:
        """The logarithm of how much likelier the part is with this choice; 0 where one of them is new."""
        chosen, had = self.choices[choice], self.parts[part]
        if chosen < _LEAST_SEEN or had < _LEAST_SEEN:
            return 0.0
        by_chance = had / self.rows
        return math.log((self.both[choice, part] + _PRIOR * by_chance) / (chosen + _PRIOR) / by_chance)


def _told(choices: Sequence[Any], parts: Sequence[str]) -> float:
    """What a choice tells of the part, on average: half of the rows judge the other half, since what came together once
    alone would look like a rule."""
    learnt = _Together.of(choices[::2], parts[::2])
    rest = list(zip(choices[1::2], parts[1::2], strict=True))
    return sum(learnt.gain(*pair) for pair in rest) / max(1, len(rest))


Telling = Mapping[tuple[str, str], tuple[float, Part, _Together]]
"""(column of choices, another) -> how much a choice tells of which part of the other, and what they have together."""


def telling_pairs(own: OwnRows, names: Sequence[str]) -> Telling:
    """The pairs of the own columns of which the one tells of the other."""
    return own.once(("pairs", frozenset(names)), lambda: _found_telling(own, sorted(names)))


def _found_telling(own: OwnRows, names: Sequence[str]) -> Telling:
    if own.rows < LEAST_OWN:
        return {}
    found: dict[tuple[str, str], tuple[float, Part, _Together]] = {}
    names = [name for name in names if name in own.columns]
    choices = [name for name in names if 2 <= len(set(own.columns[name])) <= MOST_VALUES]
    for one, other in permutations(names, 2):
        if one not in choices or (other in choices and one > other):
            continue
        told, part = _telling(own, one, other, other in choices)
        if told >= LEAST_TOLD:
            parts = list(map(part, own.columns[other]))
            found[one, other] = told, part, _Together.of(own.columns[one], parts)
    return found


def links_of_pairs(first_rows: FirstRows, own: OwnRows, names: Sequence[str]) -> Links:
    """(column of choices, another) -> at which distance the other one has what goes together with the choice."""
    stored = first_rows.stored
    for (one, other), (told, part, together) in telling_pairs(own, names).items():
        parts = list(map(part, stored[other]))
        means = {0: _mean(together, stored[one], parts, 0)}
        if means[0] <= _LOST * told:
            means = {lag: _mean(together, stored[one], parts, lag) for lag in range(-MOST_ROWS, MOST_ROWS + 1)}
        yield (one, other), (_as_lags(told, means, len(parts)), 1.0)


def _telling(own: OwnRows, one: str, other: str, chosen: bool) -> tuple[float, Part]:
    """The part of the other column's values of which a choice tells most, and how much that is."""
    parts: tuple[Part, ...] = (_whole,) if chosen else (_beginning, _ending)
    return max(
        ((_told(own.columns[one], list(map(part, own.columns[other]))), part) for part in parts),
        key=lambda item: item[0],
    )


def _mean(together: _Together, choices: Sequence[Any], parts: Sequence[str], lag: int) -> float:
    rows = range(max(0, -lag), min(len(parts), len(parts) - lag))
    return sum(together.gain(choices[row], parts[row + lag]) for row in rows) / max(1, len(rows))


def _as_lags(told: float, means: dict[int, float], rows: int) -> Lags:
    """Means as counts of rows: a row that fits as the own ones do counts as one."""
    lags = Lags(told=rows)
    for lag, mean in means.items():
        lags.counts[lag] = round(rows * max(0.0, min(1.0, mean / told)))
    return lags
