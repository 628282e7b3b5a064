"""Which plans a reader works on at once: organisations share its slots, as they share turns. Pure.

A slot is a plan in progress, and its part of the reader's memory. Of those that wait an organisation's plan begins that
has the fewest slots for its weight. A plan is stopped for another organisation's

- if that one has no slot, and its own organisation has more than one;
- if its own organisation has more slots for its weight, and not fewer after the exchange: so there is none back;
- if each organisation has one slot at most, once the plan has had its time (decision 0097).

Of the plans of an organisation one is stopped that has published something in its slot: another one would begin anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Held(NamedTuple):
    """A slot that a plan has."""

    organisation: str
    expired: bool
    """Whether the plan has had its time: where organisations are more than slots they take turns."""
    advanced: bool
    """Whether Kafka has a block that the plan has published in this slot."""


class Slots:
    """The slots of one reader. Plans are given as their organisations."""

    def __init__(self, most: int, weight_of: Callable[[str], float]) -> None:
        """`most`: how many slots there are. `weight_of(organisation)`: one of weight 3 may have three times as many."""
        self.most = most
        self._weight_of = weight_of
        self._served: dict[str, int] = {}
        """Organisation -> the number of the last beginning or end of a plan of it."""
        self._number = 0

    def next(self, waiting: Sequence[str], held: Sequence[Held]) -> int | None:
        """The place in `waiting`, which is in the order of arrival, of the plan that begins now; None: no slot is free,
        or no plan waits."""
        if not waiting or len(held) >= self.most:
            return None
        return waiting.index(self._poorest(waiting, _counts(held)))

    def to_stop(self, waiting: Sequence[str], held: Sequence[Held]) -> int | None:
        """The place in `held`, which is in the order of beginning, of the plan that is to leave its slot to one of
        `waiting`; None: none is."""
        if not waiting or len(held) < self.most:
            return None
        counts = _counts(held)
        taker = self._poorest(waiting, counts)
        several = [name for name in counts if counts[name] > 1 and name != taker]
        richest = max(several, key=lambda name: self._share(name, counts[name]), default=None)
        if richest is not None:
            enough = self._share(richest, counts[richest] - 1)
            if not counts[taker] or self._share(taker, counts[taker] + 1) <= enough:
                return _cheapest([(place, one) for place, one in enumerate(held) if one.organisation == richest])
        elif not counts[taker]:
            return next((place for place, one in enumerate(held) if one.expired), None)
        return None

    def served(self, organisation: str) -> None:
        """Note that a plan of this organisation has begun, or has left its slot."""
        self._number += 1
        self._served[organisation] = self._number

    def _poorest(self, waiting: Sequence[str], counts: Counter[str]) -> str:
        # Of those that have the same share the one goes first whose last turn is the longest ago.
        return min(waiting, key=lambda name: (self._share(name, counts[name]), self._served.get(name, 0)))

    def _share(self, organisation: str, slots: int) -> float:
        return slots / self._weight_of(organisation)


def _cheapest(plans: Sequence[tuple[int, Held]]) -> int:
    """The place of the plan, of those of an organisation, that loses least if it is stopped."""
    # The one that began last: those before it come to their ends, and free more than it would. One that has published
    # nothing does its work again, so one goes that has. If none has, one that has had its time, and gets longer next
    # time: the last would be the same one again and again, as long as those before it publish nothing.
    advanced = [place for place, one in plans if one.advanced]
    if advanced:
        return advanced[-1]
    return next((place for place, one in plans if one.expired), plans[-1][0])


def _counts(held: Sequence[Held]) -> Counter[str]:
    return Counter(one.organisation for one in held)
