"""Times of the day on the command line, on the days around which clocks are put forward and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from commandline.arguments import when

ZONES = {
    "central Europe": ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-28", "2026-10-24"),
    "New York": ("EST5EDT,M3.2.0,M11.1.0", "2026-03-07", "2026-10-31"),
    "half an hour": ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-04-04", "2026-10-03"),
}
"""A zone as POSIX writes it, and the days before its clocks change."""
CLOCKS = ("0:00", "00:30", "6:00", "06:00", "9:00:00", "09:00:01", "12:34", "23:59:59")
"""None of them is between one and four at night, when clocks change."""


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def use(posix: str) -> None:
        monkeypatch.setenv("TZ", posix)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_time_of_the_day_is_what_the_clock_shows_then(zone: Callable[[str], None], name: str, clock: str) -> None:
    posix, *days = ZONES[name]
    zone(posix)
    offsets = set()
    begins = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days]
    for now in (begin + timedelta(minutes=20 * step) for begin in begins for step in range(3 * 72)):
        here = now.astimezone()
        at = datetime.fromisoformat(when(clock, lambda now=now: now) or "").astimezone()  # type: ignore[misc]
        hours, minutes, seconds = (int(part) for part in f"{clock}:00".split(":")[:3])
        asked = here.replace(hour=hours, minute=minutes, second=seconds, tzinfo=None)
        asked += timedelta(days=asked <= here.replace(tzinfo=None))
        assert at.replace(tzinfo=None) == asked, here
        assert timedelta(0) < at - now <= timedelta(hours=25)
        offsets.add(at.utcoffset())
    assert len(offsets) == 2, "the clocks did change"
