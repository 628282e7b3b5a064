"""Refreshes of an index while a rollback is under way.

The count at its end needs a refresh, which writes out what has been changed since the last one: a second for 100,000
documents, in which nothing else is left to do. Most of it is done before, beside the rollback's own work.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from processor.errors import FencedError
from processor.operations.modes.found import Documents
from processor.operations.work import Work
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

ROWS: Final = 20_000
"""Rows that rollbacks give back in an index before it is refreshed."""


class EarlyRefreshes:
    """Refreshes an index during a rollback, after every `ROWS` documents that rollbacks have changed."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._rows: dict[str, int] = {}
        """Index -> rows given back in it since the last refresh from here."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Index -> the refresh that is under way."""

    def given_back(self, work: Work, rows: int) -> None:
        """Note that a rollback has changed `rows` documents. May begin a refresh, and does not wait for it."""
        index = work.data_index
        count = self._rows.get(index, 0) + rows
        if count >= ROWS and index not in self._tasks:
            count = 0
            task = self._tasks[index] = asyncio.create_task(self._refresh(work, index))
            task.add_done_callback(lambda _: self._tasks.pop(index))
        self._rows[index] = count

    async def _refresh(self, work: Work, index: str) -> None:
        try:
            await self._documents.refresh(work, index, little=True)
        except FencedError:
            return
        except Exception as error:  # nothing is lost: the count at the end asks again, and fails the job if it has to
            log.warning("%s can't be refreshed: %s", index, error, extra=as_event("elasticsearch.trouble"))
