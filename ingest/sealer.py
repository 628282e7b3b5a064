"""Blocks as messages: those with rows are sealed with the key of their job."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.errors import SourceError
from runtime.sealing import JobKeys, SealError, seal
from schemas.blocks import Block, RowBlock
from schemas.codec import encode


@dataclass(frozen=True, slots=True)
class BlockSealer:
    """A reader's."""

    keys: JobKeys

    def encoded(self, block: Block) -> bytes:
        """The block as a message.

        Raises:
            SourceError: its job has no key, and none can be made.
        """
        if not isinstance(block, RowBlock):
            return encode(block)
        try:
            return encode(seal(block, self.keys.obtain(block.job_id)))
        except SealError as error:
            raise SourceError(str(error)) from error
