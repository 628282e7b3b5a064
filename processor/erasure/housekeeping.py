"""Removing what is kept no longer: of jobs that are over, each store after its retention; and what jobs have left that
are not in the control table any more. The owner of partition 0 does it, so one process at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, Literal

from control.creation.quotas import stored_files
from control.jobtable import JobTable
from processor.elastic.bulk import Gate
from processor.elastic.orphans import delete_orphans
from processor.erasure.base import Store
from processor.erasure.documents import Documents
from processor.erasure.expiry import Expiry
from processor.erasure.files import CORRECTED
from processor.erasure.topics import DeadLetters
from processor.errors import CannotGoOnError, FencedError
from runtime.clock import Clock
from runtime.files.sealing import JobKeys
from runtime.files.storage import Storage, StorageError
from runtime.files.storage_threads import in_storage_thread
from runtime.telemetry.log_events import as_event
from schemas.ids import JOB_ID
from schemas.job import Job
from schemas.messages.commands import StoresEmptied
from schemas.policies.retention import EXPIRING, RetentionBook, StoreName
from schemas.topics import DAY_MS, ROWS_DAYS

log = logging.getLogger(__name__)

Report = Callable[[StoresEmptied], Awaitable[None]]
LEAST_ORPHAN_DAYS: Final = 1.0
"""A file that no job is known for may be one of a request under way, or of a command that is not carried out yet."""
JOBS_AT_ONCE: Final = 1000
"""Jobs that are looked at in one turn of the event loop: the table may have a hundred thousand of them."""
REWRITE_SECONDS: Final = 86_400.0
"""Between two times that an index's files, or the topic of dead letters, are written anew for what has expired: this
costs all that they hold, and something expires every hour."""
_KEY_DAYS: Final = ROWS_DAYS + 1.0
"""Longer than Kafka keeps blocks: then the key opens nothing any more."""


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """Empties the stores of a worker: of ended jobs, and of jobs that the control table has no more."""

    jobs: JobTable
    stores: Sequence[Store]
    retentions: RetentionBook
    storage: Storage
    root: Path
    keys: JobKeys
    clock: Clock
    report: Report
    _rewritten_at: dict[StoreName, float] = field(default_factory=dict)
    """When a store was written anew last, by the monotonic clock."""
    _to_expunge: set[StoreName] = field(default_factory=set)
    """Stores of which something has been removed since."""
    _walking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a step walks through the table: several at once would leave the rest of the worker fewer turns."""

    def steps(self) -> dict[str, Callable[[Gate], Awaitable[None]]]:
        """What removes something that is due, by its name. Each is done by itself: a store that does not answer holds
        up no other. An error leaves it for the next time. Each raises FencedError."""
        steps: dict[str, Callable[[Gate], Awaitable[None]]] = {
            store.name: partial(self._empty, store) for store in self.stores if store.name in EXPIRING
        }
        orphans: dict[str, Callable[[Gate], Awaitable[None]]] = {
            "files": self._remove_orphaned_files,
            "keys": partial(self._remove_all, self._old_keys),
            "parts": partial(self._remove_orphaned_exports, "parts"),
            "results": partial(self._remove_orphaned_exports, "results"),
        }
        for name, remove in orphans.items():
            what = f"{name} of jobs that are gone"
            steps[what] = partial(self._tried, what, remove)
        return steps

    async def _empty(self, store: Store, gate: Gate) -> None:
        await self._tried(store.name, partial(self._expire, store), gate)
        if isinstance(store, Documents):
            await self._tried(f"{store.name} of jobs that are gone", partial(self._delete_orphans, store), gate)

    async def _tried(self, what: str, remove: Callable[[Gate], Awaitable[None]], gate: Gate) -> None:
        try:
            await remove(gate)
        except FencedError:
            raise
        except (CannotGoOnError, StorageError, OSError) as error:
            log.warning("%s can't be removed now: %s", what, error, extra=as_event("store.trouble"))
        except Exception:
            text = "%s can't be removed now: an unexpected error; the next look is in its turn"
            log.exception(text, what, extra=as_event("store.trouble"))

    async def _expire(self, store: Store, gate: Gate) -> None:
        due = await self._due(store)
        error: Exception | None = None
        if isinstance(store, DeadLetters):
            due = await self._remove_letters(store, due, gate)
        else:
            due, error = await self._remove_each(store, due, gate)
        for job in due:
            gate()
            await self.report(StoresEmptied(job_id=job.id, epoch=job.epoch, stores=[store.name]))
        if due:
            text = "%s of %d jobs are removed, since their retention is over"
            log.info(text, store.name, len(due), extra=as_event("store.emptied"))
        if isinstance(store, Documents):
            if due:
                self._to_expunge.add(store.name)
            await self._expunge(store, gate)
        if error is not None:
            raise error

    async def _remove_each(self, store: Store, due: Sequence[Job], gate: Gate) -> tuple[list[Job], Exception | None]:
        """Remove what a store has of each job; the jobs of which it has nothing any more, and the first error. An error
        leaves that job for the next time. Raises FencedError."""
        removed: list[Job] = []
        first: Exception | None = None
        for job in due:
            try:
                await store.remove([job], gate)
                removed.append(job)
            except FencedError:
                raise
            except Exception as error:
                first = first or error
        return removed, first

    async def _remove_letters(self, store: DeadLetters, due: Sequence[Job], gate: Gate) -> list[Job]:
        """Remove the old ones by their age, and write the topic anew, at most once a day, for datasets that keep theirs
        for less time than others; the jobs of `due` that have none any more.
        """
        await store.remove_old(gate)
        book = self.retentions
        sooner = [job for job in due if book.days(store.name, job.dataset) < book.longest(store.name)]
        if not sooner:
            return list(due)
        if self._may_rewrite(store.name):
            await store.remove(sooner, gate)
            return list(due)
        return [job for job in due if job not in sooner]

    async def _expunge(self, store: Documents, gate: Gate) -> None:
        """Expunge what has been removed since the last time."""
        if store.name in self._to_expunge and self._may_rewrite(store.name):
            await store.expunge(gate)
            self._to_expunge.discard(store.name)

    def _may_rewrite(self, store: StoreName) -> bool:
        """Whether `REWRITE_SECONDS` have passed since the last time that this was true."""
        now = self.clock.monotonic()
        if now - self._rewritten_at.get(store, -inf) < REWRITE_SECONDS:
            return False
        self._rewritten_at[store] = now
        return True

    async def _due(self, store: Store) -> list[Job]:
        """The jobs of which a store has something that is kept no longer, and that no other job needs."""
        over: list[Job] = []
        expiry = self._expiry
        needed: set[str] = set()
        async with self._walking:
            async for job in self._each_job():
                if not expiry.has_passed(store.name, job):
                    needed.update(path for path, _ in stored_files(job))
                elif job.lacks(store.name) is None and store.has(job):
                    over.append(job)
        # What has come or begun again meanwhile is not over.
        needed.update(path for job in self.jobs.not_ended() for path, _ in stored_files(job))
        over = [job for job in over if self.jobs.is_newest(job)]
        if store.name not in ("uploaded_files", "corrected_files"):
            return over
        return [job for job in over if needed.isdisjoint(path for path, _ in stored_files(job))]

    async def _each_job(self) -> AsyncIterator[Job]:
        """Every job of the table, for one walk through it; what else the worker does has its turn in between."""
        for number, job in enumerate(self.jobs):
            if number % JOBS_AT_ONCE == 0:
                await asyncio.sleep(0)
            yield job

    async def _remove_orphaned_files(self, gate: Gate) -> None:
        async with self._walking:
            needed = {path async for job in self._each_job() for path, _ in stored_files(job)}
        await self._remove_all(lambda: self._old_files(needed), gate)

    async def _remove_all(self, found: Callable[[], Iterator[Path]], gate: Gate) -> None:
        for path in await in_storage_thread(lambda: list(found())):
            gate()
            await in_storage_thread(_unlink, path)

    def _old_files(self, needed: Collection[str]) -> Iterator[Path]:
        """Old files of jobs that are gone; another one, a dry run's real job, may still need such a file."""
        for folder in (self.root / "sources").glob("*"):
            if not self._is_gone(folder.name) or folder.is_symlink():
                continue
            for path in folder.iterdir():
                store: StoreName = "corrected_files" if path.name.startswith(CORRECTED) else "uploaded_files"
                old = path.is_file() and self._older(store, path.lstat().st_mtime)
                if old and path.relative_to(self.root).as_posix() not in needed:
                    yield path

    def _old_keys(self) -> Iterator[Path]:
        for job_id in self.keys.jobs():
            path = self.root / "keys" / job_id
            if self._is_gone(job_id) and self._older_than(_KEY_DAYS, path.lstat().st_mtime):
                yield path

    async def _remove_orphaned_exports(self, name: Literal["parts", "results"], gate: Gate) -> None:
        for path, modified in await self.storage.dated(f"{name}/"):
            job_id = path.split("/")[1].removesuffix(".csv")
            if self._is_gone(job_id) and self._older(name, modified):
                gate()
                await self.storage.remove([path])

    async def _delete_orphans(self, store: Documents, gate: Gate) -> None:
        """Previews go with their job; row errors stay for as long as those of any dataset do."""
        oldest = self._expiry.oldest(store.name)
        if oldest is not None:
            before = oldest if store.name == "row_errors" else None
            await delete_orphans(store.sink, store.index, self.jobs, gate, before)

    @property
    def _expiry(self) -> Expiry:
        return Expiry(self.retentions, self.clock.now_ms)

    def _is_gone(self, job_id: str) -> bool:
        return JOB_ID.match(job_id) is not None and job_id not in self.jobs

    def _older(self, store: StoreName, modified: float) -> bool:
        return self._older_than(max(self.retentions.longest(store), LEAST_ORPHAN_DAYS), modified)

    def _older_than(self, days: float, modified: float) -> bool:
        return self.clock.now_ms() - modified * 1000 > days * DAY_MS


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError:
        return  # the folder has another file
