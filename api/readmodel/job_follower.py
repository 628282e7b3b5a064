"""Follows the topics ``jobs``, ``lanes`` and ``job-events`` for the view.

``job-events`` keeps the history of every job there ever was, and the view needs that of the jobs it knows: so the
history is read from the time on at which the oldest of these was made. A start takes as long as there are jobs, and not
longer from year to year.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.readmodel.decoding import Decoder
from api.readmodel.follower import Follower, Later
from api.readmodel.job_index import JobSeen, Seen
from runtime.clock import now_ms
from runtime.settings import Settings


def job_follower(
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    deliver: Callable[[list[Seen]], None],
    caught_up: Callable[[], None],
) -> Follower[Seen]:
    """The follower; see Follower for its arguments."""
    return Follower(
        settings,
        loop,
        ("job-events", "jobs", "lanes"),
        lambda: Decoder(settings.prefix, now_ms()).seen,
        deliver,
        caught_up,
        later=Later("job-events", _needed_since),
    )


def _needed_since(seen: Seen) -> int | None:
    """The time at which the job was made."""
    return seen.job.created_at if isinstance(seen, JobSeen) and seen.job is not None else None
