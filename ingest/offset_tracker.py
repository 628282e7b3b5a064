"""Acknowledges plans in the order of their partition: a plan is committed once all before it are done as well."""

from __future__ import annotations


class OffsetTracker:
    """Which offsets of which partitions are done."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, bool]] = {}
        self._committable: dict[int, int] = {}

    def received(self, partition: int, offset: int) -> bool:
        """Note a record that has come; answers whether it is new (after a seek or a reassignment some come twice)."""
        offsets = self._open.setdefault(partition, {})
        if offset in offsets or offset < self._committable.get(partition, 0):
            return False
        offsets[offset] = False
        return True

    def done(self, partition: int, offset: int) -> None:
        """The record needs no more work; unknown ones, of a partition lost since, are ignored."""
        offsets = self._open.get(partition, {})
        if offset not in offsets:
            return
        offsets[offset] = True
        for first in list(offsets):
            if not offsets[first]:
                break
            del offsets[first]
            self._committable[partition] = first + 1

    def revoked(self, partition: int) -> None:
        """Forget a partition."""
        self._open.pop(partition, None)
        self._committable.pop(partition, None)

    def positions(self) -> dict[int, int]:
        """Partition -> the offset to commit: that of the first record still to be done."""
        return dict(self._committable)
