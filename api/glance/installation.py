"""The whole installation in numbers: its jobs from memory, and what Kafka, Elasticsearch and the disk say, lately."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.requests import Request

from api.glance.models import Installation, PausedJob, Stored
from api.jobs.reading.job_view import progress
from api.readmodel.event_loop import CachedValue, Lately, time_slices
from api.readmodel.group_members import Members
from api.web.auth import Caller
from api.web.services import Services, services_of
from runtime.clock import now_ms
from runtime.files.storage_threads import in_storage_thread
from runtime.text.formatting import iso_time
from schemas.job import PAUSES, Job, State

_MEMBERS_SECONDS: Final = 5.0
_STORED_SECONDS: Final = 60.0
_REACHED_SECONDS: Final = 2.0
_WAIT_SECONDS: Final = 0.3
"""A page waits this long for Kafka's and Elasticsearch's numbers before it is shown without them."""
_JOBS_A_TURN: Final = 250
_MOST_CALLERS: Final = 100


@dataclass(slots=True)
class Surroundings:
    """Numbers that the API gets from Kafka, Elasticsearch and the storage folder in the background."""

    members: Lately[Members]
    reached: Lately[tuple[bool, str]]
    """Whether Kafka answers, and how Elasticsearch is."""
    indices: Lately[int]
    files: Lately[int]
    counted: OrderedDict[frozenset[str] | None, CachedValue[Installation]] = field(default_factory=OrderedDict)
    """Organisations that a caller may see -> the numbers of their jobs."""


def surroundings(request: Request) -> Surroundings:
    """The surroundings of the app that serves this request."""
    state, services = request.app.state, services_of(request)
    if not hasattr(state, "surroundings"):
        state.surroundings = Surroundings(
            Lately(lambda: _members(services), _MEMBERS_SECONDS),
            Lately(lambda: _reached(services), _REACHED_SECONDS),
            Lately(lambda: _index_bytes(services), _STORED_SECONDS),
            Lately(lambda: in_storage_thread(_folder_bytes, services.settings.storage_root), _STORED_SECONDS),
        )
    found: Surroundings = state.surroundings
    return found


async def installation(services: Services, around: Surroundings, asking: Caller) -> Installation:
    """The numbers of the jobs that the caller may see, and those of the installation.

    They are counted once for all who see the same jobs and ask at the same time, as each open page asks each second.
    """
    known = around.counted
    if asking.organisations not in known:
        known[asking.organisations] = CachedValue(lambda: _installation(services, around, asking))
    known.move_to_end(asking.organisations)
    while len(known) > _MOST_CALLERS:
        known.popitem(last=False)
    return await known[asking.organisations].get()


async def _installation(services: Services, around: Surroundings, asking: Caller) -> Installation:
    now, view = now_ms(), services.view
    counts = dict.fromkeys(State, 0)
    applied = failed = rolled_back = 0
    rate, oldest = 0.0, None
    async with services.listing:
        async for some in time_slices(view.jobs.values(), _JOBS_A_TURN):
            for job in some:
                if not asking.may_see(job.organisation):
                    continue
                counts[job.state] += 1
                done = progress(job, view.lanes(job.id), view.rows_per_second(job.id, now))
                applied += done.rows_applied
                failed += done.rows_failed
                rolled_back += done.rows_rolled_back
                rate += done.rows_per_second or 0.0
                if job.state in PAUSES and (oldest is None or _since(job) < _since(oldest)):
                    oldest = job
    members, reached = await asyncio.gather(around.members.within(_WAIT_SECONDS), around.reached.within(_WAIT_SECONDS))
    return Installation(
        jobs=sum(counts.values()),
        states={str(state): counts[state] for state in State},
        rows_applied=applied,
        rows_failed=failed,
        rows_rolled_back=rolled_back,
        rows_per_second=round(rate, 1),
        partitions=members.partitions if members else None,
        workers=members.workers if members else None,
        readers=members.readers if members else None,
        oldest_paused=_paused(oldest) if oldest else None,
        stored=Stored(index_bytes=around.indices.get(), file_bytes=around.files.get()),
        out_of_reach=_out_of_reach(members, reached),
    )


def _since(job: Job) -> int:
    return job.state_since or job.created_at


def _paused(job: Job) -> PausedJob:
    return PausedJob(
        id=job.id, organisation=job.organisation, since=iso_time(_since(job)) or "", reason=job.reason, state=job.state
    )


async def _reached(services: Services) -> tuple[bool, str]:
    return await asyncio.gather(services.commands.answers(), services.elasticsearch_state.get())


def _out_of_reach(members: Members | None, reached: tuple[bool, str] | None) -> list[str]:
    """A sentence for each part that does not answer or does not run."""
    kafka, elasticsearch = reached or (True, "ok")
    found = [] if kafka else ["Kafka does not answer: no command can be given, and no row moves."]
    if elasticsearch != "ok":
        found.append(f"{elasticsearch}.")
    if kafka and members is not None:
        if not members.workers:
            found.append("No worker is there: commands and rows wait until one starts.")
        elif members.unowned:
            found.append(f"{members.unowned} of {members.partitions} partitions have no worker at the moment.")
        if not members.readers:
            found.append("No reader is there: files are not read until one starts.")
    return found


async def _members(services: Services) -> Members:
    if services.members is None:
        raise LookupError("Kafka is not asked for workers here")
    return await asyncio.to_thread(services.members.count)


async def _index_bytes(services: Services) -> int:
    """Bytes of every index of this installation."""
    return await services.documents.stored_bytes("sizes of indices are", f"{services.settings.prefix}-*")


def _folder_bytes(root: Path) -> int:
    """Bytes of the files below a folder; blocks."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:
                continue  # the file has been removed meanwhile
    return total
