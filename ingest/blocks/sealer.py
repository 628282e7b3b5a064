"""Blocks as messages: those with rows are sealed with the key of their job, if all that work on it can open them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingest.errors import SourceError
from runtime.files.sealing import JobKeys, KeyAwayError, SealError, seal
from schemas.job import Job
from schemas.messages.blocks import Block, RowBlock
from schemas.messages.codec import encode
from schemas.messages.plans import Plan, ReadFile


@dataclass(frozen=True, slots=True)
class BlockSealer:
    """A reader's."""

    keys: JobKeys
    job: Callable[[str], Job | None]

    def prepare(self, job: Job, plan: Plan, blocks: int) -> None:
        """Begin to get the key that the blocks of the job's plan need, of which so many are there. Only those of a file
        have rows: another plan, a rollback's say, would make a key anew that a purge has removed."""
        if job.sealed and isinstance(plan, ReadFile):
            self.keys.prepare(job.id, make=not blocks)

    def forget(self, job_id: str) -> None:
        """No more blocks of the job are to come for now."""
        self.keys.forget(job_id)

    def storage_problem(self, job: Job, blocks: int) -> str | None:
        """Why the storage gives no key for the job's blocks now, of which so many are there, in words; None: it does,
        or they need none.

        If it does, `encoded` has the key in memory for the blocks that follow.
        """
        try:
            if job.sealed:
                self._key(job.id, blocks)
        except SealError as error:
            return str(error)
        return None

    def encoded(self, block: Block) -> bytes:
        """The block as a message.

        Raises:
            StorageAwayError: the storage gives no key for now.
            SourceError: its job has no key, and none can be made.
        """
        job = self.job(block.job_id)
        if not isinstance(block, RowBlock) or job is None or not job.sealed:
            return encode(block)
        try:
            return encode(seal(block, self._key(block.job_id, block.block)))
        except KeyAwayError:
            raise
        except SealError as error:
            raise SourceError(str(error)) from error

    def _key(self, job_id: str, blocks: int) -> bytes:
        """The job's key. Only its first block may have one made: those before others were sealed with the one that is
        not there any more, and no worker could open both."""
        return self.keys.obtain(job_id, make=not blocks)
