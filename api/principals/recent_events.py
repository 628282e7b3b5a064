"""The newest security events, those of each group of organisations apart: none drives out another one's. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import merge
from itertools import islice
from typing import Final

from control.principals.rules import within
from schemas.policies.principals import Organisations
from schemas.policies.security import SecurityEvent

KEPT: Final = 1000
"""Newest events of the principals of the same organisations that a process keeps to show."""
KEPT_IN_ALL: Final = 10_000
"""Events of everyone that a process keeps. Beyond them those give way that have the most."""


class RecentEvents:
    """The newest events of each group of organisations, and those of callers whom nobody knows."""

    def __init__(self, kept: int = KEPT, kept_in_all: int = KEPT_IN_ALL) -> None:
        self._kept, self._kept_in_all = kept, kept_in_all
        self._of: dict[tuple[bool, Organisations], deque[tuple[int, SecurityEvent]]] = {}
        """Whether it is known who it was, and the principal's organisations -> offsets and events, oldest first."""
        self._count = 0
        self._position = -1

    def take(self, events: Iterable[tuple[int, SecurityEvent]]) -> None:
        """Take in events from the topic, each with its offset: one that comes again is known."""
        for offset, event in events:
            if offset <= self._position:
                continue
            self._position = offset
            whose = (event.by is not None, event.organisations)
            self._of.setdefault(whose, deque()).append((offset, event))
            self._count += 1
            if len(self._of[whose]) > self._kept:
                self._drop_oldest(whose)
            elif self._count > self._kept_in_all:
                self._drop_oldest(max(self._of, key=lambda one: len(self._of[one])))

    def newest(self, organisations: frozenset[str] | None, limit: int) -> list[SecurityEvent]:
        """The newest events that an admin of these organisations (None: of all) may see, newest first: those of
        principals within them."""
        seen = [
            events
            for (known, own), events in self._of.items()
            if organisations is None or (known and within(own, organisations))
        ]
        newest_first = merge(*map(reversed, seen), key=lambda placed: placed[0], reverse=True)
        return [event for _, event in islice(newest_first, limit)]

    def _drop_oldest(self, whose: tuple[bool, Organisations]) -> None:
        self._of[whose].popleft()
        self._count -= 1
        if not self._of[whose]:
            del self._of[whose]
