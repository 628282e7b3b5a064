"""What one transaction writes about one partition of the inbox. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.inbox.waiting_rows import Record
from schemas.messages.blocks import RowBlock
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.inbox import InboxRecord


@dataclass(frozen=True, slots=True)
class InboxDeadLetter:
    """A record of the inbox that becomes a dead letter, and why."""

    record: Record
    reason: str


@dataclass(slots=True)
class Batch:
    """What one transaction writes about one partition; Kafka takes all of it or nothing."""

    position: int
    """Offset of the first record that is not part of it."""
    blocks: list[tuple[int, RowBlock]] = field(default_factory=list)
    """Partition of the rows topic, block."""
    values: list[bytes] = field(default_factory=list)
    """The blocks, encoded."""
    states: list[tuple[str, InboxRecord | None]] = field(default_factory=list)
    """Job id, checkpoint; None: it is not needed any more."""
    dead_letters: list[InboxDeadLetter] = field(default_factory=list)
    moved: list[tuple[int, str, Record]] = field(default_factory=list)
    """Partition of the inbox, job id, record."""
    rejected: list[RejectedRecord] = field(default_factory=list)
    """Checkpoints that can't be read."""
    dropped: list[bytes] = field(default_factory=list)
    """Keys of those checkpoints, as far as no job needs them."""

    @property
    def writes(self) -> bool:
        """Whether there is more to write than the position."""
        return bool(self.states or self.dead_letters or self.moved or self.rejected)
