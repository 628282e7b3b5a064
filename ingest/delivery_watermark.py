"""Up to which block Kafka has confirmed all blocks of a reader, though it confirms partitions in any order."""

from __future__ import annotations

from collections import deque

from msgspec.structs import replace

from schemas.job import Input


class DeliveryWatermark:
    """The checkpoint up to which every block has been confirmed."""

    def __init__(self, start: Input) -> None:
        self.covered = start
        self._sent: deque[Input] = deque()
        self._confirmed: set[int] = set()

    @property
    def in_flight(self) -> int:
        """Blocks that are not covered yet."""
        return len(self._sent)

    def sent(self, after: Input) -> None:
        """The block `after.blocks - 1` is on its way."""
        self._sent.append(after)

    def confirmed(self, after: Input) -> None:
        """Kafka has this block."""
        self._confirmed.add(after.blocks)
        while self._sent and self._sent[0].blocks in self._confirmed:
            self.covered = self._sent.popleft()
            self._confirmed.remove(self.covered.blocks)


def with_counts(last: Input, partitions: int) -> Input:
    """The input at its end: with the number of blocks on each partition, block b being on b mod `partitions`."""
    counts = tuple((last.blocks + partitions - 1 - partition) // partitions for partition in range(partitions))
    return replace(last, ended=True, blocks_per_partition=counts)
