"""A set of whole numbers as sorted, disjoint intervals: small however many there are, as long as they are dense."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class IntervalSet:
    """Numbers from 0 on. Adding, removing and looking up cost a binary search over the intervals."""

    __slots__ = ("_count", "_firsts", "_lasts")

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        """`intervals`: sorted, disjoint (first, last), both ends included."""
        pairs = list(intervals)
        self._firsts = [first for first, _ in pairs]
        self._lasts = [last for _, last in pairs]
        self._count = sum(last - first + 1 for first, last in pairs)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __iter__(self) -> Iterator[int]:
        for first, last in self.intervals():
            yield from range(first, last + 1)

    def intervals(self) -> list[tuple[int, int]]:
        """The intervals in order, (first, last), both ends included."""
        return list(zip(self._firsts, self._lasts, strict=True))

    @property
    def extents(self) -> int:
        """How many intervals it takes."""
        return len(self._firsts)

    @property
    def last(self) -> int | None:
        """The highest number; None: it is empty."""
        return self._lasts[-1] if self._lasts else None

    def first_missing(self, start: int) -> int:
        """The lowest number from `start` on that is not in it."""
        at = bisect_right(self._firsts, start) - 1
        return self._lasts[at] + 1 if at >= 0 and start <= self._lasts[at] else start

    def add(self, number: int) -> bool:
        """Put a number in; False: it was there."""
        at = bisect_right(self._firsts, number) - 1
        if at >= 0 and number <= self._lasts[at]:
            return False
        joins_left = at >= 0 and self._lasts[at] == number - 1
        joins_right = at + 1 < len(self._firsts) and self._firsts[at + 1] == number + 1
        if joins_left and joins_right:
            self._lasts[at] = self._lasts.pop(at + 1)
            self._firsts.pop(at + 1)
        elif joins_left:
            self._lasts[at] = number
        elif joins_right:
            self._firsts[at + 1] = number
        else:
            self._firsts.insert(at + 1, number)
            self._lasts.insert(at + 1, number)
        self._count += 1
        return True

    def append(self, first: int, last: int) -> bool:
        """Put in the numbers from `first` to `last`; False, and none is in: some are not above all that are there."""
        if self._lasts and first <= self._lasts[-1]:
            return False
        if self._lasts and first == self._lasts[-1] + 1:
            self._lasts[-1] = last
        else:
            self._firsts.append(first)
            self._lasts.append(last)
        self._count += last - first + 1
        return True

    def discard(self, number: int) -> bool:
        """Take a number out; False: it was not there."""
        at = bisect_right(self._firsts, number) - 1
        if at < 0 or number > self._lasts[at]:
            return False
        first, last = self._firsts[at], self._lasts[at]
        if first == last:
            self._firsts.pop(at)
            self._lasts.pop(at)
        elif number == first:
            self._firsts[at] = number + 1
        elif number == last:
            self._lasts[at] = number - 1
        else:
            self._lasts[at] = number - 1
            self._firsts.insert(at + 1, number + 1)
            self._lasts.insert(at + 1, last)
        self._count -= 1
        return True

    def clear(self) -> None:
        """Take everything out."""
        self._firsts.clear()
        self._lasts.clear()
        self._count = 0


def merged(intervals: Iterable[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Neighbouring intervals joined where at most `gap` numbers lie between them."""
    joined: list[tuple[int, int]] = []
    for first, last in intervals:
        if joined and first - joined[-1][1] - 1 <= gap:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
