"""What a decision may know beyond the job itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from control.creation.admission import Catalog
from control.creation.same_file import Find
from schemas.job import Job


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision may know beyond the job itself."""

    offset: int
    """The command's offset."""
    at: int
    """The command record's timestamp, milliseconds since 1970."""
    partitions: int
    """Partitions of the rows topic now; a new job keeps this number."""
    catalog: Catalog
    holder: Callable[[str], Job | None]
    """The job that holds an exclusive key now; None: it is free."""
    find: Callable[[str], Job | None] = field(default=lambda _: None)
    """Another job, by its id."""
    applied_before: Find = field(default=lambda _: None)
    """The job that has applied the file of another one, or is applying it."""
    jobs_of: Callable[[str], Iterable[Job]] = field(default=lambda _: ())
    """Every job of an organisation that the control table has."""
    not_ended: Callable[[], Iterable[Job]] = field(default=lambda: ())
    """Every job that has not ended."""
    busy_or_queued: Callable[[], Iterable[Job]] = field(default=lambda: ())
    """Every job that is at work, or waits for its turn."""
