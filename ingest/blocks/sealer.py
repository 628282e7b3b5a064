"""Blocks as messages: those with rows are sealed with the key of their job, if all that work on it can open them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingest.errors import SourceError
from runtime.files.sealing import JobKeys, SealError, seal
from schemas.job import Job
from schemas.messages.blocks import Block, RowBlock
from schemas.messages.codec import encode
from schemas.messages.plans import Plan, ReadFile


@dataclass(frozen=True, slots=True)
class BlockSealer:
    """A reader's."""

    keys: JobKeys
    job: Callable[[str], Job | None]

    def prepare(self, job: Job, plan: Plan) -> None:
        """Begin to get the key that the blocks of the job's plan need. Only those of a file have rows: another plan, a
        rollback's say, would make a key anew that a purge has removed."""
        if job.sealed and isinstance(plan, ReadFile):
            self.keys.prepare(job.id)

    def forget(self, job_id: str) -> None:
        """No more blocks of the job are to come for now."""
        self.keys.forget(job_id)

    def storage_problem(self, job: Job) -> str | None:
        """Why the storage gives no key for the job's blocks now, in words; None: it does, or they need none.

        If it does, `encoded` has the key in memory for the blocks that follow.
        """
        try:
            if job.sealed:
                self.keys.obtain(job.id)
        except SealError as error:
            return str(error)
        return None

    def encoded(self, block: Block) -> bytes:
        """The block as a message.

        Raises:
            SourceError: its job has no key, and none can be made.
        """
        job = self.job(block.job_id)
        if not isinstance(block, RowBlock) or job is None or not job.sealed:
            return encode(block)
        try:
            return encode(seal(block, self.keys.obtain(block.job_id)))
        except SealError as error:
            raise SourceError(str(error)) from error
